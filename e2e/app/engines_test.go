//go:build linux

package app

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/e2e/api"
	"github.com/holdfast-backup/holdfast/e2e/shop"
)

// login is the owner over GraphQL.
func (o *owner) login() *api.Client {
	o.Helper()
	p, err := os.ReadFile(o.a.PasswordFile)
	o.ok(err)
	c, err := api.Login(o.Context(), o.s.URL, o.a.Email, []byte(strings.TrimSpace(string(p))))
	o.ok(err)
	return c
}

// postgres is a database of a private PostgreSQL.
type postgres struct{ *shop.Postgres }

func newPostgres(t *testing.T, rows int) *postgres {
	t.Helper()
	return &postgres{shop.NewPostgres(t, rows)}
}

// mariadb is a database of a private MariaDB.
type mariadb struct {
	server *mysqltest.Server
	d      *mysqltest.Database
}

func newMariaDB(t *testing.T, rows int) *mariadb {
	t.Helper()
	server := mysqltest.Private(t)
	m := &mariadb{server, server.New(t)}
	m.d.Exec(t, "GRANT ALL PRIVILEGES ON `shop\\_copy%`.* TO `"+m.d.User+"`@`127.0.0.1`", "GRANT SELECT ON mysql.proc TO `"+m.d.User+"`@`127.0.0.1`")
	for _, text := range strings.Split(fmt.Sprintf(mySchema, rows/5, rows/5*2, rows/5*2), ";;") {
		m.Exec(t, text)
	}
	return m
}

func (m *mariadb) URL() string { return m.d.URL }

func (m *mariadb) Exec(t testing.TB, text string) {
	t.Helper()
	if _, err := m.server.Open(t, m.d.Name).ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
}

func (m *mariadb) Drop(t testing.TB, db string) { t.Helper(); m.d.Exec(t, "DROP DATABASE `"+db+"`") }

func (m *mariadb) client(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	return shop.Tool(t, nil, stdin, name, append([]string{"--no-defaults", "-u", "root", "-S", m.server.Socket()}, args...)...)
}

func (m *mariadb) Load(t testing.TB, db, path string) {
	t.Helper()
	m.d.Exec(t, "CREATE DATABASE `"+db+"`")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m.client(t, string(b), "mariadb", db)
}

// named takes the database's own name out of its definitions, and the definer.
var definer = regexp.MustCompile("DEFINER=`[^`]*`@`[^`]*`")

