//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/depot/selfbackup"
)

// identity makes an identity and its file.
func identity(t *testing.T) (*age.X25519Identity, string) {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(file, []byte("# public key: "+i.Recipient().String()+"\n"+i.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return i, file
}

// copyOf writes a copy of an installation's database into its store.
func copyOf(t *testing.T, database, store string, secret []byte, to age.Recipient) selfbackup.Info {
	t.Helper()
	d, err := depot.Open(t.Context(), depot.Config{DatabaseURL: database, StoreURL: store})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	info, err := selfbackup.New(selfbackup.Config{DB: d.DB, DatabaseURL: database, Store: d.Store, Secret: secret, Recipients: []age.Recipient{to}}).Dump(t.Context(), actor.System())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// refuse runs recover, which is to fail with these words.
func refuse(t *testing.T, code int, words string, args ...string) {
	t.Helper()
	got, _, errs := once(t, append([]string{"recover"}, args...)...)
	if got != code || !strings.Contains(errs, words) {
		t.Errorf("recover %v: exit code %d, %s", args, got, errs)
	}
}

func users(t *testing.T, place ...string) string {
	t.Helper()
	var list struct{ Users []person }
	must(t, &list, append([]string{"user", "list"}, place...)...)
	var names []string
	for _, u := range list.Users {
		names = append(names, u.Email)
	}
	return strings.Join(names, " ")
}

// A machine burns with its store, and a replica is left.
func TestRecoverFromReplica(t *testing.T) {
	t.Parallel()
	first, elsewhere := dataDir(t), "file://"+filepath.Join(t.TempDir(), "replica")
	key, file := identity(t)
	s := serve(t, "up", "--data", first, "--replicas", elsewhere, "--metadata-recipient", key.Recipient().String(), "--listen", "127.0.0.1:0", "--json")
	s.welcome()
	secret, err := readSecret(filepath.Join(first, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	var inv struct{ Token string }
	must(t, &inv, "invite", "--data", first, "--email", "ann@example.org", "--name", "ann")
	join(t, depot.Config{DatabaseURL: endpoint(t, first), Secret: secret}, inv.Token)
	// What the worker does now and then, at once; the worker may be at it at the same moment.
	d, err := depot.Open(t.Context(), depot.Config{DatabaseURL: endpoint(t, first), StoreURL: "file://" + filepath.Join(first, "store"), Replicas: []string{elsewhere}, Secret: secret,
		Recipients: []age.Recipient{key.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	// Copies are told apart by the second, and the worker may have begun one in this second, when Ann was not there yet.
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
	info, err := d.SelfBackup.Dump(t.Context(), actor.System())
	if err != nil {
		t.Fatal(err)
	}
	for arrived := false; !arrived; {
		if err := d.CopyToReplicas(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, there := range d.Replicas.Stores(t.Context()) {
			_, err := there.Stat(t.Context(), info.Name)
			arrived = err == nil
		}
	}
	// The data directory knows the replica.
	var report struct {
		Checks []struct {
			Name, Text string
			OK         bool
		}
	}
	must(t, &report, "doctor", "--data", first)
	if !slices.ContainsFunc(report.Checks, func(c struct {
		Name, Text string
		OK         bool
	}) bool {
		return c.Name == "replica" && c.OK && strings.Contains(c.Text, elsewhere)
	}) {
		t.Errorf("%+v", report)
	}
	d.Close()
	if code := s.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.errs)
	}
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}

	second := dataDir(t)
	var out recovered
	must(t, &out, "recover", "--data", second, "--store", elsewhere, "--identity", file)
	if out.Made.Before(info.At.Truncate(time.Second)) || out.Users != 1 { // the server may have made one more since
		t.Errorf("%+v, not %+v", out, info)
	}
	s = serve(t, "up", "--data", second, "--store", elsewhere, "--listen", "127.0.0.1:0", "--json")
	if code, body := get(t, s.welcome().URL+"/readyz"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if got := users(t, "--data", second); got != "ann@example.org" {
		t.Errorf("users: %s", got)
	}
	// The store is no replica of itself.
	if code, _, errs := once(t, "doctor", "--data", second, "--replicas", elsewhere); code != 2 || !strings.Contains(errs, "is the store itself") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := once(t, "doctor", "--data", second, "--replicas", "elsewhere"); code != 2 || !strings.Contains(errs, "file:///path") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// A machine burns, and the store is left.
func TestRecover(t *testing.T) {
	t.Parallel()
	first := dataDir(t)
	s := serve(t, "up", "--data", first, "--listen", "127.0.0.1:0", "--json")
	s.welcome()
	secret, err := readSecret(filepath.Join(first, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	invite := func(name string) {
		var inv struct{ Token string }
		must(t, &inv, "invite", "--data", first, "--email", name+"@example.org", "--name", name)
		join(t, depot.Config{DatabaseURL: endpoint(t, first), Secret: secret}, inv.Token)
	}
	invite("ann")
	store := "file://" + filepath.Join(first, "store")
	key, file := identity(t)
	args := []string{"--store", store, "--identity", file}
	refuse(t, 1, "no copy of a database", append(args, "--data", dataDir(t))...)
	info := copyOf(t, endpoint(t, first), store, secret, key.Recipient())
	invite("bob") // after the copy: lost
	if code := s.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.errs)
	}

	// Elsewhere.
	second := dataDir(t)
	var out recovered
	must(t, &out, append([]string{"recover", "--data", second}, args...)...)
	if out.Copy != info.Name || out.Users != 1 || len(out.Skipped) != 0 || out.SecretFile != filepath.Join(second, "secret") || !strings.Contains(out.Next, second) {
		t.Errorf("%+v", out)
	}
	if again, err := readSecret(out.SecretFile); err != nil || string(again) != string(secret) {
		t.Errorf("the secret is another one, %v", err)
	}
	if st, err := os.Stat(out.SecretFile); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if got := users(t, "--data", second); got != "ann@example.org" {
		t.Errorf("users: %s", got)
	}
	s = serve(t, "up", "--data", second, "--store", store, "--listen", "127.0.0.1:0", "--json")
	if code, body := get(t, s.welcome().URL+"/readyz"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	must(t, nil, "doctor", "--data", second)
	if code := s.end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.errs)
	}
	refuse(t, 1, "is not empty (", append(args, "--data", second)...)
	if got := users(t, "--data", second); got != "ann@example.org" {
		t.Errorf("users after a second recovery was refused: %s", got)
	}

	// In the same place, with nothing left in it but the store; first with the wrong identity.
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "store" {
			if err := os.RemoveAll(filepath.Join(first, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, other := identity(t)
	refuse(t, 1, "sealed to this identity", "--store", store, "--identity", other, "--data", first)
	if entries, err := os.ReadDir(first); err != nil || len(entries) != 1 {
		t.Errorf("what a failure left: %v, %v", entries, err)
	}
	code, text, errs := once(t, append([]string{"recover", "--data", first}, args...)...)
	if code != 0 || !strings.Contains(text, "with 1 users") || !strings.Contains(text, "holdfast up --data "+first) || !strings.Contains(text, "Nothing is damaged") {
		t.Errorf("%d\n%s%s", code, text, errs)
	}
}

// Into an outside database.
func TestRecoverOutside(t *testing.T) {
	t.Parallel()
	source, database := pgtest.NewURL(t)
	dir := t.TempDir()
	store := "file://" + filepath.Join(dir, "store")
	must(t, nil, "migrate", "--database-url", database, "--store", store)
	key, file := identity(t)
	secret := []byte(strings.Repeat("s", 40))
	copyOf(t, database, store, secret, key.Recipient())
	_, target := pgtest.Empty(t)
	at := filepath.Join(dir, "secret")
	args := []string{"--store", store, "--identity", file, "--database-url", target, "--secret-file", at}
	must(t, nil, append([]string{"recover"}, args...)...)
	if got, err := readSecret(at); err != nil || string(got) != string(secret) {
		t.Errorf("%q, %v", got, err)
	}
	refuse(t, 1, "is there already", args...)
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	refuse(t, 1, "database is not empty", args...)
	if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a secret without its database: %v", err)
	}

	// With a data directory for the rest; the secret has no place there.
	data := filepath.Join(dir, "data")
	args = []string{"--store", store, "--identity", file, "--database-url", target, "--data", data}
	refuse(t, 1, "database is not empty", args...)
	if _, err := os.Lstat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a failure left: %v", err)
	}
	_, target = pgtest.Empty(t)
	args[5] = target
	refuse(t, 1, "secret cannot be written into /nowhere/secret", append(args, "--secret-file", "/nowhere/secret")...)
	_, target = pgtest.Empty(t)
	args[5] = target
	must(t, nil, append([]string{"recover"}, args...)...)
	if got := users(t, "--data", data); got != "" { // it knows its database
		t.Errorf("users: %s", got)
	}

	// A copy by a newer program: what is there is kept, and said.
	if _, err := source.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	copyOf(t, database, store, secret, key.Recipient())
	newer := filepath.Join(dir, "newer")
	refuse(t, 1, "are recovered, but not what is newer", "--store", store, "--identity", file, "--data", newer)
	if _, err := readSecret(filepath.Join(newer, "secret")); err != nil {
		t.Error(err)
	}
}

func TestRecoverUsage(t *testing.T) {
	t.Parallel()
	_, file := identity(t)
	dir := t.TempDir()
	store := "file://" + filepath.Join(dir, "store")
	refuse(t, 2, "--store URL", "--identity", file, "--data", dir)
	refuse(t, 2, "--identity FILE", "--store", store, "--data", dir)
	refuse(t, 2, "--data DIR, or --database-url", "--store", store, "--identity", file)
	refuse(t, 2, "--secret-file FILE", "--store", store, "--identity", file, "--database-url", "postgres://x")
	refuse(t, 1, "cannot read the identity", "--store", store, "--identity", filepath.Join(dir, "none"), "--data", dir)
	refuse(t, 2, "not an identity file", "--store", store, "--identity", os.Args[0], "--data", dir)
	refuse(t, 1, "mount it", "--store", store, "--identity", file, "--data", dir)
	mark := filepath.Join(dir, "later", blob.Mark)
	if err := errors.Join(os.Mkdir(filepath.Dir(mark), 0o700), os.WriteFile(mark, []byte("holdfast store, format 2\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	refuse(t, 1, "use the release that wrote it", "--store", "file://"+filepath.Dir(mark), "--identity", file, "--data", filepath.Join(dir, "data"))
	// The file is no folder.
	must(t, nil, "migrate", "--database-url", database(t), "--store", store)
	refuse(t, 1, "cannot make the data directory", "--store", store, "--identity", file, "--data", filepath.Join(file, "data"))
}

func database(t *testing.T) string {
	t.Helper()
	_, at := pgtest.NewURL(t)
	return at
}
