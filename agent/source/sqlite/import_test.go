//go:build unix

package sqlite

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/portable"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

const foreign = `{"format":"holdfast-portable","version":1,"engine":"mysql","server":"8.0","taken_at":"2026-05-06T07:08:09Z","tables":[
{"name":"orders","columns":[{"name":"id","type":"int","native":"bigint unsigned","nullable":false},{"name":"b","type":"bytes","native":"blob","nullable":true},
{"name":"x","type":"text","native":"varchar(20)","nullable":true},{"name":"f","type":"float","native":"double","nullable":true}],"primary_key":["id"],"rows":[
["1","AP8=","two\nlines\r",0.1],
["2",null,null,null]]},
{"name":"s.more","columns":[{"name":"a","type":"decimal","native":"decimal(10,2)","nullable":true}],"primary_key":[],"rows":[["NaN"],["0.10"]]}]}`

// What cannot be kept is refused with its place, and changes nothing.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	d := opened(t, filepath.Join(t.TempDir(), "shop.db"))
	sh(t, d.path, "PRAGMA journal_mode=WAL; PRAGMA user_version=9; CREATE TABLE old (a); INSERT INTO old VALUES (1);")
	change := func(old, new string) string { return strings.Replace(foreign, old, new, 1) }
	for name, c := range map[string][2]string{
		"cut":                  {foreign[:len(foreign)-30], "database_dump.json cannot be used"},
		"a key twice":          {change(`["2"`, `["1"`), "row 2 of the table orders cannot be kept: UNIQUE constraint failed: orders.id"},
		"a large number":       {change(`["2"`, `["18446744073709551615"`), `row 2 of the table orders has in id "18446744073709551615", which is no whole number that SQLite can hold`},
		"NaN":                  {change(`0.1]`, `"NaN"]`), `row 1 of the table orders has in f "NaN", which SQLite takes for nothing`},
		"beyond a float":       {change(`0.1]`, `1e400]`), "is no number that SQLite can hold"},
		"a zero byte":          {change(`two\n`, `two\u0000`), `row 1 of the table orders has in x "two\x00lines\r", which has a zero byte`},
		"null":                 {change(`["2"`, `[null`), "row 2 of the table orders has in id what is no int"},
		"no UTF-8":             {change(`two\n`, "two\xff"), "no UTF-8"},
		"half a character":     {foreign + "\xc3", "database_dump.json cannot be used"},
		"a name of SQLite's":   {change(`"s.more"`, `"sqlite_x"`), "begins with sqlite_"},
		"capitals":             {change(`"s.more"`, `"Orders"`), "does not tell capitals apart"},
		"a schema's capitals":  {change(`"s.more"`, `"public.ORDERS"`), "does not tell capitals apart"},
		"columns' capitals":    {change(`"name":"b"`, `"name":"ID"`), `the column "ID" of the table orders has the name of another one`},
		"a name of two lines":  {change(`"name":"b"`, `"name":"b\nc"`), "line's end"},
		"no columns":           {change(`"columns":[{"name":"a","type":"decimal","native":"decimal(10,2)","nullable":true}],"primary_key":[],"rows":[["NaN"],["0.10"]]`, `"columns":[],"primary_key":[],"rows":[[]]`), "has no columns"},
		"something of the end": {foreign + "x", "something follows"},
	} {
		_, err := d.Import(t.Context(), strings.NewReader(c[0]), source.Restore{}, nil)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, d)
	}
	if got := sh(t, d.path, "SELECT * FROM old;"); got != "1" {
		t.Errorf("it is %s now", got)
	}
	tables, err := d.Import(t.Context(), strings.NewReader(foreign), source.Restore{}, nil)
	if err != nil || len(tables) != 2 || tables[0].Rows != 2 || tables[1].Name != "s.more" {
		t.Fatalf("%v, %v", tables, err)
	}
	if got := sh(t, d.path, `SELECT id, hex(b), hex(x), f = 0.1 FROM orders WHERE id = 1; SELECT group_concat(a) FROM "s.more"; PRAGMA journal_mode; PRAGMA user_version;`); got != "1|00FF|74776F0A6C696E65730D|1\nNaN,0.10\nwal\n9" {
		t.Errorf("got %s", got)
	}
	if got := sh(t, d.path, "INSERT INTO orders (x) VALUES ('next'); SELECT max(id) FROM orders;"); got != "3" {
		t.Errorf("the key does not count: %s", got)
	}
	clean(t, d)
}

