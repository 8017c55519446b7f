//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// wrong returns what a check found wrong.
func wrong(c source.Check) string {
	var all []string
	for _, p := range c.Points {
		if !p.OK {
			all = append(all, p.What+": "+p.Text)
		}
	}
	return strings.Join(all, "\n")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	c, err := d.Check(t.Context())
	if err != nil || !c.OK() || c.Tables != 9 || c.Bytes < 1<<20 || c.Engine != dump.Postgres || !strings.HasPrefix(c.Tool, "pg_dump (PostgreSQL)") || c.Version == "" {
		t.Errorf("%+v, %v", c, err)
	}
	user := "reader_" + d.Name()
	must(t, db, "CREATE ROLE "+quote(user)+" LOGIN; GRANT USAGE ON SCHEMA public TO "+quote(user)+`; ALTER TABLE log ENABLE ROW LEVEL SECURITY; GRANT SELECT ON log TO `+quote(user))
	t.Cleanup(func() { db.Exec("DROP OWNED BY " + quote(user) + "; DROP ROLE " + quote(user)) })
	r := opened(t, as(t, at, user))
	c, err = r.Check(t.Context())
	if err != nil || c.OK() {
		t.Fatalf("%+v, %v", c, err)
	}
	for _, what := range []string{`may not read Stock & more.Odd "Items", large object 4711, public.cache`, "more: ", "pg_read_all_data", "does not see all rows of public.log", "BYPASSRLS"} {
		if !strings.Contains(wrong(c), what) {
			t.Errorf("%q is not in\n%s", what, wrong(c))
		}
	}
	s, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dumping, err := s.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer dumping.Close()
	for buf := make([]byte, 1<<10); err == nil; {
		_, err = dumping.Read(buf)
	}
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a dump: %v", err)
	}
}

// Rows that may not be read end the export with an error.
func TestPortableFails(t *testing.T) {
	t.Parallel()
	db, at := pgtest.Empty(t)
	user := "stranger_" + opened(t, at).Name()
	must(t, db, "CREATE TABLE t (a int); CREATE ROLE "+quote(user)+" LOGIN")
	t.Cleanup(func() { db.Exec("DROP ROLE " + quote(user)) })
	s, err := opened(t, as(t, at, user)).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Portable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for buf := make([]byte, 1<<10); err == nil; {
		_, err = r.Read(buf)
	}
	if !errors.Is(err, fault.Forbidden) {
		t.Errorf("got %v", err)
	}
}

