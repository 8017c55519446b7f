package selfbackup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// killWait is how long we wait for the pipes of a program that was ended.
const killWait = 5 * time.Second

// dump runs pg_dump on a database and writes what it prints to w.
func dump(ctx context.Context, program, databaseURL string, w io.Writer) error {
	cmd, said, err := command(ctx, program, databaseURL,
		"--format=custom", "--no-owner", "--no-privileges", "--no-password", "--lock-wait-timeout=60s")
	if err != nil {
		return err
	}
	cmd.Stdout = w
	return explain(ctx, cmd, said, cmd.Run())
}

// restore runs pg_restore in one transaction. feed writes the dump; if it fails, nothing is restored, and its error is
// returned.
func restore(ctx context.Context, program, databaseURL string, feed func(io.Writer) error) error {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd, said, err := command(ctx, program, databaseURL,
		"--format=custom", "--no-owner", "--no-privileges", "--no-password", "--exit-on-error", "--single-transaction")
	if err != nil {
		return err
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return explain(ctx, cmd, said, err)
	}
	pipe := &counted{to: in}
	fed := feed(pipe)
	if fed != nil && pipe.err == nil {
		kill() // before it could take the end of its input for the end of the dump
		cmd.Wait()
		return fed
	}
	in.Close()
	return explain(ctx, cmd, said, cmd.Wait()) // a broken pipe is its consequence
}

// counted remembers why a pipe broke.
type counted struct {
	to  io.Writer
	err error
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	if err != nil {
		c.err = err
	}
	return n, err
}

// command prepares a client program of PostgreSQL. All that it is told of the server, the password above all, stands in its
// environment, where only its own user and root can see it.
func command(ctx context.Context, program, databaseURL string, args ...string) (*exec.Cmd, *tail, error) {
	env, database, err := environment(databaseURL, os.Environ())
	if err != nil {
		return nil, nil, err
	}
	if filepath.Base(program) == "pg_restore" { // which prints a script if it is not told whereto
		args = append(args, "--dbname="+connectionString(database))
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = env, "/", killWait
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us
	said := &tail{}
	cmd.Stderr = said
	return cmd, said, nil
}

// connectionString names a database, whatever characters its name has.
func connectionString(database string) string {
	return "dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database) + "'"
}

// settings of an address that libpq, too, has a variable for. What else lib/pq knows means nothing for a dump.
var settings = map[string]string{
	"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "passfile": "PGPASSFILE",
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "connect_timeout": "PGCONNECT_TIMEOUT",
}

// environment returns the environment of a client program that is to reach the database at an address, and the database's name. Of our
// own it takes what libpq goes by.
func environment(databaseURL string, own []string) (env []string, database string, err error) {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, "", fault.New(fault.Invalid, "the database's address is not understood (want postgres://user:password@host:5432/database)")
	}
	vars := map[string]string{}
	for _, v := range own {
		key, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(key, "PG") || key == "HOME" || key == "LD_LIBRARY_PATH" {
			vars[key] = value
		}
	}
	set := func(key, value string) {
		if value != "" {
			vars[key] = value
		}
	}
	set("PGHOST", u.Hostname())
	set("PGPORT", u.Port())
	set("PGDATABASE", strings.TrimPrefix(u.Path, "/"))
	if u.User != nil {
		set("PGUSER", u.User.Username())
		password, _ := u.User.Password()
		set("PGPASSWORD", password)
	}
	for key, variable := range settings {
		set(variable, u.Query().Get(key))
	}
	if vars["PGSSLMODE"] == "" {
		vars["PGSSLMODE"] = "require" // lib/pq's default; libpq's would go on without TLS
	}
	vars["PATH"], vars["LC_ALL"], vars["PGAPPNAME"] = "/usr/local/bin:/usr/bin:/bin", "C", "holdfast"
	for key, value := range vars {
		env = append(env, key+"="+value)
	}
	return env, vars["PGDATABASE"], nil
}

// explain turns a program's end into words.
func explain(ctx context.Context, cmd *exec.Cmd, said *tail, err error) error {
	name := filepath.Base(cmd.Path)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, new(*exec.ExitError)):
		return fault.Wrap(err, fault.Unavailable, "%s failed: %s", name, said)
	}
	return fault.Wrap(err, fault.Unavailable, "%s cannot be run", name)
}

// tail keeps the end of what a program says.
type tail struct{ b []byte }

const tailSize = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if over := len(t.b) - tailSize; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

// String returns the last lines as one.
func (t *tail) String() string {
	lines := bytes.FieldsFunc(t.b, func(r rune) bool { return r == '\n' })
	return string(bytes.Join(lines[max(0, len(lines)-3):], []byte(" | ")))
}
