package selfbackup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/blob"
	"github.com/holdfast-backup/holdfast/depot/blob/blobtest"
	"github.com/holdfast-backup/holdfast/depot/blob/mem"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
)

var secret = []byte("the installation's secret: " + strings.Repeat("s", 40))

// world is a database with things in it, a store, and whoever can open copies.
type world struct {
	t        *testing.T
	db       *sqlx.DB
	url      string
	store    *mem.Store
	faulty   *blobtest.Faulty
	identity *age.X25519Identity
	service  *Service
}

func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, store: mem.New(), identity: newIdentity(t)}
	w.faulty = blobtest.NewFaulty(w.store)
	w.db, w.url = pgtest.NewURL(t)
	cfg := Config{DB: w.db, DatabaseURL: w.url, Store: w.faulty, Secret: secret, Recipients: []age.Recipient{w.identity.Recipient()}}
	if change != nil {
		change(&cfg)
	}
	w.service = New(cfg)
	return w
}

func newIdentity(t *testing.T) *age.X25519Identity {
	t.Helper()
	i, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// fill writes rows of most types. With much, enough of them that a dump has several parts.
func (w *world) fill(much bool) {
	w.t.Helper()
	nodes := 1
	if much {
		nodes = 6
	}
	for _, q := range []string{
		`INSERT INTO users (id, email, email_key, name, role, kdf_salt, kdf_time, kdf_memory, kdf_threads, auth_hash, bundle, recovery_auth_hash, recovery_bundle, identity_public)
			SELECT gen_random_uuid(), 'Ünal' || n || '@example.org', 'ünal' || n || '@example.org', E'Ü\\n''"\t日本' || n, (ARRAY['staff', 'admin', 'superuser']::role[])[1 + n % 3],
				'\x00ff', 3, 65536, 4, '\x01', '\x02', '\x03', '\x04', '\x05' FROM generate_series(1, 100) AS n`,
		`INSERT INTO spaces (public_id, owner_id, chunk_min, chunk_avg, chunk_max) SELECT gen_random_uuid(), id, 1, 2, 3 FROM users LIMIT 3`,
		`INSERT INTO packs (space_id, name, size, objects) SELECT id, decode(md5(id::text) || md5('x'), 'hex'), 1000, 10 FROM spaces`,
		`INSERT INTO objects (space_id, id, pack_id, "offset", length) SELECT 1, gen_random_uuid(), 1, n, n FROM generate_series(1, 5000) AS n`,
		fmt.Sprintf(`INSERT INTO nodes (space_id, id, children, data) SELECT 1, gen_random_uuid(), '\x', decode(string_agg(md5(random()::text), ''), 'hex')
			FROM generate_series(1, %d) AS n, generate_series(1, 65536) GROUP BY n`, nodes),
		`INSERT INTO settings (key, value) VALUES ('a', '{"b": [1, null, "ü"]}')`,
	} {
		if _, err := w.db.Exec(q); err != nil {
			w.t.Fatalf("%v\n%s", err, q)
		}
	}
}

// contents returns a line for every table, sequence and index of a database.
func contents(t *testing.T, db *sqlx.DB) string {
	t.Helper()
	var tables []string
	if err := db.Select(&tables, `SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, table := range tables {
		var line string
		err := db.Get(&line, `SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))), '') FROM `+table+` AS r`)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s\n", table, line)
	}
	for _, q := range []string{
		`SELECT sequencename || ' ' || coalesce(last_value::text, 'unused') FROM pg_sequences ORDER BY 1`,
		`SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
		`SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`,
		`SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`,
	} {
		var lines []string
		if err := db.Select(&lines, q); err != nil {
			t.Fatal(err)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

func (w *world) dump() Info {
	w.t.Helper()
	i, err := w.service.Dump(w.t.Context(), actor.System())
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

// put stores a blob.
func (w *world) put(name string, b []byte) {
	w.t.Helper()
	p, err := w.store.Create(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := p.Write(b); err != nil {
		w.t.Fatal(err)
	}
	if err := p.Commit(w.t.Context(), name); err != nil {
		w.t.Fatal(err)
	}
}

// get returns a blob's bytes.
func (w *world) get(name string) []byte {
	w.t.Helper()
	r, err := w.store.Open(w.t.Context(), name, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// names returns the names of all blobs, those of copies first, newest first.
func (w *world) names() []string {
	w.t.Helper()
	all, err := list(w.t.Context(), w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	err = w.store.List(w.t.Context(), "", func(b blob.Info) error {
		if _, ok := parseName(b.Name); !ok {
			names = append(names, b.Name)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

// seal writes an archive as it should not be.
func (w *world) seal(write func(io.Writer) error) []byte {
	w.t.Helper()
	var b bytes.Buffer
	s, err := age.Encrypt(&b, w.identity.Recipient())
	if err == nil {
		err = errors.Join(write(s), s.Close())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return b.Bytes()
}

// recovery is one of the world's store into a fresh database.
func (w *world) recovery() (*sqlx.DB, recovery) {
	w.t.Helper()
	db, url := pgtest.Empty(w.t)
	return db, recovery{w.faulty, []age.Identity{w.identity}, url, w.service.find}
}

func isEmpty(t *testing.T, db *sqlx.DB) bool {
	t.Helper()
	none, err := empty(context.Background(), db)
	if err != nil {
		t.Fatal(err)
	}
	return none
}

// ago is a name of a copy from before.
func ago(d time.Duration, hash byte) string {
	return name(time.Now().Add(-d), bytes.Repeat([]byte{hash}, 32))
}
