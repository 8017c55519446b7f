package sqlite

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A session is a shell that has begun a transaction, in which everything is read. It is asked one thing at a time; what it prints ends
// with a line that nothing else can be.
type session struct {
	d    *Database
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said *tail
	kill context.CancelFunc
	end  string // the line
	over error  // why it cannot be asked any more

	version  string
	at       time.Time
	settings string // statements that make a new file one like this
}

// Begin begins the transaction.
func (d *Database) Begin(ctx context.Context) (source.Session, error) {
	if info, err := os.Stat(d.path); err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "%s cannot be read (%s)", d.path, reason(err))
	} else if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%s is no file", d.path)
	}
	_, version, err := d.tool(ctx)
	if err != nil {
		return nil, err
	}
	own, kill := context.WithCancel(context.WithoutCancel(ctx))
	s := &session{d: d, kill: kill, end: "-- " + rand.Text(), version: version}
	if s.cmd, s.said, err = d.shell(own, d.path, "-readonly", "-safe"); err != nil {
		kill()
		return nil, err
	}
	var out io.ReadCloser
	if s.in, err = s.cmd.StdinPipe(); err == nil {
		if out, err = s.cmd.StdoutPipe(); err == nil {
			err = s.cmd.Start()
		}
	}
	if err != nil {
		kill()
		return nil, fault.Wrap(err, fault.Unavailable, "sqlite3 could not be started")
	}
	s.out = bufio.NewReaderSize(out, 256<<10)
	if err := s.begin(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// begin reads something, with which the transaction has its moment.
func (s *session) begin(ctx context.Context) (err error) {
	if _, err = s.ask(ctx, s.d.timeout()+"BEGIN;\nSELECT count(*) FROM sqlite_schema;\n"); err != nil {
		return err
	}
	s.at = time.Now().UTC()
	names := []string{"encoding", "page_size", "auto_vacuum", "user_version", "application_id", "journal_mode"}
	out, err := s.ask(ctx, "PRAGMA "+strings.Join(names, ";\nPRAGMA ")+";\n")
	if err != nil {
		return err
	}
	values := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(values) != len(names) {
		return fault.New(fault.Unavailable, "sqlite3 told %d settings of %s, and %d were asked for", len(values), s.d.path, len(names))
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
	s.settings = b.String()
	return nil
}

// Close ends the shell, and with it the transaction.
func (s *session) Close() error {
	if s.over == nil {
		s.over = fault.New(fault.Conflict, "this look at the database was ended")
	}
	s.kill()
	s.cmd.Wait() // a second time it returns at once
	return nil
}

// say gives the shell lines, and lets it die when ctx ends before done is called. done returns why it did.
func (s *session) say(ctx context.Context, lines string) (done func() error, err error) {
	if s.over != nil {
		return nil, s.over
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, s.kill)
	if _, err := io.WriteString(s.in, lines+".print \""+s.end+"\"\n"); err != nil && !errors.Is(err, os.ErrClosed) {
		stop()
		return nil, s.ended(ctx)
	}
	return func() error {
		if !stop() {
			return s.ended(ctx)
		}
		return nil
	}, nil
}

// ended is why the shell ended.
func (s *session) ended(ctx context.Context) error {
	s.in.Close()
	err := ended(ctx, s.cmd.Wait(), s.said)
	if s.kill(); err == nil {
		err = fault.New(fault.Unavailable, "sqlite3 ended before it had said everything")
	}
	s.over = err
	return err
}

// line returns the next line of what the shell prints, or a part of a long one, and io.EOF at the end of it. It is valid until the next
// call. fresh says whether a line begins with it.
func (s *session) line(ctx context.Context, fresh bool) ([]byte, error) {
	b, err := s.out.ReadSlice('\n')
	switch {
	case err == nil && fresh && len(b) == len(s.end)+1 && string(b[:len(b)-1]) == s.end:
		return nil, io.EOF
	case err == nil || errors.Is(err, bufio.ErrBufferFull):
		return b, nil
	}
	return nil, s.ended(ctx)
}

// ask returns what the shell prints.
func (s *session) ask(ctx context.Context, lines string) (string, error) {
	done, err := s.say(ctx, lines)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for fresh := true; ; {
		l, err := s.line(ctx, fresh)
		if err == io.EOF {
			return b.String(), done()
		} else if err != nil {
			return "", err
		}
		b.Write(l)
		fresh = strings.HasSuffix(string(l), "\n")
	}
}
