//go:build unix

package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// restorePortable says that the file is in the portable form.
const restorePortable = "TEST_RESTORE_PORTABLE"

// A process with these in its environment restores a file and kills itself at a step.
const restoreURL, restoreFile, restoreJournal, dieAt = "TEST_RESTORE_URL", "TEST_RESTORE_FILE", "TEST_RESTORE_JOURNAL", "TEST_RESTORE_DIE_AT"

func TestMain(m *testing.M) {
	at := os.Getenv(restoreURL)
	if at == "" {
		mysqltest.Main(m)
	}
	d, err := Open(at, source.Options{Journal: os.Getenv(restoreJournal)})
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
	o := source.Restore{Format: dump.MySQLSQL, As: os.Getenv("TEST_RESTORE_AS")}
	if os.Getenv(restorePortable) != "" {
		_, err = d.Import(context.Background(), f, o, nil)
	} else {
		err = d.Restore(context.Background(), f, o, nil)
	}
	if err != nil {
		panic(err)
	}
	os.Exit(7) // it was to die
}

// shop is the schema of an application that uses much of what MariaDB has.
var shop = []string{
	"CREATE TABLE customers (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(190) NOT NULL UNIQUE, feels enum('sad','ok','happy ü') DEFAULT 'ok', likes set('a','b'), photo longblob," +
		" upper_name varchar(190) GENERATED ALWAYS AS (upper(name)) STORED, extra json, born date, seen timestamp(6) NULL, wakes time(3), active bit(3), ratio double, small float, yr year, key(born)) COMMENT='who buys: \"quotes\", ''more'' \\\\ and ünïcödé' AUTO_INCREMENT=100000",
	"CREATE TABLE `Odd ``Items``; (1)` (id int PRIMARY KEY, `a;b` text, cost decimal(12,2), `values` int INVISIBLE DEFAULT 7)",
	"CREATE TABLE orders (id int NOT NULL, customer bigint unsigned NOT NULL, item int, at datetime NOT NULL, total decimal(20,4), PRIMARY KEY (id), CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE, FOREIGN KEY (item) REFERENCES `Odd ``Items``; (1)` (id))",
	"CREATE TABLE tree (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES tree (id))",
	"CREATE TABLE loose (k varchar(20), v text) ENGINE=MyISAM CHARSET=latin1",
	"CREATE TABLE `empty` (a int)",
	"CREATE TABLE log (n int AUTO_INCREMENT PRIMARY KEY, what text)",
	"CREATE SEQUENCE tickets START WITH 1000 INCREMENT BY 7",
	"CREATE FUNCTION twice(a int) RETURNS int DETERMINISTIC RETURN a * 2",
	"CREATE VIEW z_orders AS SELECT o.id, o.customer, twice(o.id) AS double_id, 'it''s `shop_1`.`x`' AS note FROM orders o",
	"CREATE VIEW a_buyers AS SELECT c.name, count(0) AS n FROM customers c JOIN z_orders z ON z.customer = c.id GROUP BY c.name",
	"CREATE TRIGGER second BEFORE INSERT ON orders FOR EACH ROW BEGIN IF NEW.total < 0 THEN SET NEW.total = 0; END IF; END",
	"CREATE TRIGGER first BEFORE INSERT ON orders FOR EACH ROW PRECEDES second INSERT INTO log (what) VALUES (concat('order ', NEW.id, '; ünï 🦊'))",
	"CREATE TRIGGER gone AFTER DELETE ON customers FOR EACH ROW INSERT INTO log (what) VALUES (concat('gone ', OLD.name))",
	"CREATE PROCEDURE tidy(IN x int, OUT y int) COMMENT 'DEFINER=`root`@`%`' BEGIN DELETE FROM log WHERE n < 0; SET y = x; END",
	"CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' ON COMPLETION PRESERVE ENABLE COMMENT 'x' DO DELETE FROM log WHERE n < 0",
	"CREATE EVENT never ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DISABLE DO DELETE FROM log",
	"INSERT INTO customers (name, feels, likes, photo, extra, born, seen, wakes, active, ratio, small, yr) SELECT concat('name ', seq, ' \\t\\\\ \\n''\"🦊'), 1 + seq % 3, 'a,b', unhex(md5(seq)), json_object('n', seq), '2000-01-01' + INTERVAL seq DAY," +
		" '2026-05-06 07:08:09.123456' + INTERVAL seq HOUR, '06:30:00.5', b'101', seq / 3e0, 0.5, 2026 FROM seq_1_to_500",
	"UPDATE customers SET photo = unhex(repeat('005c27221a0a0d25ff', 30000)) WHERE id % 100 = 0",
	"INSERT INTO `Odd ``Items``; (1)` (id, `a;b`, cost, `values`) VALUES (1, '\\'),(''', 0.10, 8), (2, 'NULL', 1234567890.12, 9), (3, NULL, NULL, NULL)",
	"INSERT INTO orders SELECT seq, (SELECT min(id) FROM customers) + seq % 500, 1 + seq % 3, '2025-01-01' + INTERVAL seq HOUR, seq / 7 FROM seq_1_to_3000",
	"INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2)",
	"INSERT INTO loose VALUES ('k', 'ünï')",
	"SELECT nextval(tickets)",
	"ALTER TABLE customers AUTO_INCREMENT = 200000", // which a server that was killed remembers
}

