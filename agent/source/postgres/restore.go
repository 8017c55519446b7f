package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Restore loads a dump and puts it in place.
func (d *Database) Restore(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) error {
	if o.Format.Engine() != dump.Postgres {
		return fault.New(fault.Invalid, "a dump of the kind %q cannot be loaded into PostgreSQL", o.Format)
	}
	return d.build(ctx, o, func(p *plan) error {
		if err := tooNew(o.From, p.server); err != nil {
			return err
		}
		l := &loader{d: d, plan: p, in: in, o: o, progress: progress}
		if p.inPlace {
			return l.inPlace(ctx)
		}
		return l.beside(ctx)
	})
}

// build makes a fresh database, lets fill fill it, and puts it in place; or lets fill do all of it, if the plan is in place.
func (d *Database) build(ctx context.Context, o source.Restore, fill func(*plan) error) (err error) {
	p, err := d.plan(ctx, o)
	if err != nil {
		return err
	}
	defer p.close()
	if p.inPlace {
		return fill(p)
	}
	if len(p.bound) > 0 {
		return fault.New(fault.Conflict, "%s belongs to the database %s and would be lost with it: drop it first, and make it again afterwards", strings.Join(p.bound, ", "), p.target)
	}
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		if e := d.removeAnew(ctx, p); e != nil {
			err = fault.Wrap(errors.Join(err, e), fault.KindOf(err), "%s. The database %s is left, and will be removed before the next restore", strings.TrimRight(sentence(err), "."), p.fresh)
		}
	}()
	if err := d.create(ctx, p); err != nil {
		return err
	}
	d.stop("created")
	if err := fill(p); err != nil {
		return err
	}
	d.stop("loaded")
	if err := d.dress(ctx, p); err != nil {
		return err
	}
	if err := d.swap(ctx, p); err != nil {
		return err
	}
	d.stop("swapped")
	if !p.exists {
		return nil
	}
	// The restore is done; what cannot be removed now Mend removes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	d.drop(ctx, p.conn, p.server, p.fresh+oldEnd)
	return nil
}

// removeAnew removes the fresh database, over another connection if the plan's is gone.
func (d *Database) removeAnew(ctx context.Context, p *plan) error {
	c, err := d.connect(ctx, p.db)
	if err != nil {
		return err
	}
	defer c.Close()
	return d.drop(ctx, c, p.server, p.fresh)
}

// tooNew refuses dumps of newer servers, whose SQL an older one does not know.
func tooNew(from string, s server) error {
	if majorOf(from) > s.major {
		return fault.New(fault.Invalid, "the dump is of PostgreSQL %s, and the server is PostgreSQL %s, which does not know all of its SQL: restore into a server of version %d or later", from, s.words, majorOf(from))
	}
	return nil
}

// check analyses the fresh database and compares its rows.
func (d *Database) check(ctx context.Context, p *plan, want []dump.Table) error {
	db, err := d.open(p.fresh)
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := d.connect(ctx, db)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.ExecContext(ctx, "ANALYZE"); err != nil {
		return d.failed(ctx, err, "look at the restored tables")
	}
	_, err = c.ExecContext(ctx, sqlDo(sqlCompare(want)))
	return d.compared(ctx, err)
}

// compared turns the error of sqlCompare into one for people.
func (d *Database) compared(ctx context.Context, err error) error {
	var e *pq.Error
	if errors.As(err, &e) && e.Code == wrongRows {
		return fault.New(fault.Invalid, "%s", e.Message)
	}
	return d.failed(ctx, err, "count the restored rows")
}

const (
	swapTries = 8                      // each of which waits up to five seconds for sessions to go
	endEvery  = 100 * time.Millisecond // sessions are ended again, because new ones come
)

// swap gives the fresh database the target's name, and the target another, in one transaction.
func (d *Database) swap(ctx context.Context, p *plan) error {
	renames := [][2]string{{p.fresh, p.target}}
	if p.exists {
		renames = [][2]string{{p.target, p.fresh + oldEnd}, renames[0]}
	}
	var err error
	for range swapTries {
		err = d.rename(ctx, p, renames)
		var e *pq.Error
		if !errors.As(err, &e) || e.Code != "55006" && e.Code != "40P01" { // in use, deadlock
			break
		}
	}
	if err != nil {
		return d.failed(ctx, err, "put the restored database in the place of %s", p.target)
	}
	return nil
}

// rename renames while the sessions of what is renamed are being ended. The rename takes the lock that new sessions of
// the database wait for, and then waits for five seconds for the others to be gone.
func (d *Database) rename(ctx context.Context, p *plan, renames [][2]string) error {
	db, err := d.open(p.from)
	if err != nil {
		return err
	}
	defer db.Close()
	helper, err := d.connect(ctx, db)
	if err != nil {
		return err
	}
	defer helper.Close()
	done := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(endEvery)
		defer tick.Stop()
		for {
			for _, r := range renames {
				helper.ExecContext(ctx, sqlEndSessions, r[0]) // if it fails, the rename says that there are sessions
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	defer func() { close(done); <-gone }()
	return d.inTx(ctx, p.conn, func(tx *sql.Tx) error {
		for i, r := range renames {
			if _, err := tx.ExecContext(ctx, fmt.Sprintf("ALTER DATABASE %s RENAME TO %s", quote(r[0]), quote(r[1]))); err != nil {
				return err
			}
			d.stop(fmt.Sprintf("renamed %d", i))
		}
		return nil
	})
}

// inTx runs f in a transaction. Once f has done its part the transaction commits, whatever becomes of ctx: who is told to stop in that
// moment would not know otherwise which database is the live one.
func (d *Database) inTx(ctx context.Context, c *sql.Conn, f func(*sql.Tx) error) error {
	tx, err := c.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// drop drops a database that a restore made, sessions and all.
func (d *Database) drop(ctx context.Context, c *sql.Conn, s server, name string) error {
	if !strings.Contains(name, mark) {
		return fault.New(fault.Internal, "%s is nothing that a restore made", name)
	}
	force := ""
	if s.major >= 13 {
		force = " WITH (FORCE)"
	}
	var err error
	for range swapTries {
		if _, err = c.ExecContext(ctx, sqlEndSessions, name); err != nil {
			break
		}
		_, err = c.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quote(name)+force)
		var e *pq.Error
		if !errors.As(err, &e) || e.Code != "55006" {
			break
		}
	}
	return d.failed(ctx, err, "drop the database %s", name)
}

// Mend removes databases that a restore left when it was killed: what was not finished, and what was replaced.
func (d *Database) Mend(ctx context.Context) (string, error) {
	p := &plan{target: d.at.name}
	defer p.close()
	if err := d.neighbour(ctx, p); err != nil {
		return "", err
	}
	s, err := d.server(ctx, p.conn)
	if err != nil {
		return "", err
	}
	left, err := d.names(ctx, p.conn, sqlLeft, leftovers(d.at.name))
	if err != nil || len(left) == 0 {
		return "", err
	}
	for _, name := range left {
		if err := d.drop(ctx, p.conn, s, name); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("removed %s, which an interrupted restore had left; %s is whole", strings.Join(left, " and "), d.at.name), nil
}
