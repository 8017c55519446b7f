//go:build unix

package open

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

func TestMain(m *testing.M) { mysqltest.Main(m) }

// An engine makes databases of a kind.
type engine struct {
	name  string
	empty func(t testing.TB) (address string, do func(statements ...string))
	copy  func(t testing.TB, address string) (as, copied string) // a name for a copy, and the address that it has then
}

var engines3 = []engine{
	{"postgres", func(t testing.TB) (string, func(...string)) {
		db, at := pgtest.Empty(t)
		return at, func(statements ...string) { exec1(t, db.DB, statements...) }
	}, func(t testing.TB, address string) (string, string) {
		u := urlOf(t, address)
		as := strings.TrimPrefix(u.Path, "/") + "_copy"
		u.Path = "/" + as
		return as, u.String()
	}},
	{"mysql", func(t testing.TB) (string, func(...string)) {
		d := mysqltest.New(t)
		db := d.Server.Open(t, d.Name)
		db.SetMaxOpenConns(1) // for settings
		copied := strings.ReplaceAll(d.Name, "_", `\_`) + `\_copy`
		d.Exec(t, "GRANT ALL PRIVILEGES ON `"+copied+"`.* TO `"+d.User+"`@`127.0.0.1`", "GRANT ALL PRIVILEGES ON `"+copied+"\\_\\_holdfast\\_%`.* TO `"+d.User+"`@`127.0.0.1`")
		return d.URL, func(statements ...string) { exec1(t, db, statements...) }
	}, func(t testing.TB, address string) (string, string) {
		u := urlOf(t, address)
		as := strings.TrimPrefix(u.Path, "/") + "_copy"
		u.Path = "/" + as
		return as, u.String()
	}},
	{"sqlite", func(t testing.TB) (string, func(...string)) {
		path := filepath.Join(t.TempDir(), "shop.db")
		do := func(statements ...string) {
			t.Helper()
			c := exec.CommandContext(t.Context(), "sqlite3", "-batch", "-bail", path)
			c.Stdin = strings.NewReader(strings.Join(statements, ";\n") + ";\n")
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		do("PRAGMA user_version=7")
		return "sqlite:" + path, do
	}, func(t testing.TB, address string) (string, string) {
		as := strings.TrimPrefix(address, "sqlite:") + ".copy"
		return as, "sqlite:" + as
	}},
}

func urlOf(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func exec1(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(context.WithoutCancel(t.Context()), s); err != nil { // a test ends with some
			t.Fatalf("%.200s: %v", s, err)
		}
	}
}

func opened1(t testing.TB, address string) source.Database {
	t.Helper()
	d, err := Database(address, source.Options{Journal: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// exported is a database in the portable form.
func exported(t testing.TB, d source.Database) (string, form) {
	t.Helper()
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Portable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var f form
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return string(b), f
}

type form struct {
	Engine string
	Tables []table
}

type table struct {
	Name    string
	Columns []struct {
		Name, Type, Native string
		Nullable           bool
	}
	PrimaryKey []string `json:"primary_key"`
	Rows       [][]any
}

func (f form) table(name string) *table {
	for i := range f.Tables {
		if f.Tables[i].Name == name {
			return &f.Tables[i]
		}
	}
	return nil
}

// nameIn is a table's name in another kind of database.
func nameIn(from, to, name string) string {
	switch {
	case to != "postgres":
		if rest, ok := strings.CutPrefix(name, "public."); ok {
			return rest
		}
	case from != "postgres" && !strings.Contains(name, "."):
		return "public." + name
	}
	return name
}

// canon is a value in one form, whatever the type is in which another database has it.
func canon(word string, v any) string {
	if v == nil {
		return "null"
	}
	s := fmt.Sprint(v)
	switch word {
	case "bool":
		return map[string]string{"true": "1", "false": "0"}[s] + map[bool]string{true: s}[s == "0" || s == "1"]
	case "decimal":
		if r, ok := new(big.Rat).SetString(s); ok {
			return r.RatString()
		}
	case "float":
		f, _ := strconv.ParseFloat(s, 64)
		return strconv.FormatFloat(f, 'g', -1, 64)
	case "time", "timestamp", "timestamptz":
		s = strings.TrimSuffix(strings.Replace(s, "T", " ", 1), "Z")
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
	case "bytes":
		b, err := base64.StdEncoding.DecodeString(s)
		return fmt.Sprintf("%x %v", b, err)
	}
	return s
}

func sorted(t *table, words []string) (rows []string) {
	for _, r := range t.Rows {
		var b strings.Builder
		for i, v := range r {
			fmt.Fprintf(&b, "%s=%s|", t.Columns[i].Name, canon(words[i], v))
		}
		rows = append(rows, b.String())
	}
	slices.Sort(rows) // each database has its own order of keys
	return rows
}

// The types of the databases that are exported. Values are at the edges that all three can hold.
var schemas = map[string][]string{
	"postgres": {
		`CREATE TYPE mood AS ENUM ('ok', 'happy 😀')`, `CREATE DOMAIN price AS numeric(5,2)`, `CREATE SCHEMA "Stock & more"`,
		`CREATE TABLE types (k1 smallint, k2 text, i integer, big bigint, o oid, num numeric, n2 numeric(12,2), n30 numeric(40,9), f double precision, r real, b boolean, t text, vc varchar(190), ch char(3), by bytea,
			d date, ti time, ts timestamp, tz timestamptz, j json, jb jsonb, u uuid, iv interval, arr integer[], ip inet, m mood, p price, tt timetz, mo money, x xml, PRIMARY KEY (k1, k2))`,
		`INSERT INTO types VALUES (-32768, '', -2147483648, -9223372036854775808, 0, -1000000000000000000000000000000, -9999999999.99, 0, -1.7976931348623157e308, -3.4028235e38, false, '', '', '', '',
			'0001-01-01', '00:00', '0001-01-01', '0001-01-01', '0', '0', '00000000-0000-0000-0000-000000000000', '0', '{}', '::', 'ok', -999.99, '00:00+0', 0, '<a/>')`,
		`INSERT INTO types VALUES (32767, 'ü', 2147483647, 9223372036854775807, 4294967295, 12345678901234567890123456789012345.012345678901234567890123456789, 9999999999.99, 1234567890123456789012345678901.123456789, 5e-324, 1e-45, true,
			E'😀 \t\r\n''"\\ \x01 \\N ;-- /* \u00a0', repeat('x', 190), 'ab', decode('005c27221a0a0d25ff00', 'hex'), '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00',
			'{"a" : 12345678901234567890.10, "a": 1e400}', '{"n": 123456789012345678901234567890.5}', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '1 year 2 mons -3 days 04:05:06.7', '{1,NULL,-3}', '10.0.0.1/8', 'happy 😀', 0.01, '23:59:59.9+02', 12.34, '<b>ü</b>')`,
		`INSERT INTO types (k1, k2, f, ti, by) VALUES (1, 'A', 0.1, '24:00', decode(repeat('00ff', 40000), 'hex')), (1, 'a', 123456789012345680, '12:00:00.5', NULL), (1, 'a ', 1e15, NULL, NULL)`,
		`CREATE TABLE "Stock & more"."Odd ""Items'" (id integer PRIMARY KEY, "order" text, "a;b -- c" text, "back` + "`" + `tick \" text, "spalte ü" boolean NOT NULL)`,
		`INSERT INTO "Stock & more"."Odd ""Items'" VALUES (1, 'x', '', NULL, true)`,
		`CREATE TABLE "select" (a integer, b text)`, `INSERT INTO "select" VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL)`, `CREATE TABLE empty (a bytea PRIMARY KEY, b timestamptz NOT NULL)`,
	},
	"mysql": {
		`SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES', time_zone = '+00:00'`,
		"CREATE TABLE types (k1 tinyint, k2 varchar(50) COLLATE utf8mb4_bin, s smallint unsigned, me mediumint, i int zerofill, big bigint, ub bigint unsigned, y year, n decimal(65,30), n2 decimal(12,2) unsigned, f float, f2 float, d double, bi bit(3), b64 bit(64)," +
			" c char(5), vc varchar(190) CHARACTER SET latin1, tt tinytext, te text, mt mediumtext, lt longtext, e enum('sad','it''s','back\\slash','happy ü') CHARACTER SET utf8mb4, st set('a','b'), bin binary(4), vb varbinary(20), tb tinyblob, bl blob, mb mediumblob, lb longblob," +
			" da date, ti time(6), t3 time(3), dt datetime(6), d0 datetime, ts timestamp(6) NULL, j json, u uuid, ip inet6, i4 inet4, pt point, g int AS (k1 + 1) STORED, PRIMARY KEY (k1, k2))",
		"INSERT INTO types (k1, k2, s, me, i, big, ub, y, n, n2, f, f2, d, bi, b64, c, vc, tt, te, mt, lt, e, st, bin, vb, tb, bl, mb, lb, da, ti, t3, dt, d0, ts, j, u, ip, i4, pt) VALUES" +
			" (-128, '', 0, -8388608, 0, -9223372036854775808, 0, 1901, -1000000000000000000000000000000, 0, -3.4028234e38, 16777217, -1.7976931348623157e308, b'0', b'0', '', '', '', '', '', '', 'sad', '', '', '', '', '', '', '', '0001-01-01', '00:00:00', '00:00:00', '0001-01-01', '1000-01-01', '1970-01-01 00:00:01', '0', '00000000-0000-0000-0000-000000000000', '::', '0.0.0.0', NULL)," +
			" (127, 'ü', 65535, 8388607, 4294967295, 9223372036854775807, 9223372036854775807, 2155, 12345678901234567890123456789012345.012345678901234567890123456789, 9999999999.99, 0.1, 3.1415927, 5e-324, b'111', x'00ff00ff00ff00ff', 'abc', 'ÿ', 'ü'," +
			" '😀 \\ ''\"', concat('a', char(13,10), char(1), 'b'), '\\N', 'back\\slash', 'a,b', x'00ff', x'005c27221a0a0d25ff00', x'00', x'ff', x'00', repeat(x'00ff', 40000), '9999-12-31', '23:59:59.999999', '12:00:00.5', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00', '2038-01-19 03:14:07.999999'," +
			" '{\"a\" : 12345678901234567890.10, \"a\": 1e400}', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '2001:db8::1', '255.255.255.255', ST_GeomFromText('POINT(1 2)', 4326))",
		"INSERT INTO types (k1, k2) VALUES (1, 'A'), (1, 'a')",
		"CREATE TABLE `Odd ``It\"ems'; -- x` (id int PRIMARY KEY, `order` text, `a;b -- c` text, `spalte ü` int NOT NULL)", "INSERT INTO `Odd ``It\"ems'; -- x` VALUES (1, 'x', '', 0)",
		"CREATE TABLE `select` (a int, b text)", "INSERT INTO `select` VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL)",
		"CREATE TABLE prefixed (t text, b blob, n int, PRIMARY KEY (t(20), b(10), n))", "INSERT INTO prefixed VALUES ('ü', x'00ff', 1), ('', '', 2)",
	},
	"sqlite": {
		`CREATE TABLE types (k1 INTEGER, k2 VARCHAR(20), i INTEGER, r REAL, t TEXT, bl BLOB, n NUMERIC, de DECIMAL(10,2), bo BOOLEAN, none, dt DATETIME, mixed INTEGER, some BLOB, mix NUMERIC, g INTEGER AS (k1 + 1), PRIMARY KEY (k1, k2))`,
		`INSERT INTO types VALUES (-9223372036854775808, '', -9223372036854775808, -1.7976931348623157e308, '', x'', -5, -9.99, 0, 1, '2024-02-29 12:00:00', 1, x'00', 7)`,
		`INSERT INTO types VALUES (9223372036854775807, 'ü', 9223372036854775807, 0.1, '😀 ' || char(13,10,9,1) || '''"\ ;--', x'005c27221a0a0d25ff00', 0.5, 12, 1, 2, NULL, 'abc', 'text', 0.1)`,
		`INSERT INTO types (k1, k2, r, bl) VALUES (1, 'A', 1e15, zeroblob(80000)), (1, 'a', 123456789012345680.0, NULL), (1, 'a ', 1.5, NULL)`,
		`CREATE TABLE "Odd ""It` + "`" + `ems'; -- x" (id INTEGER PRIMARY KEY, "order" TEXT, "a;b -- c" TEXT, "spalte ü" BOOLEAN NOT NULL) WITHOUT ROWID`, `INSERT INTO "Odd ""It` + "`" + `ems'; -- x" VALUES (1, 'x', '', 1)`,
		`CREATE TABLE "select" (a int, b text)`, `INSERT INTO "select" VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL)`, `CREATE TABLE empty (a BLOB PRIMARY KEY, b REAL, c)`,
		`CREATE VIRTUAL TABLE docs USING fts5(title, body)`, `INSERT INTO docs VALUES ('ü', 'line
two')`, `CREATE VIEW v AS SELECT 1`, `CREATE TABLE strict (a INT, b ANY) STRICT`, `INSERT INTO strict VALUES (1, 2.5)`,
	},
}

// made are the types that columns get in another kind of database, by the words that they had.
var made = map[string]map[string]string{
	"postgres": {"int": "bigint", "decimal": "numeric", "float": "double precision", "bool": "boolean", "text": "text", "bytes": "bytea", "date": "date", "time": "time without time zone",
		"timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone", "json": "json", "uuid": "uuid", "interval": "interval", "other": "text"},
	"mysql": {"int": "bigint(20)", "decimal": "decimal(65,30)", "float": "double", "bool": "tinyint(1)", "text": "longtext", "bytes": "longblob", "date": "date", "time": "time(6)",
		"timestamp": "datetime(6)", "timestamptz": "datetime(6)", "json": "json", "uuid": "uuid", "interval": "longtext", "other": "longtext"},
	"sqlite": {"int": "INTEGER", "decimal": "TEXT", "float": "REAL", "bool": "BOOLEAN", "text": "TEXT", "bytes": "BLOB", "date": "TEXT", "time": "TEXT",
		"timestamp": "TEXT", "timestamptz": "TEXT", "json": "TEXT", "uuid": "TEXT", "interval": "TEXT", "other": "TEXT"},
}

// Every value comes from every kind of database into every kind as it was.
func TestPortableAmongAll(t *testing.T) {
	t.Parallel()
	for _, from := range engines3 {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			at, do := from.empty(t)
			do(schemas[from.name]...)
			text, was := exported(t, opened1(t, at))
			for _, to := range engines3 {
				t.Run(to.name, func(t *testing.T) {
					t.Parallel()
					address, do := to.empty(t)
					do("CREATE TABLE old (a int)", "CREATE VIEW gone AS SELECT * FROM old")
					d := opened1(t, address)
					read := int64(0)
					tables, err := d.Import(t.Context(), strings.NewReader(text), source.Restore{Portable: true}, func(n int64) { read = n })
					if err != nil {
						t.Fatal(err)
					}
					if read != int64(len(text)) || len(tables) != len(was.Tables) {
						t.Errorf("read %d bytes of %d, %d tables of %d", read, len(text), len(tables), len(was.Tables))
					}
					_, is := exported(t, d)
					compare(t, was, is, to.name)
					// As a copy, of what was imported.
					as, copied := to.copy(t, address)
					if to.name == "postgres" {
						t.Cleanup(func() { do(`DROP DATABASE IF EXISTS "` + as + `" WITH (FORCE)`) })
					}
					again, _ := exported(t, d)
					if _, err := d.Import(t.Context(), strings.NewReader(again), source.Restore{Portable: true, As: as}, nil); err != nil {
						t.Fatal(err)
					}
					_, third := exported(t, opened1(t, copied))
					compare(t, is, third, to.name)
				})
			}
		})
	}
}

func compare(t *testing.T, was, is form, to string) {
	t.Helper()
	if len(is.Tables) != len(was.Tables) {
		t.Errorf("%d tables, were %d", len(is.Tables), len(was.Tables))
	}
	for _, a := range was.Tables {
		b := is.table(nameIn(was.Engine, to, a.Name))
		if b == nil {
			t.Errorf("%s is not there", a.Name)
			continue
		}
		if !slices.Equal(a.PrimaryKey, b.PrimaryKey) || len(a.Columns) != len(b.Columns) {
			t.Errorf("%s has the key %v and %d columns, had %v and %d", a.Name, b.PrimaryKey, len(b.Columns), a.PrimaryKey, len(a.Columns))
			continue
		}
		var words []string
		for i, c := range a.Columns {
			words = append(words, c.Type)
			got := b.Columns[i]
			key := slices.Contains(a.PrimaryKey, c.Name)
			if native, _, _ := strings.Cut(got.Native, " CHARACTER SET"); was.Engine == to {
				if want := c.Native; got.Native != want && !slices.Contains([]string{"m", "p", "t", "b"}, c.Name) { // a type of its own, a key of a part
					t.Errorf("%s.%s is %s, was %s", a.Name, c.Name, got.Native, want)
				}
			} else if want := made[to][c.Type]; native != want && !(key && strings.HasPrefix(native, "var")) && !strings.HasPrefix(native, "decimal(") {
				t.Errorf("%s.%s, %s as %s, is %s, want %s", a.Name, c.Name, c.Native, c.Type, got.Native, want)
			}
			if got.Name != c.Name || got.Nullable != (c.Nullable && !(key && to != "sqlite")) {
				t.Errorf("%s.%s is called %s and may be null: %v", a.Name, c.Name, got.Name, got.Nullable)
			}
		}
		x, y := sorted(&a, words), sorted(b, words)
		for i := range min(len(x), len(y)) {
			if x[i] == y[i] {
				continue
			}
			p, q := strings.Split(x[i], "|"), strings.Split(y[i], "|")
			for j := range min(len(p), len(q)) {
				if p[j] != q[j] {
					t.Errorf("%s has %.200s, want %.200s", a.Name, q[j], p[j])
				}
			}
		}
		if len(x) != len(y) {
			t.Errorf("%s has %d rows, want %d", a.Name, len(y), len(x))
		}
	}
}
