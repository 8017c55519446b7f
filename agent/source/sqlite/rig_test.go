//go:build unix

package sqlite

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// A process with these in its environment restores a file, or imports one that ends with .json, and kills itself at a step.
const restoreDB, restoreFile, restoreAs, dieAt = "TEST_RESTORE_DB", "TEST_RESTORE_FILE", "TEST_RESTORE_AS", "TEST_RESTORE_DIE_AT"

func TestMain(m *testing.M) {
	if os.Getenv(restoreDB) == "" {
		os.Exit(m.Run())
	}
	d, err := Open("sqlite:"+os.Getenv(restoreDB), source.Options{})
	if err != nil {
		panic(err)
	}
	d.stop = func(step string) {
		if step == os.Getenv(dieAt) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	f, err := os.Open(os.Getenv(restoreFile))
	if err != nil {
		panic(err)
	}
	o := source.Restore{Format: dump.SQLiteSQL, As: os.Getenv(restoreAs)}
	if strings.HasSuffix(f.Name(), ".json") {
		_, err = d.Import(context.Background(), f, o, nil)
	} else {
		err = d.Restore(context.Background(), f, o, nil)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(7) // it was to die
}

// shop is the schema of an application that uses much of what SQLite has.
const shop = `PRAGMA page_size=8192;
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA user_version=42;
PRAGMA application_id=1234567;
CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, photo BLOB, upper_name TEXT GENERATED ALWAYS AS (upper(name)) STORED, born DATE, ratio REAL, "a;b" DEFAULT ';');
CREATE TABLE "Odd ""Items""; -- (1)" (id INTEGER, [select] TEXT, cost DECIMAL(12,2), PRIMARY KEY (id, "select")) WITHOUT ROWID;
CREATE TABLE orders (id INT PRIMARY KEY, customer INT NOT NULL REFERENCES customers (id) ON DELETE CASCADE, total REAL CHECK (total >= 0), any ANY) STRICT;
CREATE TABLE log (what);
CREATE TABLE empty (a, b);
CREATE INDEX of_customer ON orders (customer) WHERE total > 5;
CREATE UNIQUE INDEX by_expression ON customers (lower(name), born);
CREATE VIEW buyers AS SELECT c.name, count(*) AS n FROM customers c JOIN orders o ON o.customer = c.id GROUP BY 1;
CREATE TRIGGER gone AFTER DELETE ON customers BEGIN INSERT INTO log VALUES ('gone; ' || OLD.name); SELECT CASE WHEN 1 THEN 2 END; END;
CREATE TRIGGER in_view INSTEAD OF INSERT ON buyers BEGIN SELECT 1; END;
CREATE VIRTUAL TABLE docs USING fts5(title, body);
CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 300) INSERT INTO customers (name, photo, born, ratio) SELECT 'Zoë ' || g || ' 🦊' || char(10, 13) || 'it''s \n "x"', CASE g % 50 WHEN 0 THEN randomblob(20000) ELSE randomblob(20) END, date('2000-01-01', g || ' days'), g / 3.0 FROM s;
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT 500) INSERT INTO orders SELECT g, 1 + g % 300, g / 7.0, CASE g % 5 WHEN 0 THEN NULL WHEN 1 THEN g WHEN 2 THEN 'x' || g WHEN 3 THEN x'00ff' ELSE 1e999 END FROM s;
INSERT INTO "Odd ""Items""; -- (1)" VALUES (1, 'NULL', 0.1), (2, '''),(''', 12345678.12), (3, '', NULL);
INSERT INTO docs VALUES ('ü', 'line
.quit
two'), ('second', 'text');
INSERT INTO places VALUES (1, 2.5, 3.5);
UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'customers';
ANALYZE;
`

// scribble damages the shop in a way that only a restore of all of it repairs.
const scribble = `DROP VIEW buyers; DROP TABLE orders; UPDATE customers SET photo = 'x'; CREATE TABLE later (a); INSERT INTO later VALUES (1); PRAGMA user_version=43; DROP INDEX by_expression;
DELETE FROM docs WHERE title = 'ü'; CREATE VIEW other AS SELECT 1; DROP TRIGGER gone;`

// sh runs statements in the shell, in a process of its own.
func sh(t testing.TB, path, statements string) string {
	t.Helper()
	c := exec.Command("sqlite3", "-batch", "-bail", "-init", os.DevNull, path)
	c.Stdin = strings.NewReader(".timeout 20000\n" + statements + "\n")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%.200s: %v: %s", statements, err, out)
	}
	return strings.TrimSpace(string(out))
}

// fill makes the shop, with a write-ahead log or without.
func fill(t testing.TB, wal bool) *Database {
	t.Helper()
	d := opened(t, filepath.Join(t.TempDir(), "shop [1].db"))
	sh(t, d.path, shop)
	if wal {
		sh(t, d.path, "PRAGMA journal_mode=WAL;")
	}
	return d
}

func opened(t testing.TB, path string) *Database {
	t.Helper()
	d, err := Open("sqlite:"+path, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.busy = 10_000
	return d
}

// dumped returns the database's dump, and what it holds.
func dumped(t testing.TB, d *Database) (string, []dump.Table) {
	t.Helper()
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return dumpedIn(t, s)
}

func dumpedIn(t testing.TB, s source.Session) (string, []dump.Table) {
	t.Helper()
	r, err := s.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), r.Tables()
}

func exportedIn(t testing.TB, s source.Session) string {
	t.Helper()
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

func restore(d *Database, text string, o source.Restore) error {
	if o.Format == "" {
		o.Format = dump.SQLiteSQL
	}
	return d.Restore(context.Background(), strings.NewReader(text), o, nil)
}

// same compares dumps line by line, and shows the first that differ.
func same(t testing.TB, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("line %d is\n%.300s\nwant\n%.300s", i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%d lines, want %d", len(g), len(w))
	}
}

// clean fails if a restore has left something beside the file.
func clean(t testing.TB, d *Database) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(d.path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left: %s", e.Name())
		}
	}
}

// A user is another process that has the file open.
type user struct {
	t   testing.TB
	in  io.WriteCloser
	out io.Reader
	cmd *exec.Cmd
}

func use(t testing.TB, path string) *user {
	t.Helper()
	u := &user{t: t, cmd: exec.Command("sqlite3", "-batch", "-init", os.DevNull, path)}
	var err error
	if u.in, err = u.cmd.StdinPipe(); err == nil {
		u.out, err = u.cmd.StdoutPipe()
	}
	u.cmd.Stderr = u.cmd.Stdout
	if err == nil {
		err = u.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.kill)
	u.do(".timeout 20000")
	return u
}

// do has the user run lines, and returns what they print.
func (u *user) do(lines string) string {
	u.t.Helper()
	if _, err := io.WriteString(u.in, lines+"\n.print <end>\n"); err != nil {
		u.t.Fatal(err)
	}
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for !strings.HasSuffix(b.String(), "<end>\n") {
		n, err := u.out.Read(buf)
		if b.Write(buf[:n]); err != nil {
			u.t.Fatalf("%v: %s", err, b.String())
		}
	}
	return strings.TrimSpace(strings.TrimSuffix(b.String(), "<end>\n"))
}

func (u *user) kill() {
	u.cmd.Process.Kill()
	u.cmd.Wait()
}
