package selfbackup

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

func TestDump(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(true)
	info := w.dump()
	if err := blob.CheckName(info.Name); err != nil {
		t.Error(err)
	}
	if at, ok := parseName(info.Name); !ok || !at.Equal(info.At) || time.Since(at).Abs() > time.Minute {
		t.Errorf("%+v", info)
	}
	b := w.get(info.Name)
	if int64(len(b)) != info.Size || bytes.Contains(b, secret[:20]) || bytes.Contains(b, []byte("nal1@example.org")) || bytes.Contains(b, []byte("PGDMP")) {
		t.Errorf("%+v: %d bytes, or readable ones", info, len(b))
	}
	list, err := w.service.List(t.Context(), actor.System())
	if err != nil || len(list) != 1 || list[0] != info {
		t.Errorf("%+v, %v", list, err)
	}

	// Opened by hand, with nothing of ours.
	plain, err := age.Decrypt(bytes.NewReader(b), w.identity)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Name {
		case "manifest.json":
			var m Manifest
			if err := json.Unmarshal(body, &m); err != nil || m.Format != 1 || m.Version != proto.Version || !m.Made.Equal(info.At) || m.Schema < 7 || m.Server < 100000 {
				t.Errorf("%s: %+v, %v", body, m, err)
			}
		case "secret":
			if !bytes.Equal(body, secret) {
				t.Errorf("secret %q", body)
			}
		case "database.pgdump.000000":
			if len(body) != partSize || !bytes.HasPrefix(body, []byte("PGDMP")) {
				t.Errorf("a dump of %d bytes begins with %q", len(body), body[:5])
			}
		}
		files = append(files, h.Name)
	}
	if len(files) < 4 || !slices.IsSorted(files[2:]) || files[0] != "manifest.json" || files[1] != "secret" {
		t.Errorf("%q", files)
	}
}

// TestSeveralRecipients: each of them can open a copy.
func TestSeveralRecipients(t *testing.T) {
	t.Parallel()
	other := newIdentity(t)
	w := newWorld(t, func(c *Config) { c.Recipients = append(c.Recipients, other.Recipient()) })
	b := w.get(w.dump().Name)
	for _, i := range []age.Identity{w.identity, other} {
		if _, err := age.Decrypt(bytes.NewReader(b), i); err != nil {
			t.Error(err)
		}
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keep = 3 })
	old := []string{ago(time.Hour, 1), ago(25*time.Hour, 2), ago(49*time.Hour, 3), ago(73*time.Hour, 4)}
	for _, n := range old {
		w.put(n, []byte("x"))
	}
	future, foreign := ago(-48*time.Hour, 5), []string{"meta/notes", "spaces/x/space"}
	for _, n := range append(foreign, future) {
		w.put(n, []byte("x"))
	}
	fresh := w.dump()
	want := append([]string{future, fresh.Name, old[0], old[1]}, foreign...)
	if got := w.names(); !slices.Equal(got, want) {
		t.Errorf("kept\n%q, want\n%q", got, want)
	}
	// One is kept: the one that is right.
	w.service.cfg.Keep = 1
	fresh = w.dump()
	if got := w.names(); !slices.Equal(got, append([]string{future, fresh.Name}, foreign...)) {
		t.Errorf("kept %q", got)
	}
	if New(Config{}).cfg.Keep != DefaultKeep {
		t.Error("the default is not the default")
	}
}

// TestStoreFails: whatever the store does, no copy is lost and no half one appears.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keep = 1 })
	for _, c := range []struct {
		op    blobtest.Op
		after int
		err   error
		fresh bool // whether the new copy may be there nevertheless
		info  bool // whether the caller is told of it
	}{
		{blobtest.Create, 0, blobtest.ErrFull, false, false},
		{blobtest.Write, 0, blobtest.ErrFull, false, false},
		{blobtest.Write, 5, blobtest.ErrFull, false, false},
		{blobtest.Commit, 0, blobtest.ErrGone, false, false},
		{blobtest.Acked, 0, blobtest.ErrGone, true, false},
		{blobtest.Open, 0, blobtest.ErrGone, true, false},
		{blobtest.Read, 0, blobtest.ErrGone, true, false},
		{blobtest.List, 0, blobtest.ErrGone, true, true},
		{blobtest.Delete, 0, blobtest.ErrGone, true, true},
	} {
		for _, n := range w.names() {
			if err := w.store.Delete(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		old := ago(time.Hour, 1)
		w.put(old, []byte("x"))
		w.faulty.Fail(c.op, c.after, 1, c.err)
		info, err := w.service.Dump(t.Context(), actor.System())
		if !errors.Is(err, fault.KindOf(c.err)) || (info.Name != "") != c.info {
			t.Errorf("%s: %+v, %v", c.op, info, err)
		}
		names := w.names()
		if !slices.Contains(names, old) || (len(names) == 2) != c.fresh {
			t.Errorf("%s: %q", c.op, names)
		}
		w.faulty.Heal()
	}
	if fresh := w.dump(); !slices.Equal(w.names(), []string{fresh.Name}) {
		t.Errorf("afterwards: %q", w.names())
	}
}

// rotten is a store that changes a byte of what is written.
type rotten struct{ blob.Store }

func (s rotten) Create(ctx context.Context) (blob.Pending, error) {
	p, err := s.Store.Create(ctx)
	return &rottenPending{Pending: p}, err
}

type rottenPending struct {
	blob.Pending
	done bool
}

func (p *rottenPending) Write(b []byte) (int, error) {
	if !p.done {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		p.done = true
	}
	return p.Pending.Write(b)
}

// TestReadBack: a copy that reads back wrong pushes none out.
func TestReadBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Keep, c.Store = 1, rotten{c.Store} })
	old := ago(time.Hour, 1)
	w.put(old, []byte("x"))
	if _, err := w.service.Dump(t.Context(), actor.System()); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "reads back wrong") {
		t.Errorf("%v", err)
	}
	if !slices.Contains(w.names(), old) {
		t.Errorf("%q", w.names())
	}
}

func TestProgramsFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	check := func(what, words string) {
		t.Helper()
		_, err := w.service.Dump(t.Context(), actor.System())
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: %v", what, err)
		}
		if n := w.names(); len(n) != 0 {
			t.Errorf("%s: %q", what, n)
		}
	}
	find := w.service.find
	w.service.find = func(string, int) (string, error) { return "", fault.New(fault.Unavailable, "install it") }
	check("none there", "install it")
	w.service.find = func(string, int) (string, error) { return filepath.Join(t.TempDir(), "pg_dump"), nil }
	check("gone meanwhile", "cannot be run")
	w.service.find = find
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.User = "/nowhere", url.UserPassword(u.User.Username(), "pa55")
	w.service.cfg.DatabaseURL = u.String()
	check("no such database", `pg_dump failed: pg_dump: error: `)
	w.service.cfg.DatabaseURL = "host=localhost password=pa55"
	if _, err := w.service.Dump(t.Context(), actor.System()); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "pa55") {
		t.Errorf("no address: %v", err)
	}
	w.service.cfg.DatabaseURL = w.url
	ctx, cancel := context.WithCancel(t.Context())
	w.service.find = func(p string, v int) (string, error) { cancel(); return find(p, v) }
	if _, err := w.service.Dump(ctx, actor.System()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if n := w.names(); len(n) != 0 {
		t.Errorf("cancelled: %q", n)
	}
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	admin := actor.Actor{User: id.User{1}, Role: actor.Admin}
	if _, err := w.service.Dump(t.Context(), admin); !errors.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
	if _, err := w.service.List(t.Context(), admin); err != nil {
		t.Errorf("%v", err)
	}
	if _, err := w.service.List(t.Context(), actor.Actor{User: id.User{1}, Role: actor.Staff}); !errors.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
	w.service.cfg.Secret = nil
	if _, err := w.service.Dump(t.Context(), actor.System()); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "secret") {
		t.Errorf("without the secret: %v", err)
	}
	w.service.cfg.Recipients = nil
	if _, err := w.service.Dump(t.Context(), actor.System()); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "HOLDFAST_METADATA_RECIPIENT") || w.service.Configured() {
		t.Errorf("without recipients: %v", err)
	}
	w.faulty.Fail(blobtest.List, 0, 1, blobtest.ErrGone)
	if _, err := w.service.List(t.Context(), admin); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

func TestDueAndCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	expect := func(due bool, fine, wrong string) {
		t.Helper()
		if got, err := w.service.Due(t.Context(), 24*time.Hour); err != nil || got != due {
			t.Errorf("due: %v, %v", got, err)
		}
		text, err := w.service.Check(t.Context())
		if err != nil && (wrong == "" || !strings.Contains(err.Error(), wrong)) || err == nil && (fine == "" || !strings.Contains(text, fine)) {
			t.Errorf("check: %q, %v", text, err)
		}
	}
	expect(true, "", "no copy of the database yet")
	w.put(ago(-time.Hour, 9), []byte("x")) // from a clock that was wrong
	expect(true, "", "no copy of the database yet")
	w.put(ago(50*time.Hour, 1), []byte("x"))
	expect(true, "", "50h0m0s old")
	w.put(ago(25*time.Hour, 1), []byte("x"))
	expect(true, "25h0m0s ago", "")
	w.put(ago(23*time.Hour, 1), []byte("x"))
	expect(false, "23h0m0s ago", "")

	w.service.find = func(string, int) (string, error) { return "", fault.New(fault.Unavailable, "install it") }
	expect(false, "", "install it")
	recipients := w.service.cfg.Recipients
	w.service.cfg.Recipients = nil
	expect(false, "is not copied into the store", "")
	w.service.cfg.Recipients = recipients
	w.service.find = newWorld(t, nil).service.find
	w.faulty.Fail(blobtest.List, 0, -1, blobtest.ErrGone)
	if _, err := w.service.Due(t.Context(), time.Hour); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if _, err := w.service.Check(t.Context()); !errors.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	w.db.Close()
	if _, err := w.service.Due(t.Context(), time.Hour); err == nil {
		t.Error("due without a database")
	}
	if _, err := w.service.Check(t.Context()); err == nil {
		t.Error("fine without a database")
	}
	if _, err := w.service.Dump(t.Context(), actor.System()); err == nil {
		t.Error("a copy of no database")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 14, 5, 9, 0, time.UTC)
	n := name(at, bytes.Repeat([]byte{0xab}, 32))
	if want := "meta/2026-03-02t14-05-09z-" + strings.Repeat("ab", 16) + ".age"; n != want || blob.CheckName(n) != nil {
		t.Errorf("%s", n)
	}
	if got, ok := parseName(n); !ok || !got.Equal(at) {
		t.Errorf("%v, %v", got, ok)
	}
	for _, bad := range []string{"", "meta/", n[1:], n + "x", strings.ToUpper(n), strings.Replace(n, "ab", "AB", 1), strings.Replace(n, "ab", "xy", 1), strings.Replace(n, "03-02", "02-30", 1), strings.Replace(n, "t14", "x14", 1), strings.Replace(n, "z-", "z_", 1)} {
		if _, ok := parseName(bad); ok {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseRecipients(t *testing.T) {
	t.Parallel()
	i := newIdentity(t)
	a, b := i.Recipient().String(), newIdentity(t).Recipient().String()
	for s, n := range map[string]int{"": 0, " ,\n": 0, a: 1, a + "," + b: 2, " " + a + ", " + b + "\n": 2} {
		if got, err := ParseRecipients(s); err != nil || len(got) != n {
			t.Errorf("%q: %d, %v", s, len(got), err)
		}
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseRecipients(hybrid.Recipient().String()); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for s, words := range map[string]string{
		"age1xyz": "looks like age1", "ssh-ed25519 AAAA": "looks like age1", "ann@example.org": "looks like age1",
		i.String(): "this is an identity", a + "," + i.String(): "this is an identity", a + "," + hybrid.Recipient().String(): "do not go together",
	} {
		if _, err := ParseRecipients(s); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), i.String()) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseIdentities(t *testing.T) {
	t.Parallel()
	i := newIdentity(t)
	if got, err := ParseIdentities(strings.NewReader("# created\n" + i.String() + "\n")); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", i.Recipient().String(), i.String()[:40]} {
		if _, err := ParseIdentities(strings.NewReader(s)); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), i.String()[:40]) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	own := []string{"PGHOST=elsewhere", "PGSSLCRL=crl", "HOME=/root", "AWS_SECRET_ACCESS_KEY=x", "HOLDFAST_SMTP_URL=y"}
	common := []string{"HOME=/root", "LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin", "PGAPPNAME=holdfast", "PGSSLCRL=crl"}
	for address, want := range map[string][]string{
		"postgres://ann:p%40ss@db.example.org:5433/hold%20fast?sslmode=verify-full&sslrootcert=/ca&search_path=x": {"PGHOST=db.example.org", "PGPORT=5433", "PGUSER=ann", "PGPASSWORD=p@ss", "PGDATABASE=hold fast", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/ca"},
		"postgresql://holdfast@/holdfast?host=/run/x&sslmode=disable":                                             {"PGHOST=/run/x", "PGUSER=holdfast", "PGDATABASE=holdfast", "PGSSLMODE=disable"},
		"postgres://": {"PGHOST=elsewhere", "PGSSLMODE=require"},
	} {
		got, database, err := environment(address, own)
		if err != nil {
			t.Fatal(err)
		}
		want = append(slices.Clone(common), want...)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || database != "" && !slices.Contains(want, "PGDATABASE="+database) {
			t.Errorf("%s:\n%q\n%q", address, got, want)
		}
	}
	// The environment, not the command line, which every user can see.
	cmd, _, err := command(t.Context(), "/usr/bin/pg_restore", "postgres://ann:pa55@db/it's", "--x")
	if err != nil || strings.Contains(strings.Join(cmd.Args, " "), "pa55") || !slices.Contains(cmd.Env, "PGPASSWORD=pa55") || cmd.Args[2] != `--dbname=dbname='it\'s'` {
		t.Errorf("%q, %v", cmd.Args, err)
	}
	if os.Getenv("PGPASSWORD") == "pa55" {
		t.Error("our own environment was changed")
	}
}
