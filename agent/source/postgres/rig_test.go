//go:build unix

package postgres

import (
	"context"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/vault/dump"
)

// shop is the schema of an application that uses much of what PostgreSQL has.
const shop = `
CREATE SCHEMA "Stock & more";
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy 😀');
CREATE DOMAIN price AS numeric(12,2) CHECK (VALUE >= 0);
CREATE TYPE place AS (street text, number integer);
CREATE SEQUENCE tickets START 1000 INCREMENT 7;
CREATE TABLE customers (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, feels mood DEFAULT 'ok', home place,
	upper_name text GENERATED ALWAYS AS (upper(name)) STORED, photo bytea, tags text[], extra jsonb, born date, seen timestamptz, wakes time, waits interval, key uuid);
COMMENT ON TABLE customers IS 'who buys: "quotes", ''more'' \ and ünïcödé';
CREATE TABLE "Stock & more"."Odd ""Items""" (id integer PRIMARY KEY, "a;b" text, cost price);
CREATE TABLE orders (id integer NOT NULL, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE DEFERRABLE, at timestamp NOT NULL, total double precision,
	ticket bigint DEFAULT nextval('tickets'), PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE heir (more text) INHERITS ("Stock & more"."Odd ""Items""");
CREATE TABLE nothing ();
CREATE UNLOGGED TABLE cache (k text, v text);
CREATE TABLE log (n serial, what text);
CREATE INDEX ON orders (customer) WHERE total > 5;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
	-- COPY public.log (n) FROM stdin;
	INSERT INTO public.log (what) VALUES (TG_OP || '; $$ ' || NEW.name); RETURN NEW; END $f$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION note();
CREATE PROCEDURE tidy() LANGUAGE sql BEGIN ATOMIC DELETE FROM log WHERE CASE WHEN n < 0 THEN true ELSE false END; INSERT INTO log (what) VALUES ('tidied'); END;
CREATE VIEW buyers AS SELECT c.name, count(*) AS n FROM customers c JOIN orders o ON o.customer = c.id GROUP BY 1;
CREATE MATERIALIZED VIEW sums AS SELECT customer, sum(total) AS total FROM orders GROUP BY 1;
CREATE RULE quiet AS ON INSERT TO nothing DO INSTEAD NOTHING;
CREATE STATISTICS st ON name, feels FROM customers;
CREATE AGGREGATE joined(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
CREATE PUBLICATION pub FOR TABLE customers;
INSERT INTO customers (name, feels, home, photo, tags, extra, born, seen, wakes, waits, key)
	SELECT 'name ' || i || E' \t\\ \n''"🦊', (enum_range(NULL::mood))[1 + i % 3], ROW('street ' || i, i)::place, decode(md5(i::text), 'hex'), ARRAY['a', NULL, 'ü,"'],
		jsonb_build_object('n', i, 'big', 12345678901234567890), date '2000-01-01' + i, timestamptz '2026-05-06 07:08:09.123456+02' + i * interval '1 h', time '06:30:00.5', interval '1 day 2 h', gen_random_uuid()
	FROM generate_series(1, 500) i;
INSERT INTO customers (name, born, seen) VALUES ('', 'infinity', '-infinity'), ('last', '0044-03-15 BC', NULL);
INSERT INTO "Stock & more"."Odd ""Items""" VALUES (1, E'\\.', 0.10), (2, '\N', 1234567890.12), (3, NULL, NULL);
INSERT INTO heir VALUES (4, 'x', 1, 'y');
INSERT INTO orders (id, customer, at, total) SELECT i, 1 + i % 500, timestamp '2025-01-01' + i * interval '4 h', CASE i % 50 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE i / 3.0 END FROM generate_series(1, 3000) i;
INSERT INTO cache VALUES ('k', 'v');
REFRESH MATERIALIZED VIEW sums;
SELECT lo_from_bytea(4711, decode(repeat('00ff5c27', 20000), 'hex'));
COMMENT ON LARGE OBJECT 4711 IS 'a picture';
`

// fill makes the shop in a fresh database.
func fill(t testing.TB) (*sqlx.DB, string) {
	t.Helper()
	db, at := pgtest.Empty(t)
	must(t, db, shop)
	return db, at
}

func must(t testing.TB, db *sqlx.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

// one asks for one value.
func one[T any](t testing.TB, db *sqlx.DB, query string, args ...any) (v T) {
	t.Helper()
	if err := db.Get(&v, query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func opened(t testing.TB, at string) *Database {
	t.Helper()
	d, err := Open(at, source.Options{Journal: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

var random = regexp.MustCompile(`(?m)^\\(un)?restrict .*$`)

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
	return random.ReplaceAllString(string(b), ""), r.Tables()
}

func restore(d *Database, text string, o source.Restore) error {
	if o.Format == "" {
		o.Format = dump.PostgresSQL
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

// neighbourOf returns the address of another database of the server.
func neighbourOf(t testing.TB, at, name string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// as returns an address with another user.
func as(t testing.TB, at, user string) string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}

// left lists what restores of the database have left.
func left(t testing.TB, db *sqlx.DB, name string) []string {
	t.Helper()
	var names []string
	if err := db.Select(&names, "SELECT datname FROM pg_database WHERE datname LIKE $1", name+mark+"%"); err != nil {
		t.Fatal(err)
	}
	return names
}

// scribble damages the shop in a way that only a restore of all of it repairs.
const scribble = `DROP TABLE orders CASCADE; UPDATE customers SET name = name || '!'; TRUNCATE "Stock & more"."Odd ""Items""" CASCADE; CREATE TABLE later (a int);
	SELECT lo_unlink(4711); SELECT setval('tickets', 5); DROP VIEW IF EXISTS buyers; CREATE SCHEMA also; CREATE TABLE also.t (a int); ALTER TYPE mood ADD VALUE 'new'`

func pgOpen(t testing.TB, at string) (*sqlx.DB, error) {
	db, err := sqlx.Open("postgres", at)
	if err == nil {
		t.Cleanup(func() { db.Close() })
	}
	return db, err
}