// What keeps us from connecting is a point, and an error of whatever needs a connection.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	db, at := pgtest.Empty(t)
	free := "postgres://a:secret@127.0.0.1:1/shop"
	for address, c := range map[string]struct {
		kind fault.Kind
		says string
	}{
		free:                                {fault.Unavailable, "127.0.0.1:1 does not answer"},
		neighbourOf(t, at, "there is none"): {fault.NotFound, `"there is none" does not exist`},
		as(t, at, "nobody at all"):          {fault.Unauthenticated, "does not let nobody at all in"},
	} {
		d := opened(t, address)
		got, err := d.Check(t.Context())
		if err != nil || !strings.Contains(wrong(got), c.says) {
			t.Errorf("%s: %s, %v", address, wrong(got), err)
		}
		if _, err := d.Begin(t.Context()); !errors.Is(err, c.kind) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
		if c.kind == fault.NotFound {
			continue // it can be made
		}
		if got, err := d.Preflight(t.Context(), source.Restore{Format: dump.PostgresSQL}); err != nil || !strings.Contains(wrong(got), c.says) {
			t.Errorf("%s: %s, %v", address, wrong(got), err)
		}
		if _, err := d.Mend(t.Context()); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", address, err)
		}
		if err := restore(d, "", source.Restore{}); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
	must(t, db, "ALTER DATABASE "+quote(opened(t, at).Name())+" CONNECTION LIMIT 0")
	user := "one_" + opened(t, at).Name()
	must(t, db, "CREATE ROLE "+quote(user)+" LOGIN")
	t.Cleanup(func() { db.Exec("DROP ROLE " + quote(user)) })
	if _, err := opened(t, as(t, at, user)).Begin(t.Context()); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "takes no more connections") {
		t.Errorf("a full server: %v", err)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	points := func(o source.Restore) (string, string) {
		t.Helper()
		c, err := d.Preflight(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return wrong(c), fmt.Sprint(c.Points)
	}
	for says, o := range map[string]source.Restore{
		`kind "mysql-sql" cannot be loaded`: {Format: dump.MySQLSQL},
		"server of version 99 or later":     {Format: dump.PostgresSQL, From: "99beta1"},
		"there is a database":               {Format: dump.PostgresSQL, As: d.Name()},
		"belongs to the server itself":      {Format: dump.PostgresSQL, As: "template0"},
	} {
		if bad, _ := points(o); !strings.Contains(bad, says) {
			t.Errorf("%q is not in %q", says, bad)
		}
	}
	bad, all := points(source.Restore{Format: dump.PostgresCustom, From: "9.6.1", Bytes: 5 << 30})
	if bad != "" || !strings.Contains(all, "takes its place") || !strings.Contains(all, "5120 MiB") || !strings.Contains(all, "pg_restore") {
		t.Errorf("wrong: %q, all: %s", bad, all)
	}
	if bad, all := points(source.Restore{Format: dump.PostgresSQL, As: d.Name() + "_copy"}); bad != "" || !strings.Contains(all, "will be a new database") {
		t.Errorf("wrong: %q, all: %s", bad, all)
	}
	// A subscription is the database's own.
	must(t, db, "CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE)")
	t.Cleanup(func() { db.Exec("DROP SUBSCRIPTION IF EXISTS sub") })
	if bad, _ := points(source.Restore{Format: dump.PostgresSQL}); !strings.Contains(bad, "the subscription sub belongs to the database") {
		t.Errorf("wrong: %q", bad)
	}
	if err := restore(d, "", source.Restore{}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "the subscription sub") {
		t.Errorf("a restore: %v", err)
	}
}

// Programs are looked for, and must not be older than the server.
func TestFind(t *testing.T) {
	t.Parallel()
	version := func(v string) string { return written(t, "psql", "echo 'psql (PostgreSQL) "+v+" (Debian)'") }
	d := opened(t, "postgres://a@localhost/b")
	d.places = nil
	t15, t17, t9 := version("15.14"), version("17.2"), version("9.6.3")
	broken := version("x")
	for _, c := range []struct {
		tools  []string
		server int
		want   string
	}{{[]string{broken, t9, t17, t15}, 15, t15}, {[]string{t17, t15}, 16, t17}, {[]string{t9, t15}, 10, t15}} {
		d.o.Tools = c.tools
		got, err := d.find(context.Background(), "psql", c.server)
		if err != nil || filepath.Dir(got.path) != c.want {
			t.Errorf("for %d: %+v, %v", c.server, got, err)
		}
	}
	d.o.Tools = []string{t17}
	if _, err := d.find(t.Context(), "psql", 99); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "17.2") || !strings.Contains(err.Error(), "postgresql-client-99") {
		t.Errorf("too old: %v", err)
	}
	if _, err := d.find(t.Context(), "pg_quux", 15); !errors.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "not installed") {
		t.Errorf("none: %v", err)
	}
	for v, want := range map[[2]int]bool{{15, 13}: false, {15, 14}: true, {12, 99}: false, {17, 5}: false, {17, 6}: true, {18, 0}: true} {
		if got := (tool{major: v[0], minor: v[1]}).restricts(); got != want {
			t.Errorf("psql %v restricts: %v", v, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	a, err := parse("postgresql://anna:p%40s%27%5C%3A%20@db.example:6543/shop%20%C3%A9?sslmode=verify-full&sslrootcert=/ca.pem")
	if err != nil || a.host != "db.example" || a.port != "6543" || a.user != "anna" || a.password != `p@s'\: ` || a.name != "shop é" {
		t.Fatalf("%+v, %v", a, err)
	}
	env, forget, err := a.environment(t.TempDir(), "x-", "other")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PGHOST=db.example", "PGPORT=6543", "PGUSER=anna", "PGDATABASE=other", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/ca.pem", "LC_ALL=C"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in the environment", want)
		}
	}
	i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, "PGPASSFILE=") })
	file := strings.TrimPrefix(env[i], "PGPASSFILE=")
	b, err := os.ReadFile(file)
	if err != nil || string(b) != `*:*:*:*:p@s'\\\: `+"\n" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", st.Mode(), err)
	}
	if strings.Contains(strings.Join(env, "\n"), "p@s") {
		t.Error("the password is in the environment")
	}
	if forget(); !missing(file) {
		t.Error("the file is still there")
	}
	if _, _, err := a.environment(filepath.Join(t.TempDir(), "none"), "x-", "other"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("no folder: %v", err)
	}
	for _, bad := range []string{"mysql://a@b/c", "postgres://b/c", "postgres://a@b/", "postgres://a@b/template1", "postgres://a@b/c?x=y", "postgres://a@b/c?sslmode=perhaps", "postgres://a:s%zz@b/c",
		"postgres://a:s%0Ax@b/c", "postgres://a@/c?host=x,y", "postgres://a@b/c" + mark + "d", "postgres://a@b/" + strings.Repeat("c", 64), "postgres://a@b/c%00"} {
		if _, err := Open(bad, source.Options{}); !errors.Is(err, fault.Invalid) || strings.Contains(err.Error(), "s%zz") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	none := opened(t, "postgres://a@127.0.0.1:1/c?sslmode=verify-full&sslrootcert=/there/is/none")
	if c, err := none.Check(t.Context()); err != nil || c.OK() {
		t.Errorf("a certificate that is not there: %v, %v", c, err)
	}
}

func TestNamesOfLeftovers(t *testing.T) {
	t.Parallel()
	if got := beside("shop"); got != "shop__holdfast_" {
		t.Errorf("got %s", got)
	}
	long := strings.Repeat("é", 31)
	other := strings.Repeat("é", 30) + "x"
	a, b := beside(long), beside(other)
	if len(a)+idLen+len(oldEnd) > maxName || a == b || !strings.HasPrefix(a, "éé") {
		t.Errorf("%s and %s", a, b)
	}
	if got := leftovers("a.b"); got != `^a\.b__holdfast_[0-9a-f]{8}(_old)?$` {
		t.Errorf("got %s", got)
	}
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return os.IsNotExist(err)
}
