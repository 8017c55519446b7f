//go:build linux

// Package shop is an application for end-to-end tests: a database of a PostgreSQL of its own, as real programs would have it, what a bad upgrade
// does to it, and a way to see whether it is as it was.
package shop

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

// Postgres is a database of a private PostgreSQL: not of the one that Holdfast runs for itself.
type Postgres struct {
	server *local.Local
	Dir    string // of its data
	Name   string // of the database

}

// NewPostgres starts a server with the database "shop" of about so many rows.
func NewPostgres(t testing.TB, rows int) *Postgres {
	t.Helper()
	cfg := pgtest.Private(t)
	l, err := local.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &Postgres{l, cfg.Dir, "shop"}
	p.Admin(t, `CREATE DATABASE shop`)
	p.Exec(t, fmt.Sprintf(pgSchema, rows/5, rows/5*2, rows/5*2))
	return p
}

// At is the address of one of the server's databases.
func (p *Postgres) At(db string) string {
	u, err := url.Parse(p.server.DatabaseURL())
	if err != nil {
		panic(err)
	}
	u.Path = "/" + db
	return u.String()
}

// URL is the address of the live one.
func (p *Postgres) URL() string { return p.At(p.Name) }

func (p *Postgres) do(t testing.TB, db, text string) {
	t.Helper()
	c, err := sql.Open("postgres", p.At(db))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%.100s: %v", text, err)
	}
}

// Admin runs SQL in the server's own database, Exec in the live one.
func (p *Postgres) Admin(t testing.TB, text string) { t.Helper(); p.do(t, "postgres", text) }
func (p *Postgres) Exec(t testing.TB, text string)  { t.Helper(); p.do(t, p.Name, text) }

// Drop drops a database.
func (p *Postgres) Drop(t testing.TB, db string) {
	t.Helper()
	p.Admin(t, "DROP DATABASE "+pq.QuoteIdentifier(db))
}

// Load makes a database of a plain dump.
func (p *Postgres) Load(t testing.TB, db, path string) {
	t.Helper()
	p.Admin(t, "CREATE DATABASE "+pq.QuoteIdentifier(db))
	Tool(t, nil, "", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", p.At(db), "-f", path)
}

// Changing are the lines of a dump that differ from one to the next.
var Changing = regexp.MustCompile(`(?m)^(--|\\(un)?restrict |/\*M?!).*\n`)

// State is all that is in a database, as text; db "": in the live one.
func (p *Postgres) State(t testing.TB, db string) string {
	t.Helper()
	if db == "" {
		db = p.Name
	}
	// Row by row in order: where rows lie differs after a restore.
	var b strings.Builder
	b.WriteString(Changing.ReplaceAllString(Tool(t, nil, "", "pg_dump", "--schema-only", "-d", p.At(db)), ""))
	c, err := sql.Open("postgres", p.At(db))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tables, err := Strings(t.Context(), c, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		sum, err := Strings(t.Context(), c, fmt.Sprintf(`SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(x::text), '' ORDER BY md5(x::text))), '') FROM %s x`, table))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, table, sum)
	}
	seqs, err := Strings(t.Context(), c, `SELECT sequencename || ' ' || coalesce(last_value::text, '-') FROM pg_sequences ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, seqs)
	return b.String()
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

// Damage does to a database what a bad upgrade does.
func Damage(t testing.TB, db interface {
	Exec(t testing.TB, sql string)
}) {
	t.Helper()
	for _, sql := range []string{"DROP VIEW order_totals", "DELETE FROM order_items WHERE id % 3 = 0", "UPDATE customers SET name = 'x'", "CREATE TABLE leftover (id int)"} {
		db.Exec(t, sql)
	}
}
