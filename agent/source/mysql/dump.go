package mysql

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"

	"github.com/go-sql-driver/mysql"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A session reads the database. The dump's moment is the one at which the dump begins.
type session struct {
	d      *Database
	server server
}

// Begin connects. There is nothing to hold: see the package's comment.
func (d *Database) Begin(ctx context.Context) (source.Session, error) {
	s, err := d.server(ctx)
	if err != nil {
		return nil, err
	}
	if exists, err := d.exists(ctx, d.at.name); err != nil {
		return nil, err
	} else if !exists {
		return nil, fault.New(fault.NotFound, "there is no database %s on the server, or %s may not see it", d.at.name, d.at.user)
	}
	return &session{d: d, server: s}, nil
}

// Close has nothing to end.
func (s *session) Close() error { return nil }

// dumpArgs are how a dump is made. Rows are asked for in the order of the primary key, because a server may prefer
// another index, and does when it is smaller. Blobs are not written in hexadecimal, which doubles them, and would make
// a row of more than half of max_allowed_packet one that cannot be loaded again.
func dumpArgs(t tool, database string, without []string) []string {
	args := []string{"--single-transaction", "--quick", "--order-by-primary", "--routines", "--triggers", "--events", "--skip-hex-blob", "--skip-dump-date",
		"--no-tablespaces", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"}
	if !t.maria {
		args = append(args, "--set-gtid-purged=OFF", "--column-statistics=0")
	}
	for _, view := range without {
		args = append(args, "--ignore-table="+database+"."+view)
	}
	return append(args, "--", database)
}

// broken returns the views that the server itself cannot read any more, because what they stand on is gone. A dump program stops at them,
// and none could create them again.
func (d *Database) broken(ctx context.Context, database string) ([]string, error) {
	c, done, err := d.connect(ctx, database)
	if err != nil {
		return nil, err
	}
	defer done()
	var views []object
	if err := d.list(ctx, c, sqlViews, database, &views); err != nil {
		return nil, d.failed(ctx, err, "list its views")
	}
	var names []string
	for _, v := range views {
		rows, err := c.QueryContext(ctx, "SHOW FIELDS FROM "+quote(v.Name))
		if err == nil {
			err = rows.Close()
		}
		var e *mysql.MySQLError
		if errors.As(err, &e) && e.Number == 1356 {
			names = append(names, v.Name)
		} else if err != nil {
			return nil, d.failed(ctx, err, "describe the view "+v.Name)
		}
	}
	return names, nil
}

// Dump starts the dump.
func (s *session) Dump(ctx context.Context) (source.Dump, error) {
	t, err := s.d.find(ctx, dumpers(s.server))
	if err != nil {
		return nil, err
	}
	without, err := s.d.broken(ctx, s.d.at.name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd, said, forget, err := s.d.command(ctx, t, dumpArgs(t, s.d.at.name, without)...)
	if err != nil {
		cancel()
		return nil, err
	}
	r := &reader{ctx: ctx, tool: t, cmd: cmd, said: said, scan: dump.NewMySQLStatements(nil), end: func() { cancel(); forget() }}
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
	scan *dump.MySQLStatements
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
		return fault.Wrap(read, fault.Unavailable, "what %s wrote could not be read", filepath.Base(r.tool.path))
	}
	if err := ended(r.ctx, r.tool, r.cmd.Wait(), r.said); err != nil {
		return err
	}
	if !r.scan.Whole() {
		return fault.New(fault.Unavailable, "%s ended without an error, but its dump is not whole", filepath.Base(r.tool.path))
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
