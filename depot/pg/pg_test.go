package pg_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/depot/local"
	"github.com/holdfast-backup/holdfast/depot/pg"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestOpenFails(t *testing.T) {
	t.Parallel()
	_, at := pgtest.NewURL(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	for _, c := range []struct {
		url  string
		kind fault.Kind
		says string
	}{
		{"postgres://u:secret@" + addr + "/db?sslmode=disable", fault.Unavailable, addr},
		{"mysql://u:secret@host/db", fault.Invalid, "want postgres://"},
		{"postgres://u:secret@host:port/db", fault.Invalid, "want postgres://"},
		{"postgres://u:secret@%zz/db", fault.Invalid, "want postgres://"},
		{strings.Replace(at, "/holdfast_test_", "/no_such_database_", 1), fault.Unavailable, "no_such_database"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := pg.Open(ctx, c.url)
		cancel()
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", c.url, err)
		}
	}
}

// TestOpenWaits: a server that begins to listen only later is waited for.
func TestOpenWaits(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Private(t)
	l, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := l.DatabaseURL()
	l.Close()
	opened := make(chan error, 1)
	go func() {
		db, err := pg.Open(t.Context(), at)
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	time.Sleep(50 * time.Millisecond)
	if l, err = local.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestInTx(t *testing.T) {
	t.Parallel()
	db := notes(t)
	if err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { return add(tx, "kept") }); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	if err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { add(tx, "failed"); return mine }); err != mine {
		t.Errorf("fn's own error came back as %v", err)
	}
	func() {
		defer func() {
			if recover() != "oh" {
				t.Error("the panic was swallowed")
			}
		}()
		pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { add(tx, "panicked"); panic("oh") })
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := pg.InTx(ctx, db, func(tx *sqlx.Tx) error { add(tx, "cancelled"); cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := all(t, db); got != "kept" {
		t.Errorf("rows: %s", got)
	}
	// A failed transaction gives its connection back.
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d connections are still in use", n)
	}
}

// TestCollisions: transactions that collide are repeated until all are through.
func TestCollisions(t *testing.T) {
	t.Parallel()
	db := notes(t)
	if err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { return errors.Join(add(tx, "a"), add(tx, "b")) }); err != nil {
		t.Fatal(err)
	}
	// Two transactions lock two rows in opposite order: a deadlock, every time, on their first try.
	var wg, both sync.WaitGroup
	both.Add(2)
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			tries := 0
			err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
				tries++
				if err := lock(tx, order[0]); err != nil {
					return err
				}
				if tries == 1 {
					both.Done()
					both.Wait()
				}
				return lock(tx, order[1])
			})
			if err != nil {
				t.Errorf("%v after %d tries", err, tries)
			}
		})
	}
	wg.Wait()
	// One that always collides is given up in the end.
	tries := 0
	err := pg.InTx(t.Context(), db, func(*sqlx.Tx) error { tries++; return &pq.Error{Code: "40001"} })
	if err == nil || tries < 2 || tries > 10 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	db := notes(t)
	twice := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { add(tx, "a"); return add(tx, "a") })
	if !pg.IsUnique(twice) || !pg.IsUnique(twice, "notes_pkey") || pg.IsUnique(twice, "other") || pg.IsForeignKey(twice) {
		t.Errorf("%v", twice)
	}
	orphan := pg.InTx(t.Context(), db, orphan)
	if !pg.IsForeignKey(orphan) || pg.IsUnique(orphan) {
		t.Errorf("%v", orphan)
	}
	for _, err := range []error{nil, errors.New("x"), io.EOF} {
		if pg.IsUnique(err) || pg.IsForeignKey(err) {
			t.Errorf("%v", err)
		}
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		kind fault.Kind
	}{
		{plain, fault.Internal},
		{fault.New(fault.Conflict, "ours"), fault.Conflict},
		{&pq.Error{Code: "53100"}, fault.StorageFull},
		{&pq.Error{Code: "25006"}, fault.Unavailable},
		{&pq.Error{Code: "53300"}, fault.Unavailable},
		{&pq.Error{Code: "57P01"}, fault.Unavailable},
		{&pq.Error{Code: "57P03"}, fault.Unavailable},
		{&pq.Error{Code: "08006"}, fault.Unavailable},
		{&pq.Error{Code: "23505"}, fault.Internal},
		{fmt.Errorf("wrapped: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), fault.Unavailable},
		{driver.ErrBadConn, fault.Unavailable},
		{io.ErrUnexpectedEOF, fault.Unavailable},
		{context.Canceled, fault.Internal},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, &net.OpError{Op: "read", Err: syscall.ECONNRESET}), fault.Internal},
	} {
		got := pg.Fault(c.err)
		if fault.KindOf(got) != c.kind || !errors.Is(got, c.err) {
			t.Errorf("%v: got %v", c.err, got)
		}
	}
	if pg.Fault(nil) != nil {
		t.Error("nil became an error")
	}
}

// TestServerGoesAway: what callers see when PostgreSQL is stopped under them, and that all is well when it is back.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	cfg := pgtest.Private(t)
	l, err := local.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	db, err := pg.Open(t.Context(), l.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	makeNotes(t, db)
	during := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
		add(tx, "lost")
		l.Close()
		return add(tx, "lost too")
	})
	atCommitOrBegin := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { return nil })
	for _, err := range []error{during, atCommitOrBegin} {
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	if l, err = local.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if err := pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error { return add(tx, "new") }); err != nil {
		t.Fatal(err)
	}
	if got := all(t, db); got != "new" {
		t.Errorf("rows: %s", got)
	}
}

// TestCommitLost: the server goes away before the commit: the outcome is unknown, and the error says so.
func TestCommitLost(t *testing.T) {
	t.Parallel()
	l, err := local.Start(t.Context(), pgtest.Private(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	db, err := pg.Open(t.Context(), l.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	makeNotes(t, db)
	err = pg.InTx(t.Context(), db, func(tx *sqlx.Tx) error {
		err := add(tx, "x")
		l.Close()
		return err
	})
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("got %v", err)
	}
}

// TestMigrate: many servers may start at once on an empty database; a newer schema is refused.
func TestMigrate(t *testing.T) {
	t.Parallel()
	db, at := pgtest.Empty(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := pg.Open(t.Context(), at)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := pg.Migrate(t.Context(), db); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db, "users"); n != 0 {
		t.Errorf("%d users", n)
	}
	pretendNewer(t, db)
	if err := pg.Migrate(t.Context(), db); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "newer holdfast") {
		t.Errorf("a newer schema: %v", err)
	}
}

// TestDown: every migration can be undone, and done again.
func TestDown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if err := pg.Down(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if left := tables(t, db); left != "goose_db_version" {
		t.Errorf("left: %s", left)
	}
	if err := pg.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}
