package selfbackup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

// TestRecover: all of the database comes back, and the secret.
func TestRecover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(true)
	w.put(ago(time.Hour, 1), []byte("an older one that is not needed"))
	info := w.dump()
	want := contents(t, w.db)
	db, r := w.recovery()
	got, err := Recover(t.Context(), r.store, r.identities, r.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	if got.Info != info || !bytes.Equal(got.Secret, secret) || got.Manifest.Version != proto.Version || len(got.Skipped) != 0 {
		t.Errorf("%+v", got)
	}
	if have := contents(t, db); have != want {
		t.Errorf("what came back:\n%s\nwas:\n%s", have, want)
	}
	if err := pg.Migrate(t.Context(), db); err != nil { // nothing to do
		t.Error(err)
	}
	// Nothing is restored over what is there.
	if _, err := r.run(t.Context()); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("twice: %v", err)
	}
}

func TestRecoverOnlyIntoEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.dump()
	db, r := w.recovery()
	for _, q := range [][2]string{
		{`CREATE TABLE x ()`, `DROP TABLE x`}, {`CREATE VIEW x AS SELECT 1`, `DROP VIEW x`}, {`CREATE SEQUENCE x`, `DROP SEQUENCE x`},
		{`CREATE TYPE x AS ENUM ('y')`, `DROP TYPE x`}, {`CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `DROP FUNCTION x`},
		{`CREATE SCHEMA x; CREATE TABLE x.y ()`, `DROP SCHEMA x CASCADE`},
	} {
		if !isEmpty(t, db) {
			t.Error("an empty database is not")
		}
		if _, err := db.Exec(q[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := r.run(t.Context()); !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", q[0], err)
		}
		if _, err := db.Exec(q[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.run(t.Context()); err != nil {
		t.Errorf("when all is gone: %v", err)
	}
}

// TestDamagedCopies: each kind of damage is seen, restores nothing, and an older copy stands in.
func TestDamagedCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(true)
	good := w.get(w.dump().Name)
	db, r := w.recovery()
	newest := ago(time.Hour, 7)
	cut := func(n int) []byte { return good[:n] }
	flip := func(n int) []byte {
		b := bytes.Clone(good)
		b[n] ^= 1
		return b
	}
	archive := func(files ...string) []byte { // names and contents
		return w.seal(func(s io.Writer) error {
			a := tar.NewWriter(s)
			for i := 0; i < len(files); i += 2 {
				if err := errors.Join(a.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o600}), second(a.Write([]byte(files[i+1])))); err != nil {
					return err
				}
			}
			return a.Close()
		})
	}
	manifest := `{"format": 1, "version": "x"}`
	for what, b := range map[string][]byte{
		"empty": {}, "cut in the header": cut(50), "cut in the middle": cut(len(good) / 2), "without the end": cut(len(good) - 1), "cut after a part": cut(len(good) - 70_000),
		"a byte of the header": flip(3), "a byte in the middle": flip(len(good) / 2), "the last byte": flip(len(good) - 1), "not age at all": []byte("PGDMP"),
		"more behind it":   append(bytes.Clone(good), "more"...),
		"nothing in it":    w.seal(func(io.Writer) error { return nil }),
		"no tar":           w.seal(func(s io.Writer) error { return second(s.Write(bytes.Repeat([]byte("x"), 2000))) }),
		"another order":    archive("secret", "x", "manifest.json", manifest),
		"bad manifest":     archive("manifest.json", "{", "secret", "x"),
		"huge secret":      archive("manifest.json", manifest, "secret", strings.Repeat("x", smallSize+1)),
		"no secret":        archive("manifest.json", manifest),
		"empty secret":     archive("manifest.json", manifest, "secret", "", partFile(0), "x"),
		"no dump":          archive("manifest.json", manifest, "secret", "x"),
		"a part is gone":   archive("manifest.json", manifest, "secret", "x", partFile(1), "x"),
		"the second, also": archive("manifest.json", manifest, "secret", "x", partFile(0), "x", partFile(2), "x"),
	} {
		for _, n := range w.names() {
			if err := w.store.Delete(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		w.put(newest, b)
		if got, err := r.run(t.Context()); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), newest) || got.Secret != nil {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if !isEmpty(t, db) {
			t.Fatalf("%s: something was restored", what)
		}
	}
	older := ago(2*time.Hour, 7)
	w.put(older, good)
	got, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Info.Name != older || len(got.Skipped) != 1 || got.Skipped[0].Name != newest || !strings.Contains(got.Skipped[0].Reason, "damaged") {
		t.Errorf("%+v", got)
	}
	if contents(t, db) != contents(t, w.db) {
		t.Error("what came back is not what was")
	}
}

func second(_ int, err error) error { return err }

// TestHeldBack: who reads the dump does not get its last part before everything has proved genuine.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	err := writeArchive(&b, Manifest{Format: 1}, secret, func(w io.Writer) error {
		for range 5 { // parts are cut where they are full, however they came
			if _, err := w.Write(bytes.Repeat([]byte("x"), partSize/2)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, end := range map[string]io.Reader{"whole": bytes.NewReader(nil), "forged": failing{}} {
		a, err := openArchive(io.MultiReader(bytes.NewReader(b.Bytes()), end))
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		err = a.dump(&got)
		if what == "whole" && (err != nil || got.Len() != 5*partSize/2) || what == "forged" && (!errors.Is(err, errDamaged) || got.Len() != 2*partSize) {
			t.Errorf("%s: %d bytes, %v", what, got.Len(), err)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("this is not genuine") }

func TestWrongIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.dump()
	db, r := w.recovery()
	other := newIdentity(t)
	right := r.identities
	r.identities = []age.Identity{other}
	if _, err := r.run(t.Context()); !errors.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "none of the 1 copies") {
		t.Errorf("%v", err)
	}
	if !isEmpty(t, db) {
		t.Error("something was restored")
	}
	// The recipient was changed since: the newest that can be opened is taken.
	var b bytes.Buffer
	s, err := age.Encrypt(&b, other.Recipient())
	if err != nil || s.Close() != nil {
		t.Fatal(err)
	}
	newer := name(time.Now().Add(time.Hour), make([]byte, 32))
	w.put(newer, b.Bytes())
	r.identities = right
	got, err := r.run(t.Context())
	if err != nil || len(got.Skipped) != 1 || got.Skipped[0].Name != newer || !strings.Contains(got.Skipped[0].Reason, "another identity") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRecoverFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(false)
	db, r := w.recovery()
	fails := func(what string, kind error, words string) {
		t.Helper()
		got, err := r.run(t.Context())
		if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) || got.Secret != nil {
			t.Errorf("%s: %v", what, err)
		}
		if !isEmpty(t, db) {
			t.Fatalf("%s: something was restored", what)
		}
	}
	w.put("spaces/x/space", []byte("x"))
	fails("nothing there", fault.NotFound, "no copy of a database")
	info := w.dump()
	w.faulty.Fail(blobtest.List, 0, 1, blobtest.ErrGone)
	fails("no listing", fault.Unavailable, "cannot be reached")
	w.faulty.Fail(blobtest.Open, 0, 1, blobtest.ErrGone)
	fails("no opening", fault.Unavailable, "cannot be reached")
	// A store that breaks off is no damaged copy: no older one is taken instead.
	w.put(ago(time.Hour, 1), w.get(info.Name))
	w.faulty.Fail(blobtest.Read, 0, 1, blobtest.ErrGone)
	fails("no reading", fault.Unavailable, "broke off while "+info.Name)

	find := r.find
	r.find = func(string, int) (string, error) { return "", fault.New(fault.Unavailable, "install it") }
	fails("no pg_restore", fault.Unavailable, "install it")
	r.find = func(string, int) (string, error) { return "/nowhere/pg_restore", nil }
	fails("no pg_restore any more", fault.Unavailable, "pg_restore cannot be run")
	r.find = find

	at := r.databaseURL
	r.databaseURL = "nonsense"
	fails("no address", fault.Invalid, "address is not understood")
	r.databaseURL = at
	w.put(name(time.Now().Add(time.Hour), make([]byte, 32)), w.seal(func(s io.Writer) error {
		return writeArchive(s, Manifest{Format: 2, Version: "9.9"}, secret, func(w io.Writer) error { return second(w.Write([]byte("x"))) })
	}))
	fails("from the future", fault.Conflict, "holdfast 9.9")
	ctx, cancel := context.WithCancel(t.Context())
	r.find = func(p string, v int) (string, error) { cancel(); return find(p, v) }
	if _, err := r.run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if !isEmpty(t, db) {
		t.Error("cancelled: something was restored")
	}
}

// TestForeignDump: a genuine copy of something that pg_restore will not have, in the first part and in the last.
func TestForeignDump(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fill(true)
	good := w.get(w.dump().Name)
	plain, err := age.Decrypt(bytes.NewReader(good), w.identity)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(plain)
	if err != nil {
		t.Fatal(err)
	}
	var dumped bytes.Buffer
	if err := a.dump(&dumped); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"no dump":               bytes.Repeat([]byte("x"), 3*partSize),
		"half of a":             dumped.Bytes()[:dumped.Len()/2],
		"one spoilt at its end": slices.Concat(dumped.Bytes()[:dumped.Len()-100_000], make([]byte, 100_000)),
	} {
		for _, n := range w.names() {
			if err := w.store.Delete(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		w.put(ago(time.Hour, 1), w.seal(func(s io.Writer) error {
			return writeArchive(s, a.manifest, secret, func(w io.Writer) error { return second(w.Write(b)) })
		}))
		db, r := w.recovery()
		if _, err := r.run(t.Context()); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "pg_restore failed: pg_restore: error: ") {
			t.Errorf("%s: %v", what, err)
		}
		if !isEmpty(t, db) {
			t.Errorf("%s: something was restored", what)
		}
	}
}
