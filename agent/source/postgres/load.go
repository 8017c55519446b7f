package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os/exec"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A loader feeds a dump to psql.
type loader struct {
	d        *Database
	plan     *plan
	in       io.Reader
	o        source.Restore
	progress func(int64)
	read     int64
}

// beside loads into the fresh database and compares. Nothing there needs to survive by itself: the transaction of the swap flushes
// all that came before it.
func (l *loader) beside(ctx context.Context) error {
	have, err := l.psql(ctx, l.plan.fresh, "SET synchronous_commit = off; SET default_transaction_read_only = off;\n", func([]dump.Table) string { return "" })
	if err != nil {
		return err
	}
	return l.d.check(ctx, l.plan, l.want(have))
}

// inPlace empties the target, loads, compares and commits, all in one transaction of psql's. If it ends before the commit, for whatever
// reason, the server rolls back.
func (l *loader) inPlace(ctx context.Context) error {
	_, err := l.psql(ctx, l.plan.target, "SET synchronous_commit = on; SET default_transaction_read_only = off; SET lock_timeout = '60s'; SET client_min_messages = warning;\nBEGIN;\n"+sqlDo(sqlEmpty), func(have []dump.Table) string {
		return "SET row_security = off;\n" + sqlDo(sqlCompare(l.want(have))) + "COMMIT;\n"
	})
	if err != nil {
		return err
	}
	l.d.stop("committed")
	_, err = l.plan.conn.ExecContext(ctx, "ANALYZE")
	return l.d.failed(ctx, err, "look at the restored tables")
}

// want are the rows that must be there.
func (l *loader) want(have []dump.Table) []dump.Table {
	if l.o.Want != nil {
		return l.o.Want
	}
	return have
}

// Read reads the dump, and tells how far it is.
func (l *loader) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	if l.read += int64(n); n > 0 && l.progress != nil {
		l.progress(l.read)
	}
	return n, err
}

// psql feeds psql: what comes before, the dump, and what comes after, if the dump was whole. It returns what the dump held.
func (l *loader) psql(ctx context.Context, database, before string, after func([]dump.Table) string) ([]dump.Table, error) {
	d, p := l.d, l.plan
	t, err := d.find(ctx, "psql", p.server.major)
	if err != nil {
		return nil, err
	}
	f, err := d.newFilter(ctx, p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	text, stop, err := l.text(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	cmd, said, forget, err := d.command(ctx, t, database, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
	if err != nil {
		return nil, err
	}
	defer forget()
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s could not be started", t.path)
	}
	f.out = &pipeOut{pipe}
	scan := dump.NewPostgresStatements(f.pass)
	if t.restricts() {
		before = "\\restrict " + rand.Text() + "\n" + before
	}
	_, err = io.WriteString(f.out, before)
	if err == nil {
		err = l.feed(ctx, scan, text)
	}
	if err == nil && !scan.Whole() {
		err = fault.New(fault.Invalid, "the dump breaks off: its end, \"-- PostgreSQL database dump complete\", is not there")
	}
	if err == nil {
		_, err = io.WriteString(f.out, after(scan.Tables()))
	}
	if err != nil && !errors.Is(err, errPipe) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel() // whatever else it has in its pipe is not wanted
		cmd.Wait()
		return nil, err
	}
	pipe.Close()
	if e := loaded(ctx, t, cmd.Wait(), said); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s stopped reading", t.name())
	}
	return scan.Tables(), nil
}

// loaded is ended for psql, whose exit status 3 says that the script was at fault.
func loaded(ctx context.Context, t tool, err error, said *tail) error {
	var exit *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &exit) && exit.ExitCode() == 3 {
		kind := fault.Invalid
		if strings.Contains(said.String(), "No space left") || strings.Contains(said.String(), "could not extend file") {
			kind = fault.StorageFull
		}
		return fault.Wrap(err, kind, "the dump could not be loaded, and nothing was changed: %s", said)
	}
	return ended(ctx, t, err, said)
}

// errPipe says that the program does not read any more; why is for the program to say.
var errPipe = errors.New("the pipe is closed")

type pipeOut struct{ io.Writer }

func (p *pipeOut) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if err != nil {
		err = errors.Join(errPipe, err)
	}
	return n, err
}

// text returns the dump as SQL.
func (l *loader) text(ctx context.Context) (text io.Reader, stop func(), err error) {
	if l.o.Format == dump.PostgresSQL {
		return l, func() {}, nil
	}
	t, err := l.d.find(ctx, "pg_restore", max(l.plan.server.major, majorOf(l.o.From)))
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, t.path, "--format=custom", "--file=-")
	cmd.WaitDelay = unpackDelay
	said := &tail{}
	cmd.Stdin, cmd.Stderr = l, said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Unavailable, "%s could not be started", t.path)
	}
	u := &unpacked{ctx: ctx, tool: t, cmd: cmd, out: out, said: said}
	return u, u.stop, nil
}

// feed gives all of the dump to the scan.
func (l *loader) feed(ctx context.Context, scan *dump.PostgresStatements, text io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		n, err := text.Read(buf)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := scan.Write(buf[:n]); err != nil {
			return err
		}
		if n > 0 {
			l.d.stop("loading")
		}
		if err == io.EOF {
			return scan.Close()
		} else if err != nil {
			return err
		}
	}
}
