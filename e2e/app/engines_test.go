//go:build linux

package app

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/agent/source/mysql/mysqltest"
	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/e2e/api"
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

// tool runs a program of an engine's and returns what it printed.
func tool(t *testing.T, env []string, stdin, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), env...)
	c.Stdin = strings.NewReader(stdin)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.String())
	}
	return string(out)
}

// postgres is a database of a private PostgreSQL: not of the one that Holdfast runs for itself.
type postgres struct {
	server *local.Local
	dir    string
	name   string
}

func newPostgres(t *testing.T, rows int) *postgres {
	t.Helper()
	cfg := pgtest.Private(t)
	l, err := local.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &postgres{l, cfg.Dir, "shop"}
	p.admin(t, `CREATE DATABASE shop`)
	p.exec(t, fmt.Sprintf(pgSchema, rows/5, rows/5*2, rows/5*2))
	return p
}

// at is the address of one of the server's databases.
func (p *postgres) at(db string) string {
	u, err := url.Parse(p.server.DatabaseURL())
	if err != nil {
		panic(err)
	}
	u.Path = "/" + db
	return u.String()
}

func (p *postgres) url() string { return p.at(p.name) }

func (p *postgres) do(t *testing.T, db, text string) {
	t.Helper()
	c, err := sql.Open("postgres", p.at(db))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
}

func (p *postgres) admin(t *testing.T, text string) { t.Helper(); p.do(t, "postgres", text) }
func (p *postgres) exec(t *testing.T, text string)  { t.Helper(); p.do(t, p.name, text) }
func (p *postgres) drop(t *testing.T, db string) {
	t.Helper()
	p.admin(t, "DROP DATABASE "+pq.QuoteIdentifier(db))
}
func (p *postgres) load(t *testing.T, db, path string) {
	t.Helper()
	p.admin(t, "CREATE DATABASE "+pq.QuoteIdentifier(db))
	tool(t, nil, "", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", p.at(db), "-f", path)
}

// changing are the lines of a dump that differ from one to the next.
var changing = regexp.MustCompile(`(?m)^(--|\\(un)?restrict |/\*M?!).*\n`)

func (p *postgres) state(t *testing.T, db string) string {
	t.Helper()
	if db == "" {
		db = p.name
	}
	// Row by row in order: where rows lie differs after a restore.
	var b strings.Builder
	b.WriteString(changing.ReplaceAllString(tool(t, nil, "", "pg_dump", "--schema-only", "-d", p.at(db)), ""))
	c, err := sql.Open("postgres", p.at(db))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tables, err := strs(t.Context(), c, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		sum, err := strs(t.Context(), c, fmt.Sprintf(`SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(x::text), '' ORDER BY md5(x::text))), '') FROM %s x`, table))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, table, sum)
	}
	seqs, err := strs(t.Context(), c, `SELECT sequencename || ' ' || coalesce(last_value::text, '-') FROM pg_sequences ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, seqs)
	return b.String()
}

func strs(ctx context.Context, c *sql.DB, query string) (list []string, err error) {
	rows, err := c.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

const pgSchema = `
CREATE TYPE mood AS ENUM ('froh', 'müde');
CREATE TABLE customers (id bigserial PRIMARY KEY, name text NOT NULL, mail text UNIQUE, mood mood NOT NULL DEFAULT 'froh', photo bytea, extra jsonb, since timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, at timestamptz NOT NULL, total numeric(12,2) NOT NULL);
CREATE TABLE order_items (id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders ON DELETE CASCADE, what text NOT NULL, price numeric(10,2) NOT NULL, n int NOT NULL CHECK (n > 0), sum numeric GENERATED ALWAYS AS (price * n) STORED);
CREATE TABLE audit (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES ('customer ' || NEW.id); RETURN NEW; END $$;
CREATE TRIGGER noted AFTER UPDATE ON customers FOR EACH ROW WHEN (NEW.mail IS NULL) EXECUTE FUNCTION note();
CREATE VIEW order_totals AS SELECT o.id, sum(i.sum) AS sum FROM orders o JOIN order_items i ON i.order_id = o.id GROUP BY o.id;
CREATE MATERIALIZED VIEW moods AS SELECT mood, count(*) FROM customers GROUP BY mood;
COMMENT ON TABLE customers IS 'Kundschaft – «全部»';
INSERT INTO customers (name, mail, photo, extra) SELECT 'Zoë ' || g || ' 🦊', 'c' || g || '@example.org', decode(md5(g::text) || md5((g*7)::text), 'hex'), jsonb_build_object('n', g, 'text', E'quote '' back \\ tab \t') FROM generate_series(1, %d) g;
INSERT INTO orders (customer_id, at, total) SELECT 1 + g %% (SELECT count(*) FROM customers), timestamptz '2020-01-01' + g * interval '1 minute', g %% 1000 FROM generate_series(1, %d) g;
INSERT INTO order_items (order_id, what, price, n) SELECT 1 + g %% (SELECT count(*) FROM orders), E'line one\nline two \\. ' || g, (g %% 977) / 10.0, 1 + g %% 5 FROM generate_series(1, %d) g;
REFRESH MATERIALIZED VIEW moods;
`

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
		m.exec(t, text)
	}
	return m
}

func (m *mariadb) url() string { return m.d.URL }

func (m *mariadb) exec(t *testing.T, text string) {
	t.Helper()
	if _, err := m.server.Open(t, m.d.Name).ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
}

func (m *mariadb) drop(t *testing.T, db string) { t.Helper(); m.d.Exec(t, "DROP DATABASE `"+db+"`") }

func (m *mariadb) client(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	return tool(t, nil, stdin, name, append([]string{"--no-defaults", "-u", "root", "-S", m.server.Socket()}, args...)...)
}

func (m *mariadb) load(t *testing.T, db, path string) {
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

func (m *mariadb) state(t *testing.T, db string) string {
	t.Helper()
	if db == "" {
		db = m.d.Name
	}
	out := m.client(t, "", "mariadb-dump", "--skip-dump-date", "--skip-comments", "--no-data", "--routines", "--triggers", "--events", db)
	out = strings.ReplaceAll(definer.ReplaceAllString(changing.ReplaceAllString(out, ""), ""), db, "DB")
	c := m.server.Open(t, db)
	tables, err := strs(t.Context(), c, `SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_type = 'BASE TABLE' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		columns, err := strs(t.Context(), c, `SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND table_name = '`+table+`' ORDER BY ordinal_position`)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := strs(t.Context(), c, fmt.Sprintf("SELECT concat(count(*), ' ', coalesce(bit_xor(conv(left(md5(concat_ws('|', `%s`)), 15), 16, 10)), 0)) FROM `%s`", strings.Join(columns, "`, `"), table))
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
	s.exec(t, fmt.Sprintf(liteSchema, rows, rows, rows))
	return s
}

func (s *sqlite) url() string { return "sqlite:" + s.path }

func (s *sqlite) exec(t *testing.T, text string) {
	t.Helper()
	tool(t, nil, text, "sqlite3", "-bail", s.path)
}

func (s *sqlite) drop(t *testing.T, db string) {
	t.Helper()
	if err := os.Remove(s.at(db)); err != nil {
		t.Fatal(err)
	}
}

func (s *sqlite) load(t *testing.T, db, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, nil, string(b), "sqlite3", "-bail", s.at(db))
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

func (s *sqlite) state(t *testing.T, db string) string {
	t.Helper()
	return tool(t, nil, "", "sqlite3", s.at(db), ".dump")
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
