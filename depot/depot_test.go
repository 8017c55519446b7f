package depot_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/account"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/audit"
	"github.com/holdfast-backup/holdfast/depot/fleet"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func config(t *testing.T) depot.Config {
	t.Helper()
	_, database := pgtest.NewURL(t)
	return depot.Config{
		DatabaseURL: database, RedisURL: pgtest.Redis(t), StoreURL: "file://" + filepath.Join(t.TempDir(), "store"),
		Prepare: true, Secret: bytes.Repeat([]byte("s"), 32), PublicURL: "http://127.0.0.1:8440",
	}
}

func open(t *testing.T, cfg depot.Config) *depot.Depot {
	t.Helper()
	d, err := depot.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func join(t *testing.T, d *depot.Depot, email string) *account.Login {
	t.Helper()
	_, token, _, err := d.Accounts.Invite(t.Context(), actor.System(), account.InviteInput{Email: email, Name: "Ann", Role: actor.Staff})
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Accounts.Join(t.Context(), account.JoinInput{
		Token: token, Name: "Ann", IdentityPublic: make([]byte, 1216),
		Keys:     account.Keys{Params: account.LoginParams{Salt: make([]byte, 16), Time: 3, Memory: 64 << 10, Threads: 4}, AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
		Recovery: account.Recovery{AuthKey: make([]byte, 32), Bundle: make([]byte, 64)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAuthenticateByKind(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	d := open(t, cfg)
	l := join(t, d, "ann@example.org")
	person, err := d.Authenticate(t.Context(), l.Token)
	if err != nil || person.User != l.User.ID {
		t.Fatalf("%+v, %v", person, err)
	}
	dev, text, err := d.Fleet.Register(t.Context(), person, fleet.RegisterInput{
		Name: "laptop", Hostname: "h", OS: "linux", Arch: "amd64", AgentVersion: "0.1.0", PublicKey: make([]byte, 1216), MAC: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	machine, err := d.Authenticate(t.Context(), text)
	if err != nil || machine.Device != dev.ID {
		t.Fatalf("%+v, %v", machine, err)
	}
	for _, rubbish := range []string{"", "x", "hfi_" + text[4:], "hfs_" + text[4:], text + "x"} {
		if _, err := d.Authenticate(t.Context(), rubbish); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%q: %v", rubbish, err)
		}
	}
	// Suspending reaches devices as well.
	if _, err := d.Accounts.Suspend(t.Context(), actor.System(), l.User.ID); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{l.Token, text} {
		if _, err := d.Authenticate(t.Context(), token); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%v", err)
		}
	}
	// The secret is what passwords are checked with.
	if _, err := d.Accounts.Resume(t.Context(), actor.System(), l.User.ID); err != nil {
		t.Fatal(err)
	}
	in := account.LoginInput{Email: "ann@example.org", AuthKey: make([]byte, 32)}
	if _, err := d.Accounts.Login(t.Context(), in); err != nil {
		t.Error(err)
	}
	cfg.Secret = bytes.Repeat([]byte("t"), 32)
	if _, err := open(t, cfg).Accounts.Login(t.Context(), in); fault.KindOf(err) != fault.WrongPassword {
		t.Errorf("with another secret: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := config(t)
	for name, spoil := range map[string]func(*depot.Config){
		"short secret": func(c *depot.Config) { c.Secret = c.Secret[:31] },
		"bad database": func(c *depot.Config) { c.DatabaseURL = "http://x" },
		"bad redis":    func(c *depot.Config) { c.RedisURL = "http://x" },
		"bad store":    func(c *depot.Config) { c.StoreURL = "ftp://x" },
		"no store":     func(c *depot.Config) { c.Prepare = false },
	} {
		cfg := good
		spoil(&cfg)
		if d, err := depot.Open(t.Context(), cfg); err == nil {
			d.Close()
			t.Errorf("%s: opened", name)
		} else if fault.KindOf(err) == fault.Internal {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCare(t *testing.T) {
	t.Parallel()
	d := open(t, config(t))
	for name, err := range map[string]error{
		"ExpireSessions": d.ExpireSessions(t.Context()), "SweepAccounts": d.SweepAccounts(t.Context()),
		"ScrubPacks": d.ScrubPacks(t.Context()), "CheckSchema": d.CheckSchema(t.Context()), "Ready": d.Ready(t.Context()),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if page, err := d.Audit(t.Context(), actor.System(), audit.Filter{}, 10, ""); err != nil || len(page.Entries) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// A store that has gone is not replaced by an empty one, once something was stored; before that it is made.
func TestPrepare(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	_, cfg.DatabaseURL = pgtest.Empty(t)
	d := open(t, cfg)
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	store := strings.TrimPrefix(cfg.StoreURL, "file://")
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	if _, err := d.DB.Exec(somePack); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if d, err := depot.Open(t.Context(), cfg); fault.KindOf(err) != fault.Unavailable {
		d.Close()
		t.Errorf("%v", err)
	}
}

// find returns the line of a check.
func find(t *testing.T, checks []depot.Check, name string) depot.Check {
	t.Helper()
	for _, c := range checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check of %s in %+v", name, checks)
	return depot.Check{}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	d := open(t, cfg)
	checks, err := d.Doctor(t.Context(), actor.System())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK {
			t.Errorf("%+v", c)
		}
	}
	if len(checks) < 5 {
		t.Errorf("%+v", checks)
	}
	if _, err := d.Doctor(t.Context(), actor.Actor{}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("anybody may ask: %v", err)
	}
	if err := os.RemoveAll(strings.TrimPrefix(cfg.StoreURL, "file://")); err != nil {
		t.Fatal(err)
	}
	if checks, err = d.Doctor(t.Context(), actor.System()); err != nil {
		t.Fatal(err)
	}
	if c := find(t, checks, "store"); c.OK {
		t.Errorf("%+v", c)
	}
	for _, step := range []struct {
		statement, words string
	}{{newer, "newer"}, {older, "holdfast migrate"}, {nothing, "holdfast migrate"}} {
		if _, err := d.DB.Exec(step.statement); err != nil {
			t.Fatal(err)
		}
		if checks, err = d.Doctor(t.Context(), actor.System()); err != nil {
			t.Fatal(err)
		}
		if c := find(t, checks, "schema"); c.OK || !strings.Contains(c.Text, step.words) {
			t.Errorf("%+v", c)
		}
		if fault.KindOf(d.CheckSchema(t.Context())) != fault.Conflict {
			t.Errorf("%v", d.CheckSchema(t.Context()))
		}
	}
	d.DB.Close()
	if checks, err = d.Doctor(t.Context(), actor.System()); err != nil || len(checks) != 1 || checks[0].OK {
		t.Errorf("without a database: %+v, %v", checks, err)
	}
}

func TestWithoutRedisAndStore(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.RedisURL, cfg.StoreURL, cfg.Secret = "", "", nil
	d := open(t, cfg)
	l := join(t, d, "ann@example.org")
	if _, err := d.Accounts.Suspend(t.Context(), actor.System(), l.User.ID); err != nil {
		t.Fatal(err) // nobody hears of it, and that is all
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
