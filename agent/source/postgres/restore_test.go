//go:build unix

package postgres

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// What was dumped is there again, to the last sequence, and the dump is the same.
func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	name := d.Name()
	must(t, db, `ALTER DATABASE `+quote(name)+` SET search_path = "$user", public, "Stock & more"; ALTER DATABASE `+quote(name)+` SET default_transaction_read_only = off;
		COMMENT ON DATABASE `+quote(name)+` IS 'the shop''s'; REVOKE TEMP ON DATABASE `+quote(name)+` FROM PUBLIC; ALTER DATABASE `+quote(name)+` CONNECTION LIMIT 77`)
	traits := `SELECT concat_ws('|', pg_encoding_to_char(encoding), datcollate, datctype, datdba, datconnlimit, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a), shobj_description(d.oid, 'pg_database'),
		(SELECT string_agg(c, ';' ORDER BY c) FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid)) FROM pg_database d WHERE datname = current_database()`
	was := one[string](t, db, traits)
	before, tables := dumped(t, d)
	if again, _ := dumped(t, d); again != before {
		t.Error("two dumps of the same differ")
	}
	want := map[string]int64{"public.customers": 502, "public.orders": 0, "public.orders_2025": 2189, "public.orders_2026": 811, "public.log": 502, "public.nothing": 0,
		"public.heir": 1, `Stock & more.Odd "Items"`: 3, "public.cache": 1}
	for _, table := range tables {
		if n, ok := want[table.Name]; !ok || n != table.Rows {
			t.Errorf("%s has %d rows, want %d", table.Name, table.Rows, n)
		}
		delete(want, table.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	must(t, db, scribble)

	read := int64(0)
	err := d.Restore(t.Context(), strings.NewReader(before), source.Restore{Format: dump.PostgresSQL, Want: tables}, func(n int64) { read = n })
	if err != nil {
		t.Fatal(err)
	}
	if read != int64(len(before)) {
		t.Errorf("progress ended at %d of %d", read, len(before))
	}
	after, _ := dumped(t, d)
	same(t, after, before)
	if got := one[string](t, db, traits); got != was {
		t.Errorf("the database is %s, was %s", got, was)
	}
	if l := left(t, db, name); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// Sessions of the application are ended, and new ones see the new database.
func TestRestoreEndsSessions(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, _ := dumped(t, d)
	c, err := db.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), "BEGIN; LOCK TABLE customers"); err != nil {
		t.Fatal(err)
	}
	check, err := d.Preflight(t.Context(), source.Restore{Format: dump.PostgresSQL, From: "15.1"})
	if err != nil || !check.OK() || !slices.ContainsFunc(check.Points, func(p source.Point) bool { return p.What == "sessions" && strings.Contains(p.Text, "will be ended") }) {
		t.Errorf("the check is %v, %v", check, err)
	}
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExecContext(t.Context(), "SELECT 1"); err == nil {
		t.Error("an old session lives")
	}
	if n := one[int](t, db, "SELECT count(*) FROM customers"); n != 502 {
		t.Errorf("%d customers", n)
	}
}