// scribble damages the shop in a way that only a restore of all of it repairs.
var scribble = []string{
	"DROP TABLE orders", "UPDATE customers SET photo = 'x'", "DROP VIEW a_buyers", "CREATE VIEW other AS SELECT 1 AS one", "CREATE TABLE later (a int)", "INSERT INTO later VALUES (1)", "DROP TRIGGER gone", "DROP EVENT nightly",
	"CREATE TRIGGER extra BEFORE INSERT ON tree FOR EACH ROW SET NEW.up = NULL", "DROP PROCEDURE tidy", "CREATE PROCEDURE other() SELECT 1", "CREATE EVENT more ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' DO DELETE FROM log",
	"CREATE PROCEDURE tidy() SELECT 'another one'",
}

// fill makes the shop in a fresh database, and opens it.
func fill(t testing.TB) (*mysqltest.Database, *Database) {
	t.Helper()
	at := mysqltest.New(t)
	d := opened(t, at.URL)
	run(t, d, shop...)
	return at, d
}

func opened(t testing.TB, url string) *Database {
	t.Helper()
	d, err := Open(url, source.Options{Journal: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// run runs statements in the database as its user.
func run(t testing.TB, d *Database, statements ...string) {
	t.Helper()
	c, done, err := d.connect(t.Context(), d.at.name)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for _, s := range statements {
		if _, err := c.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// one asks for one value.
func one[T any](t testing.TB, db *sql.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// dumped returns the database's dump, and what it holds.
func dumped(t testing.TB, d *Database) (string, []dump.Table) {
	t.Helper()
	s, err := d.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
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

func restore(d *Database, text string, o source.Restore) error {
	if o.Format == "" {
		o.Format = dump.MySQLSQL
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

// left lists what restores have left: databases on the server, and files in the journal's folder.
func left(t testing.TB, at *mysqltest.Database, d *Database) []string {
	t.Helper()
	rows, err := at.Admin.QueryContext(t.Context(), "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE ?", at.Name+mark+"%")
	if err != nil {
		t.Fatal(err)
	}
	all, err := names(rows)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(d.o.Journal)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// clean fails if a restore has left something.
func clean(t testing.TB, at *mysqltest.Database, d *Database) {
	t.Helper()
	if l := left(t, at, d); len(l) > 0 {
		t.Errorf("left: %v", l)
	}
}

func rowsOf(tables []dump.Table) string {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, "%s=%d ", t.Name, t.Rows)
	}
	return b.String()
}
