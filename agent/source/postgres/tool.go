package postgres

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// places are where PostgreSQL's own programs lie. PATH comes last, because on Debian it has a script that chooses a version by itself.
var places = []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*", "/opt/homebrew/opt/postgresql@*/bin", "/opt/homebrew/opt/libpq/bin",
	"/usr/local/opt/postgresql@*/bin", "/Library/PostgreSQL/*/bin", `C:\Program Files\PostgreSQL\*\bin`}

// A tool is a program that was found.
type tool struct {
	path         string
	words        string // its own, on its version
	major, minor int
}

func (t tool) name() string { return strings.TrimSuffix(filepath.Base(t.path), ".exe") }

// restricts reports whether this psql has \restrict, which came with the fixes of August 2025.
func (t tool) restricts() bool {
	since, ok := map[int]int{13: 22, 14: 19, 15: 14, 16: 10, 17: 6}[t.major]
	return t.major > 17 || ok && t.minor >= since
}

var versionWords = regexp.MustCompile(`(\d+)\.?(\d*)`)

// find returns a program of the server's version or, if there is none, of the next newer one: older ones refuse the server.
func (d *Database) find(ctx context.Context, program string, server int) (tool, error) {
	var paths []string
	end := ""
	if runtime.GOOS == "windows" {
		end = ".exe"
	}
	for _, place := range append(append([]string{}, d.o.Tools...), d.places...) {
		found, _ := filepath.Glob(filepath.Join(place, program+end)) // one that is no pattern finds nothing
		paths = append(paths, found...)
	}
	if p, err := exec.LookPath(program); err == nil {
		paths = append(paths, p)
	}
	var best tool
	var old []string
	for _, path := range paths {
		out, err := exec.CommandContext(ctx, path, "--version").Output()
		if ctx.Err() != nil {
			return tool{}, ctx.Err()
		}
		t := tool{path: path, words: strings.TrimSpace(string(out))}
		v := versionWords.FindStringSubmatch(t.words)
		if err != nil || v == nil {
			continue // it does not run here
		}
		t.major, _ = strconv.Atoi(v[1])
		t.minor, _ = strconv.Atoi(v[2])
		switch {
		case t.major == server:
			return t, nil
		case t.major < server:
			old = append(old, fmt.Sprintf("%d.%d (%s)", t.major, t.minor, path))
		case best.path == "" || t.major < best.major:
			best = t
		}
	}
	if best.path != "" {
		return best, nil
	}
	if len(old) > 0 {
		return tool{}, fault.New(fault.NotFound, "the server is PostgreSQL %d, but %s was found only in version %s, which is too old: install postgresql-client-%d", server, program, strings.Join(old, ", "), server)
	}
	return tool{}, fault.New(fault.NotFound, "%s is not installed: install postgresql-client-%d, or the package that has PostgreSQL's client programs here", program, server)
}

// command returns a program's command, which knows who we are and dies with ctx. When it is done with, forget must be called.
func (d *Database) command(ctx context.Context, t tool, database string, args ...string) (cmd *exec.Cmd, said *tail, forget func(), err error) {
	env, forget, err := d.at.environment(d.o.Journal, "postgres-", database)
	if err != nil {
		return nil, nil, nil, err
	}
	cmd = exec.CommandContext(ctx, t.path, append([]string{"--no-password"}, args...)...)
	cmd.Env = env
	cmd.WaitDelay = 5 * time.Second
	said = &tail{}
	cmd.Stderr = said
	return cmd, said, forget, nil
}

// ended turns a program's end into an error, with its exit code and last words.
func ended(ctx context.Context, t tool, err error, said *tail) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fault.Wrap(err, fault.Unavailable, "%s could not be run", t.name())
	}
	text := said.String()
	if text == "" {
		text = "it said nothing"
	}
	return fault.Wrap(err, fault.Unavailable, "%s stopped with %s: %s", t.name(), exit.ProcessState, text) // exit status 3, or signal: killed
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

func (t *tail) String() string { return strings.ToValidUTF8(strings.TrimSpace(string(t.b)), "?") }