func TestRestoreAsCopy(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, tables := dumped(t, d)
	copyName := d.Name() + "_copy é"
	t.Cleanup(func() { db.Exec("DROP DATABASE IF EXISTS " + quote(copyName) + " WITH (FORCE)") })
	must(t, db, scribble)
	now, _ := dumped(t, d)
	if err := restore(d, before, source.Restore{As: copyName, Want: tables}); err != nil {
		t.Fatal(err)
	}
	copied, _ := dumped(t, opened(t, neighbourOf(t, at, copyName)))
	same(t, copied, before)
	still, _ := dumped(t, d)
	same(t, still, now)
	if err := restore(d, before, source.Restore{As: copyName}); !errors.Is(err, fault.Conflict) {
		t.Errorf("over a database that exists: %v", err)
	}
	for _, name := range []string{d.Name(), "a" + mark + "b", "template1", strings.Repeat("x", 64)} {
		if err := restore(d, before, source.Restore{As: name}); !errors.Is(err, fault.Conflict) && !errors.Is(err, fault.Invalid) {
			t.Errorf("as %s: %v", name, err)
		}
	}
	if l := left(t, db, d.Name()); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// A database that is gone is made again.
func TestRestoreOfWhatIsGone(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	gone := opened(t, neighbourOf(t, at, opened(t, at).Name()+"_gone"))
	t.Cleanup(func() { db.Exec("DROP DATABASE IF EXISTS " + quote(gone.Name()) + " WITH (FORCE)") })
	before, _ := dumped(t, opened(t, at))
	if err := restore(gone, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, gone)
	same(t, after, before)
}

func TestRestoreOfCustomFormat(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, tables := dumped(t, d)
	tool, err := d.find(t.Context(), "pg_dump", one[int](t, db, "SELECT current_setting('server_version_num')::int / 10000"))
	if err != nil {
		t.Fatal(err)
	}
	custom, err := exec.Command(tool.path, "--format=custom", at).Output()
	if err != nil {
		t.Fatal(err)
	}
	if f := dump.Sniff(custom); f != dump.PostgresCustom {
		t.Fatalf("it is %q", f)
	}
	must(t, db, scribble)
	now, _ := dumped(t, d)
	for what, text := range map[string][]byte{"cut": custom[:len(custom)*2/3], "no dump": []byte("PGDMP and more"), "empty": nil} {
		if err := restore(d, string(text), source.Restore{Format: dump.PostgresCustom}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	still, _ := dumped(t, d)
	same(t, still, now)
	if err := restore(d, string(custom), source.Restore{Format: dump.PostgresCustom, Want: tables}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
}

// Who may not make databases restores in one transaction.
func TestRestoreWithoutRights(t *testing.T) {
	t.Parallel()
	own, at, user := clerk(t)
	d := opened(t, as(t, at, user))
	before, tables := dumped(t, d)
	must(t, own, scribble)
	now, _ := dumped(t, d)

	check, err := d.Preflight(t.Context(), source.Restore{Format: dump.PostgresSQL})
	if err != nil || !check.OK() || !slices.ContainsFunc(check.Points, func(p source.Point) bool { return p.What == "way" && strings.Contains(p.Text, "CREATEDB") }) {
		t.Errorf("the check is %v, %v", check, err)
	}
	if err := restore(d, before, source.Restore{As: "other"}); !errors.Is(err, fault.Forbidden) {
		t.Errorf("a copy: %v", err)
	}
	wrong := slices.Clone(tables)
	wrong[0].Rows++
	for what, c := range map[string]struct {
		text string
		want []dump.Table
	}{"rows": {before, wrong}, "cut": {before[:len(before)/2], nil}, "error": {strings.Replace(before, "CREATE VIEW", "CREATE VEIW", 1), nil}} {
		if err := restore(d, c.text, source.Restore{Want: c.want}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
		still, _ := dumped(t, d)
		same(t, still, now)
	}
	if err := restore(d, before, source.Restore{Want: tables}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
}

// What is wrong with a dump changes nothing.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	db, at := fill(t)
	d := opened(t, at)
	before, tables := dumped(t, d)
	must(t, db, "DELETE FROM cache")
	now, _ := dumped(t, d)
	more := append(slices.Clone(tables), dump.Table{Name: "public.more"})
	end := func(sql string) string {
		return strings.Replace(before, "-- PostgreSQL database dump complete", sql, 1)
	}
	for what, c := range map[string]struct {
		text string
		o    source.Restore
		says string
	}{
		"cut in rows":       {before[:strings.Index(before, "\\.")-10], source.Restore{}, "breaks off"},
		"cut at the end":    {end(""), source.Restore{}, "breaks off"},
		"a missing row":     {strings.Replace(before, "k\tv\n", "", 1), source.Restore{Want: tables}, "cache has 0 rows"},
		"a missing table":   {before, source.Restore{Want: more}, "public.more is not there"},
		"an error":          {strings.Replace(before, "CREATE VIEW", "CREATE VEIW", 1), source.Restore{}, "syntax error"},
		"a shell command":   {"\\! touch /tmp/pwned\n" + before, source.Restore{}, "command for psql"},
		"a hidden command":  {"SELECT 1 \\g |touch\n" + before, source.Restore{}, "command for psql"},
		"another database":  {"\\connect other\n" + before, source.Restore{}, "--create"},
		"a role":            {"CREATE ROLE evil SUPERUSER;\n" + before, source.Restore{}, "changes more than"},
		"another kind":      {before, source.Restore{Format: dump.MySQLSQL}, "cannot be loaded into PostgreSQL"},
		"a newer version":   {before, source.Restore{From: "99.1 (Debian)"}, "version 99 or later"},
		"another's escapes": {"SET standard_conforming_strings = off;\n" + before, source.Restore{}, "standard_conforming_strings"},
	} {
		err := restore(d, c.text, c.o)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", what, err)
		}
	}
	still, _ := dumped(t, d)
	same(t, still, now)
	if l := left(t, db, d.Name()); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

// A database is made again as the one that it replaces: locale, settings of roles, who may connect.
func TestRestoreKeepsWhatADumpHasNot(t *testing.T) {
	t.Parallel()
	admin, at := pgtest.Empty(t)
	name := opened(t, at).Name() + ` "Ü"`
	must(t, admin, "CREATE DATABASE "+quote(name)+" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' ENCODING 'UTF8'")
	role := "app_" + opened(t, at).Name()
	must(t, admin, "CREATE ROLE "+quote(role)+"; ALTER DATABASE "+quote(name)+" OWNER TO "+quote(role)+"; REVOKE CONNECT ON DATABASE "+quote(name)+" FROM PUBLIC; GRANT CONNECT ON DATABASE "+quote(name)+
		" TO pg_monitor WITH GRANT OPTION; ALTER ROLE "+quote(role)+" IN DATABASE "+quote(name)+" SET search_path = a, \"B c\"; ALTER DATABASE "+quote(name)+" SET my.own = 'x''y'; ALTER DATABASE "+quote(name)+
		" SET default_transaction_read_only = on")
	t.Cleanup(func() {
		admin.Exec("DROP DATABASE IF EXISTS " + quote(name) + " WITH (FORCE)")
		admin.Exec("DROP ROLE " + quote(role))
	})
	traits := `SELECT concat_ws('|', datlocprovider, daticulocale, datcollate, datctype, pg_get_userbyid(datdba), (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a),
		(SELECT string_agg(setrole || c, ';' ORDER BY setrole, c) FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid)) FROM pg_database d WHERE datname = $1`
	was := one[string](t, admin, traits, name)
	d := opened(t, neighbourOf(t, at, name))
	before, _ := dumped(t, d)
	oid := one[int](t, admin, "SELECT oid FROM pg_database WHERE datname = $1", name)
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, admin, traits, name); got != was {
		t.Errorf("the database is %s, was %s", got, was)
	}
	if one[int](t, admin, "SELECT oid FROM pg_database WHERE datname = $1", name) == oid {
		t.Error("it is the old database")
	}
}

// Owners and grantees that are not known here are left out.
func TestRestoreFromElsewhere(t *testing.T) {
	t.Parallel()
	_, at := fill(t)
	d := opened(t, at)
	before, tables := dumped(t, d)
	foreign := strings.Replace(before, "SET client_encoding", "SET transaction_timeout_of_the_future = 0;\nSET client_encoding", 1)
	foreign = strings.Replace(foreign, "-- PostgreSQL database dump complete", `ALTER TABLE public.cache OWNER TO "No Body";
GRANT SELECT ON TABLE public.cache TO nobody_here;
REVOKE ALL ON TABLE public.cache FROM nobody_here;
ALTER DEFAULT PRIVILEGES FOR ROLE nobody_here IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO nobody_here;
-- PostgreSQL database dump complete`, 1)
	if err := restore(d, foreign, source.Restore{Want: tables}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
}
