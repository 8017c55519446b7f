//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Whatever is wrong with a dump, the live database stays as it is, nothing is left, and nothing else is touched.
func TestBadDumps(t *testing.T) {
	t.Parallel()
	d := fill(t, true)
	good, tables := dumped(t, d)
	now := good
	outside := filepath.Join(t.TempDir(), "outside")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(line string) string {
		return strings.Replace(good, "CREATE TABLE log", line+"\nCREATE TABLE log", 1)
	}
	const no = "no dump of one database has"
	for name, c := range map[string]struct {
		text string
		o    source.Restore
		says string
	}{
		"nothing":                 {"", source.Restore{}, "breaks off"},
		"half":                    {good[:len(good)/2], source.Restore{}, "breaks off"},
		"no end":                  {strings.TrimSuffix(good, "COMMIT;\n"), source.Restore{}, "breaks off"},
		"a command at the end":    {good + ".shell touch " + outside, source.Restore{}, "breaks off"},
		"a command after the end": {good + ".shell touch " + outside + "\n", source.Restore{}, no},
		".shell":                  {in(".shell touch " + outside), source.Restore{}, no},
		".system":                 {in(".system touch " + outside), source.Restore{}, no},
		".output":                 {in(".output " + outside + "\nSELECT 1;"), source.Restore{}, no},
		".once":                   {in(".once |touch " + outside), source.Restore{}, no},
		".import":                 {in(".import " + secret + " log"), source.Restore{}, no},
		".open":                   {in(".open " + outside), source.Restore{}, no},
		".backup":                 {in(".backup " + outside), source.Restore{}, no},
		".read":                   {in(".read " + secret), source.Restore{}, no},
		".load":                   {in(".load " + secret), source.Restore{}, no},
		".quit":                   {in(".quit"), source.Restore{}, no},
		".bail":                   {in(".bail off"), source.Restore{}, no},
		"ATTACH":                  {in("ATTACH '" + outside + "' AS x;"), source.Restore{}, no},
		"attach in a comment":     {in("/* */ aTTach '" + outside + "' AS x;"), source.Restore{}, no},
		"VACUUM INTO":             {good + "VACUUM INTO '" + outside + "';\n", source.Restore{}, no},
		"SELECT":                  {in("SELECT writefile('" + outside + "', 'x');"), source.Restore{}, no},
		"a folder for files":      {in("PRAGMA temp_store_directory='/';"), source.Restore{}, no},
		"readfile":                {in("INSERT INTO customers (name) VALUES (readfile('" + secret + "'));"), source.Restore{}, "readfile"},
		"writefile":               {in("INSERT INTO customers (name) VALUES (writefile('" + outside + "', 'x'));"), source.Restore{}, "writefile"},
		"load_extension":          {in("INSERT INTO customers (name) VALUES (load_extension('" + secret + "'));"), source.Restore{}, "load_extension"},
		"edit":                    {in("INSERT INTO customers (name) VALUES (edit('x', 'touch " + outside + "'));"), source.Restore{}, "edit"},
		"a file's table":          {in("CREATE VIRTUAL TABLE f USING csv(filename='" + secret + "');"), source.Restore{}, "csv"},
		"hidden by a comment":     {in("# '\n.shell touch " + outside + "\n# '"), source.Restore{}, ""},
		"an error":                {strings.Replace(good, "INSERT INTO orders", "INSERT INTO ordersss", 1), source.Restore{}, "ordersss"},
		"a key twice":             {strings.Replace(good, "INSERT INTO orders VALUES(2,", "INSERT INTO orders VALUES(1,", 1), source.Restore{}, "UNIQUE"},
		"other rows":              {good, source.Restore{Want: append([]dump.Table{{Name: "empty", Rows: 1}}, tables...)}, "empty has 0 rows"},
		"more tables":             {good, source.Restore{Want: append([]dump.Table{{Name: "more"}}, tables...)}, "more"},
		"another format":          {good, source.Restore{Format: dump.PostgresSQL}, "postgres-sql"},
	} {
		err := restore(d, c.text, c.o)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cret") || c.says == no && !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, d)
		if _, err := os.Stat(outside); err == nil {
			t.Fatalf("%s: a file was made", name)
		}
	}
	after, _ := dumped(t, d)
	same(t, after, now)
	// What only looks like it is taken.
	text := "\n.shell touch " + outside + "\nATTACH x;\n.quit\n"
	if err := restore(d, in("-- .shell touch "+outside+"\nINSERT INTO customers (name) VALUES ('"+text+"');"), source.Restore{}); err != nil {
		t.Error(err)
	}
	if got := sh(t, d.path, "SELECT name FROM customers ORDER BY id DESC LIMIT 1;"); got != strings.TrimSpace(text) {
		t.Errorf("the text is %q", got)
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("a file was made")
	}
}

// Paths that are none of a database's.
func TestPaths(t *testing.T) {
	t.Parallel()
	good := fill(t, false)
	text, _ := dumped(t, good)
	dir := t.TempDir()
	encrypted := filepath.Join(dir, "encrypted.db")
	if err := os.WriteFile(encrypted, []byte(strings.Repeat("\x9e\x01 random", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path            string
		check, restored bool
		says            string
	}{
		"a folder":            {dir, false, false, "is no file"},
		"missing":             {filepath.Join(dir, "missing.db"), false, true, "cannot be read"},
		"in a missing folder": {filepath.Join(dir, "a", "b.db"), false, false, "cannot be read"},
		"encrypted":           {encrypted, false, true, "or an encrypted one"},
		"a device":            {"/dev/null", false, false, "is no file"},
		"a loop":              {loop, false, false, "cannot be read"},
	} {
		d := opened(t, c.path)
		got, err := d.Check(t.Context())
		if err != nil || got.OK() != c.check || !strings.Contains(fmt.Sprint(got.Points), c.says) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if s, err := d.Begin(t.Context()); err == nil {
			s.Close()
			t.Errorf("%s: it is read", name)
		}
		before, _ := d.Preflight(t.Context(), source.Restore{Format: dump.SQLiteSQL})
		if before.OK() != c.restored {
			t.Errorf("%s: before a restore: %+v", name, before)
		}
		if err := restore(d, text, source.Restore{}); (err == nil) != c.restored {
			t.Errorf("%s: a restore: %v", name, err)
		}
	}
	if c, err := good.Check(t.Context()); err != nil || !c.OK() || c.Tables < 6 || c.Bytes < 100<<10 || c.Version == "" || !strings.HasPrefix(c.Tool, "sqlite3 ") {
		t.Errorf("%+v, %v", c, err)
	}
	for _, address := range []string{"sqlite:shop.db", "sqlite:", "sqlite:/a\nb", "sqlite://host/x\x00"} {
		if _, err := Open(address, source.Options{}); !errors.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	d, err := Open("sqlite:///srv/../srv/shop.db", source.Options{})
	if err != nil || d.Name() != "/srv/shop.db" || d.Engine() != dump.SQLite || d.Close() != nil {
		t.Errorf("%v, %v", d, err)
	}
	if os.Getuid() == 0 { // who may write everything
		return
	}
	if err := os.Chmod(good.path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, tables := dumped(t, good); len(tables) == 0 {
		t.Error("what may be read only is not read")
	}
	if err := restore(good, text, source.Restore{}); !errors.Is(err, fault.Forbidden) {
		t.Errorf("read-only: %v", err)
	}
}
