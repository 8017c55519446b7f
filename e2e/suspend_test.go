//go:build linux

package e2e

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// A laptop that is closed in the middle of a backup, for longer than the server waits: it goes on by itself.
func TestSuspendedDevice(t *testing.T) {
	t.Parallel()
	s := ownServer(t, "--session-ttl", "2s")
	a := person(t, s)
	b := a.Another(filepath.Join(t.TempDir(), "state"))
	if err := b.Enroll(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 91, 60, 900_000)

	// Slow enough to be caught in the middle.
	cmd := a.Command("backup", files, "--json", "--limit-upload", "2MiB")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := stack.Start(cmd); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	device := func() []string { return states(t, s, "laptop") }
	eventually(t, s, "the first pack of the first session", func() bool { return count(t, s, `SELECT count(*) FROM packs`) > 0 })
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := device(); !slices.Equal(got, []string{"active"}) {
		t.Fatalf("sessions when it was stopped: %v", got)
	}

	// Another device of the person goes its way meanwhile.
	mustBackup(t, b, files)
	// Its session lapses. The row says void once somebody looks: the device itself, or the worker, each minute.
	eventually(t, s, "the session that lapsed", func() bool {
		return count(t, s, `SELECT count(*) FROM backups WHERE state = 'void' OR state = 'active' AND last_seen_at < now() - interval '3 s'`) == 1
	})

	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	var done backup
	if err := json.Unmarshal(stdout.Bytes(), &done); err != nil || done.Problems != 0 {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	if got := device(); !slices.Equal(got, []string{"void", "committed"}) {
		t.Errorf("sessions in the end: %v", got)
	}
	back := t.TempDir()
	if err := a.Unlocked(t.Context(), "restore", done.Snapshot, "--to", back).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
}

// states returns the states of a device's backup sessions, the oldest first.
func states(t *testing.T, s *stack.Server, device string) (list []string) {
	t.Helper()
	look(t, s, func(db *sql.DB) error {
		rows, err := db.QueryContext(t.Context(), `SELECT b.state FROM backups b JOIN devices d ON d.id = b.device_id WHERE d.name = $1 ORDER BY b.fence`, device)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var state string
			if err := rows.Scan(&state); err != nil {
				return err
			}
			list = append(list, state)
		}
		return rows.Err()
	})
	return list
}

func count(t *testing.T, s *stack.Server, query string) (n int) {
	t.Helper()
	look(t, s, func(db *sql.DB) error { return db.QueryRowContext(t.Context(), query).Scan(&n) })
	return n
}

// look looks at the server's database from outside.
func look(t *testing.T, s *stack.Server, f func(*sql.DB) error) {
	t.Helper()
	address, err := s.DatabaseURL()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := f(db); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that the server does in its own time.
func eventually(t *testing.T, s *stack.Server, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s\n%s", what, s.Log())
		}
	}
}
