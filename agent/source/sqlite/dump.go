package sqlite

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// session reads the file.
type session struct{ d *Database }

// Begin looks whether the file is there. There is nothing to hold: see the package's comment.
func (d *Database) Begin(context.Context) (source.Session, error) {
	if _, err := os.Stat(d.path); err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "%s cannot be read (%s)", d.path, reason(err))
	}
	return &session{d}, nil
}

// Close has nothing to end.
func (s *session) Close() error { return nil }

// settings are what a file has beside its content, as statements for a new one.
func (d *Database) settings(ctx context.Context) (string, error) {
	names := []string{"encoding", "page_size", "auto_vacuum", "user_version", "application_id", "journal_mode"}
	out, err := d.ask(ctx, d.path, "PRAGMA "+strings.Join(names, ";\nPRAGMA ")+";\n")
	if err != nil {
		return "", err
	}
	values := strings.Split(out, "\n")
	if len(values) != len(names) {
		return "", fault.New(fault.Unavailable, "sqlite3 told %d settings of %s, and %d were asked for", len(values), d.path, len(names))
	}
	var b strings.Builder
	for i, n := range names {
		switch v := values[i]; {
		case n == "encoding":
			fmt.Fprintf(&b, "PRAGMA encoding=%s;\n", literal(v))
		case n != "journal_mode":
			fmt.Fprintf(&b, "PRAGMA %s=%s;\n", n, v)
		case v == "wal":
			b.WriteString("PRAGMA journal_mode=wal;\n")
		}
	}
	return b.String(), nil
}

// Dump starts the dump.
func (s *session) Dump(ctx context.Context) (source.Dump, error) {
	before, err := s.d.settings(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd, said, err := s.d.shell(ctx, s.d.path, "-readonly", "-safe")
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Stdin = strings.NewReader(".timeout " + busy + "\n.dump\n")
	r := &reader{ctx: ctx, cmd: cmd, said: said, scan: dump.NewScanner(dump.SQLiteSQL), cancel: cancel}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fault.Wrap(err, fault.Unavailable, "sqlite3 could not be started")
	}
	r.out = io.MultiReader(strings.NewReader(before), out)
	return r, nil
}

// reader is a dump that is being read.
type reader struct {
	ctx    context.Context
	cmd    *exec.Cmd
	out    io.Reader
	said   *tail
	scan   *dump.Scanner
	cancel context.CancelFunc
	err    error // how it ended
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
	r.err = r.finish(err)
	if n > 0 {
		return n, nil
	}
	return 0, r.err
}

// finish waits for the shell and returns how it went.
func (r *reader) finish(read error) error {
	defer r.cancel()
	if read != io.EOF {
		r.cmd.Process.Kill()
		r.cmd.Wait()
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		return fault.Wrap(read, fault.Unavailable, "what sqlite3 wrote could not be read")
	}
	if err := ended(r.ctx, r.cmd.Wait(), r.said); err != nil {
		return err
	}
	if err := r.scan.Whole(); err != nil { // it rolls back at damage, and exits as if all were well
		return fault.Wrap(err, fault.Unavailable, "sqlite3 could not read all of the database: check it with PRAGMA integrity_check")
	}
	return io.EOF
}

// Tables returns the rows of every table.
func (r *reader) Tables() []dump.Table { return r.scan.Tables() }

// Close kills the shell if it still runs.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = fault.New(fault.Conflict, "the dump was closed before it ended")
		r.cmd.Process.Kill()
		r.cmd.Wait()
		r.cancel()
	}
	return nil
}
