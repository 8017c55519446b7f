//go:build unix

package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// exported returns the database in the portable form.
func exported(t testing.TB, d *Database) string {
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
	return string(b)
}

func load(d *Database, text string, o source.Restore) error {
	o.Portable = true
	_, err := d.Import(context.Background(), strings.NewReader(text), o, nil)
	return err
}

// document is a table t in the portable form of an engine. Columns are name, type and native type.
func document(engine string, columns [][3]string, key, rows string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"format":"holdfast-portable","version":1,"engine":%q,"server":"1","taken_at":"2026-05-06T07:08:09Z","tables":[`+"\n"+`{"name":"t","columns":[`, engine)
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":%q,"type":%q,"native":%q,"nullable":true}`, c[0], c[1], c[2])
	}
	return b.String() + `],"primary_key":[` + key + `],"rows":[` + rows + `]}]}`
}

// What the server cannot hold, or would change, is refused with its place, and everything stays.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	run(t, d, "CREATE TABLE old (a int)", "INSERT INTO old VALUES (1)", "CREATE VIEW v AS SELECT a FROM old")
	now, _ := dumped(t, d)
	one := func(kind, native, rows string) string {
		return document("postgres", [][3]string{{"a", kind, native}}, "", rows)
	}
	own := func(kind, native, rows string) string {
		return document("mysql", [][3]string{{"a", kind, native}}, "", rows)
	}
	key := func(kind, rows string) string { return document("postgres", [][3]string{{"a", kind, ""}}, `"a"`, rows) }
	long := strings.Repeat("ü", 769)
	for name, c := range map[string][2]string{
		"NaN":                      {one("decimal", "numeric", `["1"],["NaN"]`), `row 2 of the table t has in a "NaN", which no decimal of MySQL can be`},
		"an infinite float":        {one("float", "", `["-Infinity"]`), `row 1 of the table t has in a "-Infinity", which no number of MySQL can be`},
		"a float beyond":           {one("float", "", `[1e400]`), "is no number that double"},
		"more digits":              {one("decimal", "numeric", `["0.1234567890123456789012345678901"]`), "has more digits than decimal(65,30)"},
		"a longer number":          {one("decimal", "numeric", `["1e36"]`), "has more digits than decimal(65,30)"},
		"more than it says":        {one("decimal", "numeric(5,2)", `["1.00"],["1.001"]`), "row 2 of the table t has in a \"1.001\", which has more digits than decimal(5,2)"},
		"a number beyond":          {one("int", "", `["9223372036854775808"]`), "is no number that bigint"},
		"the year 12000":           {one("date", "date", `["12000-01-01"]`), `row 1 of the table t has in a "12000-01-01", which is no date that MySQL can hold`},
		"before Christ":            {one("timestamp", "", `["0044-03-15 12:00:00 BC"]`), "is no moment that datetime(6)"},
		"no end":                   {one("timestamptz", "", `["infinity"]`), "is no moment that"},
		"February 30":              {one("date", "", `["2023-02-30"]`), "is no date"},
		"a day of 25 hours":        {one("timestamp", "", `["2023-02-20T25:00:00"]`), "is no moment"},
		"nanoseconds":              {one("timestamp", "", `["2023-02-20T12:00:00.1234567"]`), "is no moment"},
		"a time's nanoseconds":     {one("time", "", `["12:00:00.1234567"]`), "is no time that time(6)"},
		"a long time":              {one("time", "", `["839:00:00"]`), "row 1 of the table t cannot be kept"},
		"no JSON":                  {one("json", "", `["{"]`), `row 1 of the table t has in a "{", which is no JSON`},
		"no UUID":                  {one("uuid", "", `["x"]`), "is no UUID"},
		"a key twice":              {key("text", `["a"],["b"],["A"],["a "],["a"]`), "row 5 of the table t cannot be kept: Duplicate entry 'a' for key 'PRIMARY'"},
		"a key of nothing":         {key("text", `["a"],[null]`), "row 2 of the table t cannot be kept: Column 'a' cannot be null"},
		"a long key":               {key("text", `["a"],["`+long+`"]`), "row 2 of the table t has in a \"" + strings.Repeat("ü", 40) + "\"…, which is longer than the 768 characters that fit into a key of MySQL"},
		"a long key of bytes":      {key("bytes", `["`+strings.Repeat("AAAA", 1025)+`"]`), "is longer than the 3072 bytes that fit into a key"},
		"own: too small":           {own("int", "tinyint(4)", `["127"],["128"]`), "row 2 of the table t cannot be kept: Out of range value for column 'a'"},
		"own: too long":            {own("text", "varchar(3)", `["abcd"]`), "row 1 of the table t cannot be kept: Data too long for column 'a'"},
		"own: no word":             {own("text", "enum('a','b')", `["a"],["c"]`), "row 2 of the table t cannot be kept"},
		"own: more digits":         {own("decimal", "decimal(5,2)", `["1.001"]`), "has more digits than decimal(5,2)"},
		"own: finer":               {own("time", "time(3)", `["12:00:00.1234"]`), "is no time that time(3)"},
		"own: before the time":     {own("timestamptz", "timestamp", `["1969-12-31T23:59:59Z"]`), "row 1 of the table t cannot be kept"},
		"an emoji in a name":       {strings.Replace(one("int", "", ""), `"name":"a"`, `"name":"🦊"`, 1), `the column "🦊" of the table t has a character that MySQL does not allow`},
		"a long name":              {strings.Replace(one("int", "", ""), `"name":"t"`, `"name":"`+strings.Repeat("ü", 65)+`"`, 1), "longer than the 64 characters"},
		"a blank at the end":       {strings.Replace(one("int", "", ""), `"name":"a"`, `"name":"a "`, 1), "ends with a blank"},
		"capitals":                 {document("sqlite", [][3]string{{"a", "int", ""}, {"A", "int", ""}}, "", ""), "does not tell capitals apart"},
		"two tables of one name":   {strings.Replace(one("int", "", ""), `]}]}`, `]},{"name":"public.t","columns":[{"name":"a","type":"int","native":"","nullable":true}],"primary_key":[],"rows":[]}]}`, 1), "the table public.t cannot be made here: Table 't' already exists"},
		"no columns":               {document("postgres", nil, "", "[]"), "has no columns"},
		"more columns than can be": {document("postgres", many(1100), "", ""), `the table t cannot be made here: Can't create table ` + "`t`" + ` (errno: 185 "Too many columns")`},
		"cut":                      {one("int", "", `["1"],`)[:150], "database_dump.json cannot be used"},
	} {
		if err := load(d, c[0], source.Restore{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, at, d)
	}
	after, _ := dumped(t, d)
	same(t, after, now)
}

func many(n int) (columns [][3]string) {
	for i := range n {
		columns = append(columns, [3]string{fmt.Sprintf("c%d", i), "int", ""})
	}
	return columns
}

// Types of its own come back, whatever they are, with values that only MySQL has.
func TestImportOfItsOwn(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	run(t, d, "SET sql_mode = 'ALLOW_INVALID_DATES'", "CREATE TABLE t (k varchar(100) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY, ub bigint unsigned, y year, ti time(6), da date, dt datetime, ts timestamp NULL, f float, b bit(3), e enum('a','A','') COLLATE utf8mb4_bin, z int(5) zerofill, x longtext, j json, c varchar(60) COMPRESSED)",
		"INSERT INTO t VALUES ('ü', 18446744073709551615, 0, '838:59:59', '0000-00-00', '2023-02-30 12:00:00', '0000-00-00 00:00:00', 0.1, b'101', 'A', 42, 'a\\0b', '{\"a\":1}', 'c'), ('Ü', 0, 1901, '-838:59:59.5', '2023-00-10', NULL, NULL, 16777216, b'0', '', 0, '', 'null', '')",
		"CREATE TABLE computed (a int AS (1))", "INSERT INTO computed VALUES ()")
	text := exported(t, d)
	if err := load(d, text, source.Restore{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "the table computed has no columns") {
		t.Errorf("%v", err)
	}
	run(t, d, "DROP TABLE computed")
	text = exported(t, d)
	rows := one[string](t, at.Admin, "SELECT group_concat(concat_ws('|', hex(k), ub, y, ti, da, dt, ts, f, hex(b), e, z, hex(x), j, c) ORDER BY hex(k)) FROM `"+at.Name+"`.t")
	if err := load(d, text, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	clean(t, at, d)
	if got := one[string](t, at.Admin, "SELECT group_concat(concat_ws('|', hex(k), ub, y, ti, da, dt, ts, f, hex(b), e, z, hex(x), j, c) ORDER BY hex(k)) FROM `"+at.Name+"`.t"); got != rows {
		t.Errorf("got  %s\nwant %s", got, rows)
	}
	again := exported(t, d)
	at1, at2 := strings.Index(text, `"tables"`), strings.Index(again, `"tables"`)
	same(t, strings.ReplaceAll(again[at2:], "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "?"), strings.ReplaceAll(strings.ReplaceAll(text[at1:], "varchar(60) /*M!100301 COMPRESSED*/ CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "?"), "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "?"))

	// What is written where a type should be is nothing else.
	for native, want := range map[string]string{
		"int(11) unsigned": "int(11) unsigned", "int(11) AUTO_INCREMENT": "bigint(20)", "int) COMMENT 'x' ENGINE=MyISAM -- ": "bigint(20)", "geometry": "bigint(20)", "varchar(20)": "bigint(20)",
	} {
		if err := load(d, document("mysql", [][3]string{{"a", "int", native}}, "", `["1"]`), source.Restore{}); err != nil {
			t.Errorf("%s: %v", native, err)
		}
		if got := one[string](t, at.Admin, "SELECT column_type FROM information_schema.columns WHERE table_schema = ?", at.Name); got != want {
			t.Errorf("%s became %s", native, got)
		}
	}
	for native, want := range map[string]string{
		`enum('a',"b")`: "longtext", `enum('a') DEFAULT 'a'`: "longtext", `enum('it''s','\\')`: `enum('it''s','\\')`, "varchar(20) CHARACTER SET nonsense COLLATE nonsense_ci": "varchar(20)",
	} {
		if err := load(d, document("mysql", [][3]string{{"a", "text", native}}, "", `[null]`), source.Restore{}); err != nil {
			t.Errorf("%s: %v", native, err)
		}
		if got := one[string](t, at.Admin, "SELECT column_type FROM information_schema.columns WHERE table_schema = ?", at.Name); got != want {
			t.Errorf("%s became %s", native, got)
		}
	}
}

// Rows go in many statements, large ones alone, and a bad one is found in the middle of them.
func TestImportOfManyRows(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	var rows strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&rows, `["%d","%s"],`, i, strings.Repeat("x", i%150))
	}
	large := strings.Repeat("y", 3<<20)
	text := func(last string) string {
		return document("sqlite", [][3]string{{"a", "int", ""}, {"b", "text", ""}}, `"a"`, rows.String()+`["-1","`+large+`"],["-2","`+large+`"],`+last)
	}
	if err := load(d, text(`["30000","z"]`), source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, at.Admin, "SELECT concat(count(*), ' ', sum(length(b))) FROM `"+at.Name+"`.t"); got != fmt.Sprintf("20003 %d", 2*len(large)+1+sumTo(20_000)) {
		t.Errorf("got %s", got)
	}
	if err := load(d, text(`["30000","z"],["7","z"]`), source.Restore{}); err == nil || !strings.Contains(err.Error(), "row 20004 of the table t cannot be kept: Duplicate entry '7'") {
		t.Errorf("%v", err)
	}
	// The server's own limit, of which the driver would say nothing helpful.
	huge := document("sqlite", [][3]string{{"b", "text", ""}}, "", `["a"],["`+strings.Repeat("y", 17<<20)+`"]`)
	if err := load(d, huge, source.Restore{}); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "row 2 of the table t has 17825825 bytes") || !strings.Contains(err.Error(), "max_allowed_packet") {
		t.Errorf("%.300v", err)
	}
	clean(t, at, d)
}

// sumTo is the sum of i % 150 below n.
func sumTo(n int) (sum int) {
	for i := range n {
		sum += i % 150
	}
	return sum
}

// A database of another character set gets tables that hold every text.
func TestImportIntoAnotherCharacterSet(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	at.Exec(t, "ALTER DATABASE `"+at.Name+"` CHARACTER SET latin1")
	if err := load(d, document("postgres", [][3]string{{"a", "text", ""}, {"b", "text", ""}}, `"a"`, `["ÿ🦊","🦊"]`), source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if got := one[string](t, at.Admin, "SELECT hex(concat(a, b)) FROM `"+at.Name+"`.t"); got != "C3BFF09FA68AF09FA68A" {
		t.Errorf("got %s", got)
	}
	if got := one[string](t, at.Admin, "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = ?", at.Name); got != "latin1" {
		t.Errorf("the database has %s", got)
	}
}

// Whenever the agent is killed, the tables are the old ones or the new ones.
func TestAgentIsKilledImporting(t *testing.T) {
	t.Parallel()
	text := document("postgres", [][3]string{{"a", "int", ""}}, `"a"`, `["1"],["2"]`)
	for step, done := range map[string]bool{"planned": false, "loading": false, "loaded": false, "bare": false, "moved": true, "ended": true} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			at := mysqltest.New(t)
			d := opened(t, at.URL)
			run(t, d, "CREATE TABLE old (a int)", "CREATE VIEW v AS SELECT a FROM old", "CREATE TRIGGER r BEFORE INSERT ON old FOR EACH ROW SET NEW.a = 1")
			now, _ := dumped(t, d)
			killed(t, at, d, text, step, "", restorePortable+"=1")
			if got := tablesOf(t, at); (got == "t") != done || (got == "old") == done {
				t.Errorf("tables are %s", got)
			}
			if did, err := d.Mend(t.Context()); err != nil || did == "" {
				t.Errorf("mended %q, %v", did, err)
			}
			clean(t, at, d)
			if done {
				if n := one[int](t, at.Admin, "SELECT (SELECT sum(a) FROM `"+at.Name+"`.t) + (SELECT count(*) FROM information_schema.views WHERE table_schema = ?)", at.Name); n != 3 {
					t.Errorf("it is %d", n)
				}
			} else {
				after, _ := dumped(t, d)
				same(t, after, now)
			}
		})
	}
}

// Before an import it is found out what it needs, which is no program.
func TestPreflightOfImport(t *testing.T) {
	t.Parallel()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	d.o.Tools = []string{"/nowhere"}
	if c, err := d.Preflight(t.Context(), source.Restore{Portable: true}); err != nil || !c.OK() {
		t.Errorf("%+v, %v", c, err)
	}
	reader := other(t, at, "SELECT")
	if c, err := reader.Preflight(t.Context(), source.Restore{Portable: true}); err != nil || c.OK() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := load(reader, document("postgres", [][3]string{{"a", "int", ""}}, "", ""), source.Restore{}); !errors.Is(err, fault.Forbidden) {
		t.Errorf("%v", err)
	}
	clean(t, at, reader)
}
