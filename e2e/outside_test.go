//go:build linux

package e2e

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/blob/s3/s3test"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/e2e/stack"
)

// serveFor runs a command of holdfast that serves until the test is over.
func serveFor(t *testing.T, env []string, data string, args ...string) *stack.Server {
	t.Helper()
	s, err := stack.Serve(t.Context(), programs, env, data, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// mustRestore brings the newest snapshot back and compares it.
func mustRestore(t *testing.T, a *stack.Agent, files string, args ...string) {
	t.Helper()
	back := t.TempDir()
	if err := a.Unlocked(t.Context(), append([]string{"restore", "latest", "--to", back}, args...)...).Err(); err != nil {
		t.Fatal(err)
	}
	mustMatch(t, files, back)
}

// Packs in an S3 bucket instead of a folder.
func TestS3(t *testing.T) {
	t.Parallel()
	bucket := s3test.Start(t)
	bucket.Bucket(t, "backups")
	store := "s3://backups/holdfast?endpoint=" + url.QueryEscape(bucket.Endpoint)
	s := serveFor(t, []string{"AWS_ACCESS_KEY_ID=" + s3test.AccessKey, "AWS_SECRET_ACCESS_KEY=" + s3test.SecretKey},
		passable(t), "up", "--store", store)
	a := person(t, s)
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 81, 120, 300_000)
	first := mustBackup(t, a, files)
	grow(t, files, 82, 20, 300_000)
	mustBackup(t, a, files)
	mustRestore(t, a, files)
	if _, err := os.Stat(filepath.Join(s.Data, "store")); !os.IsNotExist(err) {
		t.Errorf("there is a store in the data directory, too: %v", err)
	}
	for _, args := range [][]string{{"scrub", "--all"}, {"doctor"}} {
		if err := s.Holdfast(t.Context(), args...).Err(); err != nil {
			t.Error(err)
		}
	}

	psql(t, s, `TRUNCATE snapshots, nodes, objects, packs CASCADE`)
	if r := a.Unlocked(t.Context(), "verify", first.Snapshot); r.Code == 0 {
		t.Error("verified from an empty index: the test tests nothing")
	}
	if err := s.Holdfast(t.Context(), "rebuild-index").Err(); err != nil {
		t.Fatal(err)
	}
	if err := a.Unlocked(t.Context(), "verify", first.Snapshot).Err(); err != nil {
		t.Error(err)
	}
	mustRestore(t, a, files)

	// A bucket that is not there is said in words.
	r := s.Holdfast(t.Context(), "scrub", "--store", strings.Replace(store, "backups", "no-such-bucket", 1))
	if r.Code != 1 || !strings.Contains(r.Stderr, "no-such-bucket") {
		t.Errorf("scrub of a bucket that does not exist: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// elsewhere is a PostgreSQL database and a Redis that holdfast does not run, in the environment as the
// documentation has it.
func elsewhere(t *testing.T) (env []string, database string) {
	t.Helper()
	_, database = pgtest.Empty(t)
	return []string{"HOLDFAST_DATABASE_URL=" + database, "HOLDFAST_REDIS_URL=" + pgtest.Redis(t)}, database
}

func TestUpOnOutsideDatabases(t *testing.T) {
	t.Parallel()
	env, database := elsewhere(t)
	data := passable(t)
	s := serveFor(t, env, data, "up")
	a := person(t, s)
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 83, 60, 100_000)
	mustBackup(t, a, files)
	mustRestore(t, a, files)
	for _, name := range []string{"postgres", "redis"} {
		if names, _ := filepath.Glob(filepath.Join(data, name+"*", "*")); len(names) > 0 {
			t.Errorf("a private %s was made, too: %v", name, names)
		}
	}
	db, err := sql.Open("postgres", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM snapshots`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d snapshots in the outside database: %v", n, err)
	}
	// Commands find the outside database by the data directory, which remembers it.
	for _, args := range [][]string{{"doctor"}, {"scrub", "--all"}, {"user", "list"}} {
		if err := s.Holdfast(t.Context(), args...).Err(); err != nil {
			t.Error(err)
		}
	}
}

// Two servers and a worker on one database, Redis, store and secret.
func TestHalvesApart(t *testing.T) {
	t.Parallel()
	env, _ := elsewhere(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("what only the servers and the worker know\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "HOLDFAST_STORE=file://"+filepath.Join(dir, "store"), "HOLDFAST_SECRET_FILE="+secret)

	if s, err := stack.Serve(t.Context(), programs, env, "", "server"); err == nil || !strings.Contains(err.Error(), "migrate") {
		s.Stop()
		t.Errorf("a server before holdfast migrate: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		if err := stack.Run(t.Context(), programs.Holdfast, env, "migrate").Err(); err != nil {
			t.Fatal(err)
		}
	}
	one, two := serveFor(t, env, "", "server"), serveFor(t, env, "", "server")
	stopWorker, err := stack.Background(programs.Holdfast, env, "worker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopWorker(); err != nil {
			t.Error(err)
		}
	})

	a := person(t, one) // joins and enrols at the one
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 85, 60, 200_000)
	mustBackup(t, a, files)
	mustRestore(t, a, files, "--server", two.URL, "--email", a.Email)

	// A code of the one is good at the other, and so is the second device.
	var code struct{ Code string }
	if err := a.Unlocked(t.Context(), "code", "--json").JSON(&code); err != nil {
		t.Fatal(err)
	}
	b := a.Another(filepath.Join(t.TempDir(), "state"))
	if err := b.Run(t.Context(), "enroll", two.URL, "--code", code.Code, "--name", "second").Err(); err != nil {
		t.Fatal(err)
	}
	grow(t, files, 86, 10, 200_000)
	mustBackup(t, b, files)
	mustRestore(t, a, files, "--device", "second")
	for _, args := range [][]string{{"doctor"}, {"scrub", "--all"}, {"rebuild-index"}} {
		if err := two.Holdfast(t.Context(), args...).Err(); err != nil {
			t.Error(err)
		}
	}

	// What is revoked here is revoked there, at once.
	if err := a.Unlocked(t.Context(), "revoke", "second").Err(); err != nil {
		t.Fatal(err)
	}
	if r := b.Run(t.Context(), "backup", files); r.Code != 1 || !strings.Contains(r.Stderr, "revoked") {
		t.Errorf("a device that was revoked at the other server: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// A server with a certificate authority of its own.
func TestLocalTLS(t *testing.T) {
	t.Parallel()
	env, _ := elsewhere(t)
	s := serveFor(t, env, passable(t), "up", "--tls-local", "--json")
	m := regexp.MustCompile(`"fingerprint": "([0-9a-f]{64})"`).FindStringSubmatch(s.Log())
	if m == nil {
		t.Fatalf("up says no fingerprint:\n%s", s.Log())
	}
	pin := m[1]

	// Without the fingerprint nothing is said to the server, and the fingerprint that was seen is shown.
	dir := t.TempDir()
	a, err := s.Person(t.Context(), dir, "tls@example.org", "Tess", "staff")
	if err == nil || !strings.Contains(err.Error(), "exit code 1") || !strings.Contains(err.Error(), "--fingerprint "+pin) {
		t.Fatalf("join without a fingerprint: %v", err)
	}
	if _, err := os.Stat(a.RecoveryFile); !os.IsNotExist(err) {
		t.Errorf("a recovery code was written for an account that was not made: %v", err)
	}
	// With a wrong one, too.
	s.Fingerprint = strings.Repeat("ab", 32)
	if _, err = s.Person(t.Context(), dir, "tls@example.org", "Tess", "staff"); err == nil || !strings.Contains(err.Error(), pin) || !strings.Contains(err.Error(), s.Fingerprint) {
		t.Fatalf("join with a wrong fingerprint: %v", err)
	}
	s.Fingerprint = pin
	if a, err = s.Person(t.Context(), dir, "tls@example.org", "Tess", "staff"); err != nil {
		t.Fatal(err)
	}
	if err := a.Enroll(t.Context(), "laptop"); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(t.TempDir(), "files")
	grow(t, files, 87, 40, 100_000)
	a.Env = nil // the device remembers
	mustBackup(t, a, files)
	mustRestore(t, a, files)

	// A one-time code carries the fingerprint.
	var code struct{ Code string }
	if err := a.Unlocked(t.Context(), "code", "--json").JSON(&code); err != nil {
		t.Fatal(err)
	}
	b := a.Another(filepath.Join(t.TempDir(), "state"))
	var enrolled struct{ Fingerprint string }
	if err := b.Run(t.Context(), "enroll", s.URL, "--code", code.Code, "--name", "second", "--json").JSON(&enrolled); err != nil {
		t.Fatal(err)
	}
	if enrolled.Fingerprint != pin {
		t.Errorf("the code pinned %q, the server is %q", enrolled.Fingerprint, pin)
	}
	mustBackup(t, b, files)

	// The same authority after a restart; another one on the same port is refused by both devices.
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustBackup(t, b, files)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(s.URL, "https://")
	otherEnv, _ := elsewhere(t)
	serveFor(t, otherEnv, passable(t), "up", "--tls-local", "--listen", addr)
	for _, d := range []*stack.Agent{a, b} {
		r := d.Run(t.Context(), "backup", files, "--retry-for", "1s")
		if r.Code != 1 || !strings.Contains(r.Stderr, "another certificate authority") || !strings.Contains(r.Stderr, pin) {
			t.Errorf("an impostor: exit code %d\n%s", r.Code, r.Stderr)
		}
		if r := d.Unlocked(t.Context(), "snapshots", "--retry-for", "1s"); r.Code != 1 || !strings.Contains(r.Stderr, "another certificate authority") {
			t.Errorf("an impostor asks for the password's proof: exit code %d\n%s", r.Code, r.Stderr)
		}
	}
}
