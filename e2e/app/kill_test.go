//go:build linux

package app

import (
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/shop"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// Whatever is killed in the midst of a dump or a restore: the live database is the old one or the new one, and the next try
// comes to its end.
func TestKills(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T) database{
		"postgres": func(t *testing.T) database { return newPostgres(t, 60_000) },
		"mariadb":  func(t *testing.T) database { return newMariaDB(t, 60_000) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := make(t)
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o711); err != nil {
				t.Fatal(err)
			}
			s, err := stack.Up(t.Context(), programs, filepath.Join(dir, "data"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Stop() })
			k := &killing{owner: newOwner(t, s, db, 20, false), db: db}
			k.all()
		})
	}
}

type killing struct {
	*owner
	db          database
	own         *sql.DB // Holdfast's
	before, now string  // what the database was when it was backed up, and what it is
}

func (k *killing) all() {
	t := k.T
	stop := k.service()
	k.before = k.db.State(t, "")
	k.backup("full", "good")
	full := k.newest("backup").ID
	shop.Damage(t, k.db)
	k.now = k.db.State(t, "")

	// Of the agent, while it dumps. What was stored is not a backup.
	n := len(k.backups())
	k.start("BACKUP", func() { k.begin("DATABASE") })
	stop()
	if got := len(k.backups()); got > n+1 {
		t.Errorf("%d backups, %d before the kill", got, n)
	}
	k.lapse()
	stop = k.service()
	k.rest()
	k.either()

	// Of the agent, while it restores: at several moments.
	for _, wait := range []time.Duration{0, 60 * time.Millisecond, 250 * time.Millisecond, 800 * time.Millisecond} {
		k.order(full)
		k.phase("database")
		time.Sleep(wait) // not a wait for something: another moment each time
		stop()
		k.either()
		k.lapse()
		stop = k.service()
		k.rest()
		k.holds(k.before)
		shop.Damage(t, k.db)
		k.now = k.db.State(t, "")
	}

	// Of Holdfast's server, while the device restores.
	k.order(full)
	k.phase("database")
	k.s.Kill()
	k.ok(k.s.Start(t.Context()))
	k.rest()
	k.either()

	// Of the database's server, while the device dumps, and while it restores.
	d, ok := k.db.(dying)
	if !ok {
		t.Fatalf("%T cannot be killed", k.db)
	}
	k.start("BACKUP", func() { k.begin("DATABASE") })
	d.kill(t)
	k.rest()
	k.either()
	k.now = k.db.State(t, "")
	k.order(full)
	k.phase("database")
	d.kill(t)
	k.rest()
	k.either()
	k.ok(k.restore(full, "--bare").Err())
	k.holds(k.before)
}

// dying is a database whose server can be killed; it is there again when kill returns.
type dying interface{ kill(t *testing.T) }

// begin asks for a backup, and does not wait.
func (k *killing) begin(part string) {
	k.Helper()
	k.ok(k.s.Holdfast(k.Context(), "backup", "create", "--application", k.name, "--type", strings.ToLower(part), "--name", "killed").Err())
}

// order asks for a restore, and does not wait.
func (k *killing) order(snapshot string) {
	k.Helper()
	k.ok(k.a.Unlocked(k.Context(), "app", "restore", k.name, snapshot, "--part", "database").Err())
}

// start begins something and returns once a run of that kind is under way.
func (k *killing) start(kind string, fn func()) {
	k.Helper()
	fn()
	until(k.T, "a run of the kind "+kind+" is under way", func() bool {
		r := k.runs()[0]
		return r.Kind == kind && r.State != "WAITING"
	})
}

// phase waits until the newest run has come so far, or further.
func (k *killing) phase(name string) {
	k.Helper()
	until(k.T, "the restore of the "+name, func() bool {
		r := k.runs()[0]
		return r.Progress.Phase == name || r.State != "WAITING" && r.State != "RUNNING"
	})
}

// lapse lets the time pass after which a device that fell silent counts as gone.
func (k *killing) lapse() {
	k.Helper()
	k.sql(`UPDATE runs SET lease_until = clock_timestamp() WHERE state = 'running'`)
}

// rest waits until nothing is due or under way. What failed for a passing reason is due again at once.
func (k *killing) rest() {
	k.Helper()
	until(k.T, "nothing is due", func() bool {
		k.sql(`UPDATE runs SET due_at = clock_timestamp() WHERE state = 'waiting'`)
		for _, r := range k.runs() {
			if r.State == "WAITING" || r.State == "RUNNING" {
				return false
			}
		}
		return true
	})
}

// either looks that the live database is the old one or the new one, whole.
func (k *killing) either() {
	k.Helper()
	if got := k.db.State(k.T, ""); got != k.before && got != k.now {
		k.Error("the live database is neither what it was nor what was to be restored")
		shop.Differ(k.T, k.now, got)
	}
}

func (p *postgres) kill(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "postgres", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "PostgreSQL is there again", func() bool { // whoever runs it starts it again
		c, err := sql.Open("postgres", p.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		now, err := os.ReadFile(filepath.Join(p.Dir, "postgres", "postmaster.pid"))
		return err == nil && !strings.HasPrefix(string(now), first+"\n") && c.PingContext(t.Context()) == nil
	})
}

func (m *mariadb) kill(t *testing.T) {
	t.Helper()
	m.server.Kill()
	m.server.Start(t)
}

// sql changes what Holdfast's own database says: it lets time pass.
func (k *killing) sql(statement string) {
	k.Helper()
	if k.own == nil {
		at, err := k.s.DatabaseURL()
		k.ok(err)
		k.own, err = sql.Open("postgres", at)
		k.ok(err)
		k.Cleanup(func() { k.own.Close() })
	}
	if _, err := k.own.ExecContext(k.Context(), statement); err != nil {
		k.Log(err) // its server is being started
	}
}
