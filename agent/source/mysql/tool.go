package mysql

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// dumpers and clients are the programs, the server's own kind first.
func dumpers(s server) []string {
	if s.maria {
		return []string{"mariadb-dump", "mysqldump"}
	}
	return []string{"mysqldump", "mariadb-dump"}
}

func clients(s server) []string {
	if s.maria {
		return []string{"mariadb", "mysql"}
	}
	return []string{"mysql", "mariadb"}
}

// A tool is a program that was found.
type tool struct {
	path    string
	version string // its own words
	maria   bool
}

// find finds the first of the programs, and asks it for its version.
func (d *Database) find(ctx context.Context, names []string) (tool, error) {
	for _, name := range names {
		path := ""
		for _, dir := range d.o.Tools {
			if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				path = p
				break
			}
		}
		if path == "" {
			p, err := exec.LookPath(name)
			if err != nil {
				continue
			}
			path = p
		}
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.Env = environment()
		out, err := cmd.Output()
		if err != nil {
			return tool{}, fault.Wrap(err, fault.Unavailable, "%s cannot be run", path)
		}
		v := strings.TrimSpace(string(out))
		return tool{path: path, version: v, maria: strings.Contains(v, "MariaDB")}, nil
	}
	return tool{}, fault.New(fault.NotFound, "neither %s is installed: install the package mariadb-client or mysql-client", strings.Join(names, " nor "))
}

// environment is ours, without what would change a program's target or words.
func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MYSQL_") && !strings.HasPrefix(e, "MARIADB_") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") {
			env = append(env, e)
		}
	}
	return env
}

// command returns a program's command, which knows who we are, reads no other files of options, and dies with ctx. When it is done
// with, forget must be called.
func (d *Database) command(ctx context.Context, t tool, args ...string) (cmd *exec.Cmd, said *tail, forget func(), err error) {
	file, err := d.at.options(d.o.Journal, d.remembered(), t.maria)
	if err != nil {
		return nil, nil, nil, err
	}
	cmd = exec.CommandContext(ctx, t.path, append([]string{"--defaults-file=" + file}, args...)...)
	cmd.Env = environment()
	cmd.WaitDelay = 5 * time.Second
	said = &tail{}
	cmd.Stderr = said
	return cmd, said, func() { os.Remove(file) }, nil
}

// ended turns a program's end into an error, with its exit code and last words.
func ended(ctx context.Context, t tool, err error, said *tail) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	name := filepath.Base(t.path)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fault.Wrap(err, fault.Unavailable, "%s could not be run", name)
	}
	how := exit.ProcessState.String() // exit status 2, or signal: killed
	if text := said.String(); text != "" {
		return fault.Wrap(err, fault.Unavailable, "%s stopped with %s: %s", name, how, text)
	}
	return fault.Wrap(err, fault.Unavailable, "%s stopped with %s and said nothing", name, how)
}

// tail keeps the end of what a program complained about.
type tail struct{ b []byte }

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - tailBytes; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// String leaves out the statement, with its rows, that the client shows before its complaint.
func (t *tail) String() string {
	s := string(t.b)
	if i := strings.LastIndex(s, "\nERROR "); i >= 0 {
		s = s[i:]
	}
	return strings.ToValidUTF8(strings.TrimSpace(s), "?")
}
