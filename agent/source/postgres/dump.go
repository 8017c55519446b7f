package postgres

import (
	"context"
	"database/sql"
	"io"
	"os/exec"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A session holds a transaction whose snapshot others may read, too.
type session struct {
	d        *Database
	conn     *sql.Conn
	tx       *sql.Tx
	end      context.CancelFunc
	server   server
	snapshot string
	at       time.Time
}

// Begin takes the snapshot.
func (d *Database) Begin(ctx context.Context) (_ source.Session, err error) {
	c, err := d.connect(ctx, d.db)
	if err != nil {
		return nil, err
	}
	s := &session{d: d, conn: c}
	// The transaction lasts until Close, or the connection's end, not only for as long as Begin's context.
	tctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.end = cancel
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.server, err = d.server(ctx, c); err != nil {
		return nil, err
	}
	if s.tx, err = c.BeginTx(tctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return nil, d.failed(ctx, err, "begin a transaction")
	}
	if err := s.tx.QueryRowContext(ctx, sqlSnapshot).Scan(&s.snapshot, &s.at); err != nil {
		return nil, d.failed(ctx, err, "take a snapshot")
	}
	return s, nil
}

// Close gives the snapshot up.
func (s *session) Close() error {
	s.end()
	if s.tx != nil {
		s.tx.Rollback() // it has written nothing
	}
	s.conn.Close()
	return nil
}

// Dump starts the dump.
func (s *session) Dump(ctx context.Context) (source.Dump, error) {
	t, err := s.d.find(ctx, "pg_dump", s.server.major)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd, said, forget, err := s.d.command(ctx, t, s.d.at.name, "--format=plain", "--encoding=UTF8", "--snapshot="+s.snapshot)
	if err != nil {
		cancel()
		return nil, err
	}
	r := &reader{ctx: ctx, tool: t, cmd: cmd, said: said, scan: dump.NewScanner(dump.PostgresSQL), end: func() { cancel(); forget() }}
	if r.out, err = cmd.StdoutPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.end()
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be started", t.path)
	}
	return r, nil
}

// A reader is a dump that is being read.
type reader struct {
	ctx  context.Context
	tool tool
	cmd  *exec.Cmd
	out  io.Reader
	said *tail
	scan *dump.Scanner
	err  error // how it ended
	end  func()
}

// Read returns io.EOF only for a dump that is whole.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.out.Read(p)
	if _, e := r.scan.Write(p[:n]); e != nil {
		err = e
	}
	if err == nil {
		return n, nil
	}
	if r.err = r.finish(err); n > 0 {
		return n, nil
	}
	return 0, r.err
}

// finish waits for the program and returns how it went.
func (r *reader) finish(read error) error {
	defer r.end()
	if read != io.EOF {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		return fault.Wrap(read, fault.Unavailable, "what %s wrote could not be read", r.tool.name())
	}
	if err := ended(r.ctx, r.tool, r.cmd.Wait(), r.said); err != nil {
		return err
	}
	if r.scan.Whole() != nil {
		return fault.New(fault.Unavailable, "%s ended without an error, but its dump is not whole", r.tool.name())
	}
	return io.EOF
}

// Tables returns the rows of every table.
func (r *reader) Tables() []dump.Table { return r.scan.Tables() }

// Close kills the program if it still runs.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = fault.New(fault.Conflict, "the dump was closed before it ended")
		r.cmd.Process.Kill()
		r.cmd.Wait()
		r.end()
	}
	return nil
}