// Types that somebody wrote into a document cannot be anything else of SQL.
func TestNativeTypes(t *testing.T) {
	t.Parallel()
	d := opened(t, filepath.Join(t.TempDir(), "shop.db"))
	for native, want := range map[string]string{
		"INTEGER": "INTEGER", "VARCHAR ( 20 )": "VARCHAR ( 20 )", "UNSIGNED BIG INT": "UNSIGNED BIG INT", "DECIMAL(10,2)": "DECIMAL(10,2)", "": "",
		"INT DEFAULT 1": "INTEGER", "INT); DROP TABLE x; --": "INTEGER", "INT CHECK (0)": "INTEGER", "INT/**/UNIQUE": "INTEGER", "TEXT COLLATE NOCASE": "INTEGER", `"INT"`: "INTEGER",
	} {
		text := strings.NewReplacer(`"engine":"mysql"`, `"engine":"sqlite"`, `"native":"bigint unsigned"`, `"native":`+quoteJSON(native), `"NaN"`, `"1.5"`).Replace(foreign)
		as := filepath.Join(t.TempDir(), "copy.db")
		if _, err := d.Import(t.Context(), strings.NewReader(text), source.Restore{As: as}, nil); err != nil {
			t.Errorf("%s: %v", native, err)
			continue
		}
		if got := sh(t, as, "SELECT type FROM pragma_table_info('orders') WHERE name = 'id';"); got != want {
			t.Errorf("%q became %q, want %q", native, got, want)
		}
	}
}

func quoteJSON(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }

// What comes from SQLite goes back to it with the kinds of its values.
func TestKindsOfValues(t *testing.T) {
	t.Parallel()
	d := opened(t, filepath.Join(t.TempDir(), "kinds.db"))
	sh(t, d.path, "CREATE TABLE k (i INTEGER, n NUMERIC, r REAL, t TEXT, b BLOB, bo BOOLEAN, x, mixed INTEGER, gone DECIMAL(5,1));"+
		"INSERT INTO k VALUES (1, 2, 3, '4', x'05', 1, 6, 'seven', NULL), (-1, 2.5, 9e999, '', x'', 0, 0.1, 8, NULL), (9223372036854775807, 1e300, 5e-324, '0.10', x'00', NULL, 1.0, 1.5, NULL);")
	const ask = "SELECT i, typeof(i), n, typeof(n), r = 3 OR r > 1e308 OR r < 1e-300, typeof(r), t, typeof(t), hex(b), typeof(b), bo, typeof(bo), x, typeof(x), mixed, typeof(mixed) FROM k;"
	export := func() string {
		s, err := d.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return exportedIn(t, s)
	}
	text := export()
	copied := opened(t, filepath.Join(t.TempDir(), "copy.db"))
	if _, err := d.Import(t.Context(), strings.NewReader(text), source.Restore{As: copied.path}, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := sh(t, copied.path, ask), sh(t, d.path, ask); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for name, word := range map[string]portable.Type{"i": portable.Int, "n": portable.Decimal, "r": portable.Float, "t": portable.Text, "b": portable.Bytes, "bo": portable.Bool, "x": portable.Decimal, "mixed": portable.Text, "gone": portable.Decimal} {
		if !strings.Contains(text, `{"name":"`+name+`","type":"`+string(word)+`"`) {
			t.Errorf("%s is not of the type %s in %.600s", name, word, text)
		}
	}
	// Not a bit of a number is lost, whatever the shell's digits are.
	sh(t, d.path, "CREATE TABLE f (r REAL); WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 3000) INSERT INTO f SELECT ieee754_from_blob(randomblob(8)) FROM s;"+
		"DELETE FROM f WHERE r IS NULL OR abs(r) > 1e308;")
	copied = opened(t, filepath.Join(t.TempDir(), "copy2.db"))
	if _, err := d.Import(t.Context(), strings.NewReader(export()), source.Restore{As: copied.path}, nil); err != nil {
		t.Fatal(err)
	}
	const sums = "SELECT hex(ieee754_to_blob(r)) FROM f ORDER BY rowid;"
	if sh(t, copied.path, sums) != sh(t, d.path, sums) {
		t.Error("numbers have other bits")
	}
}

// An import that is not read to its end leaves everything.
func TestImportFails(t *testing.T) {
	t.Parallel()
	d := opened(t, filepath.Join(t.TempDir(), "shop.db"))
	sh(t, d.path, "CREATE TABLE old (a);")
	broken := errors.New("the line is dead")
	in := io.MultiReader(strings.NewReader(foreign[:len(foreign)-100]), readerFunc(func([]byte) (int, error) { return 0, broken }))
	if _, err := d.Import(t.Context(), in, source.Restore{}, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	clean(t, d)
	if got := sh(t, d.path, "SELECT name FROM sqlite_schema;"); got != "old" {
		t.Errorf("it has %s", got)
	}
}