func (m *mariadb) State(t testing.TB, db string) string {
	t.Helper()
	if db == "" {
		db = m.d.Name
	}
	out := m.client(t, "", "mariadb-dump", "--skip-dump-date", "--skip-comments", "--no-data", "--routines", "--triggers", "--events", db)
	out = strings.ReplaceAll(definer.ReplaceAllString(shop.Changing.ReplaceAllString(out, ""), ""), db, "DB")
	c := m.server.Open(t, db)
	tables, err := shop.Strings(t.Context(), c, `SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_type = 'BASE TABLE' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		columns, err := shop.Strings(t.Context(), c, `SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND table_name = '`+table+`' ORDER BY ordinal_position`)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := shop.Strings(t.Context(), c, fmt.Sprintf("SELECT concat(count(*), ' ', coalesce(bit_xor(conv(left(md5(concat_ws('|', `%s`)), 15), 16, 10)), 0)) FROM `%s`", strings.Join(columns, "`, `"), table))
		if err != nil {
			t.Fatal(err)
		}
		out += fmt.Sprintln(table, sum)
	}
	return out
}

const mySchema = `CREATE TABLE customers (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(200) NOT NULL, mail varchar(200) UNIQUE, mood enum('froh', 'müde') NOT NULL DEFAULT 'froh', photo blob, since timestamp NOT NULL DEFAULT '2020-01-01 00:00:00') COMMENT 'Kundschaft – «全部»';;
CREATE TABLE orders (id bigint AUTO_INCREMENT PRIMARY KEY, customer_id bigint NOT NULL, at datetime NOT NULL, total decimal(12,2) NOT NULL, FOREIGN KEY (customer_id) REFERENCES customers (id));;
CREATE TABLE order_items (id bigint AUTO_INCREMENT PRIMARY KEY, order_id bigint NOT NULL, what varchar(200) NOT NULL, price decimal(10,2) NOT NULL, n int NOT NULL, sum decimal(12,2) AS (price * n) STORED, FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);;
CREATE TABLE audit (id bigint AUTO_INCREMENT PRIMARY KEY, what varchar(200));;
CREATE VIEW order_totals AS SELECT o.id, sum(i.sum) AS sum FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY o.id;;
CREATE PROCEDURE tidy(IN least int) DELETE FROM audit WHERE id < least;;
INSERT INTO customers (name, mail, photo) SELECT concat('Zoë ', seq, ' 🦊'), concat('c', seq, '@example.org'), unhex(concat(md5(seq), md5(seq*7))) FROM seq_1_to_%d;;
INSERT INTO orders (customer_id, at, total) SELECT 1 + seq %% (SELECT count(*) FROM customers), timestamp '2020-01-01 00:00:00' + interval seq minute, seq %% 1000 FROM seq_1_to_%d;;
INSERT INTO order_items (order_id, what, price, n) SELECT 1 + seq %% (SELECT count(*) FROM orders), concat('line one\nline two \\\\ \' ', seq), (seq %% 977) / 10, 1 + seq %% 5 FROM seq_1_to_%d;;
CREATE TRIGGER noted AFTER UPDATE ON customers FOR EACH ROW INSERT INTO audit (what) SELECT concat('customer ', NEW.id) FROM DUAL WHERE NEW.mail IS NULL`

// sqlite is a file.
type sqlite struct{ path string }

func newSQLite(t *testing.T, rows int) *sqlite {
	t.Helper()
	s := &sqlite{filepath.Join(t.TempDir(), "shop.db")}
	s.Exec(t, fmt.Sprintf(liteSchema, rows, rows, rows))
	return s
}

func (s *sqlite) URL() string { return "sqlite:" + s.path }

func (s *sqlite) Exec(t testing.TB, text string) {
	t.Helper()
	shop.Tool(t, nil, text, "sqlite3", "-bail", s.path)
}

func (s *sqlite) Drop(t testing.TB, db string) {
	t.Helper()
	if err := os.Remove(s.at(db)); err != nil {
		t.Fatal(err)
	}
}

func (s *sqlite) Load(t testing.TB, db, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shop.Tool(t, nil, string(b), "sqlite3", "-bail", s.at(db))
}

// at is where a database of this name is.
func (s *sqlite) at(db string) string {
	switch {
	case db == "":
		return s.path
	case filepath.IsAbs(db):
		return db
	}
	return filepath.Join(filepath.Dir(s.path), db)
}

func (s *sqlite) State(t testing.TB, db string) string {
	t.Helper()
	return shop.Tool(t, nil, "", "sqlite3", s.at(db), ".dump")
}

const liteSchema = `
PRAGMA journal_mode = WAL;
CREATE TABLE customers (id integer PRIMARY KEY AUTOINCREMENT, name text NOT NULL, photo blob);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), total real);
CREATE TABLE order_items (id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), what text NOT NULL);
CREATE TABLE audit (id integer PRIMARY KEY, what text);
CREATE VIEW order_totals AS SELECT customer_id, sum(total) AS sum FROM orders GROUP BY customer_id;
CREATE TRIGGER noted AFTER DELETE ON customers BEGIN INSERT INTO audit (what) VALUES ('gone ' || OLD.id); END;
BEGIN;
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT %d) INSERT INTO customers (name, photo) SELECT 'Zoë ' || g || ' 🦊' || char(10) || 'it''s', randomblob(40) FROM s;
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT %d) INSERT INTO orders (customer_id, total) SELECT g, g / 3.0 FROM s;
WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s LIMIT %d) INSERT INTO order_items (order_id, what) SELECT g, 'item ' || g FROM s;
COMMIT;
`
