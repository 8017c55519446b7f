// Package sqlite reads and writes databases of SQLite through SQLite's own shell, the program sqlite3.
//
// A dump is what .dump writes, with the settings of the file before it that .dump leaves out (encoding, page size, user_version,
// application_id, write-ahead log). A Session is one shell in one read transaction, so dump and portable export are of one moment. Without a write-ahead
// log, those who write wait for as long as that lasts.
//
// A restore makes a new file beside the old one (.NAME__holdfast_ID), loads the dump into it, checks its integrity and counts its rows.
// A copy then gets its name by a link, which never takes the place of another file. In place, SQLite's own backup writes the new
// content into the live file in one transaction: those who have it open wait, and see the old content or the new; a
// kill leaves a journal, from which whoever opens the file next goes back to the old. Mend removes what was built beside.
//
// A file that SQLite does not take for a database, damaged at its beginning, is replaced by a new one, as nobody can have it open.
//
// The shell runs in its safe mode: a dump that somebody made cannot start programs or open other files. What no dump has is refused before
// it gets there.
//
// What is not promised: a program that holds a lock for more than a minute keeps a backup or a restore from happening, and so does one that has
// a file with a write-ahead log open if the new one has pages of another size. Contents of virtual tables of modules that the shell does not have
// cannot be dumped, and neither can texts with zero bytes: the dump fails. Of numbers with a fraction the shell writes twenty digits, which may be
// too few for the last bit of the very smallest.
package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Database is a file. It implements [source.Database].
type Database struct {
	path string
	o    source.Options

	stop func(step string) // tests die here
	busy int               // milliseconds that the shell waits for others
}

const mark = "__holdfast_" // in the names of what a restore builds beside a file

// busy is how long the shell waits for others, in milliseconds.
const busy = 60_000

// Open returns the database at an address: sqlite:PATH, with an absolute path.
func Open(address string, o source.Options) (*Database, error) {
	_, path, _ := strings.Cut(address, ":")
	path = strings.TrimPrefix(path, "//")
	if !filepath.IsAbs(path) || strings.ContainsAny(path, "\x00\n\r") {
		return nil, fault.New(fault.Invalid, "the address of a SQLite database is sqlite: and its whole path, such as sqlite:/srv/shop/shop.db")
	}
	return &Database{path: filepath.Clean(path), o: o, stop: func(string) {}, busy: busy}, nil
}

// Engine returns SQLite.
func (d *Database) Engine() dump.Engine { return dump.SQLite }

// Name returns the file's path.
func (d *Database) Name() string { return d.path }

// Close has nothing to end.
func (d *Database) Close() error { return nil }

// tool returns the shell and its version.
func (d *Database) tool(ctx context.Context) (path, version string, err error) {
	for _, dir := range d.o.Tools {
		if p, err := exec.LookPath(filepath.Join(dir, "sqlite3")); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if path, err = exec.LookPath("sqlite3"); err != nil {
			return "", "", fault.Wrap(err, fault.NotFound, "the program sqlite3 is not installed: install the package sqlite3")
		}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", "", fault.Wrap(err, fault.Unavailable, "%s cannot be run", path)
	}
	version, _, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return path, version, nil
}

// shell returns the shell on a file, with nobody's settings.
func (d *Database) shell(ctx context.Context, file string, args ...string) (*exec.Cmd, *tail, error) {
	path, _, err := d.tool(ctx)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, path, append(append([]string{"-batch", "-bail", "-init", os.DevNull}, args...), file)...)
	cmd.Env = append(os.Environ(), "SQLITE_HISTORY="+os.DevNull)
	cmd.WaitDelay = 5 * time.Second
	said := &tail{}
	cmd.Stderr = said
	return cmd, said, nil
}

// timeout is the shell's command to wait for others.
func (d *Database) timeout() string { return fmt.Sprintf(".timeout %d\n", d.busy) }

// ask runs statements on a file that is only read, and returns what they print.
func (d *Database) ask(ctx context.Context, file, statements string) (string, error) {
	cmd, said, err := d.shell(ctx, file, "-readonly", "-safe")
	if err != nil {
		return "", err
	}
	cmd.Stdin = strings.NewReader(d.timeout() + statements)
	out, err := cmd.Output()
	return strings.TrimRight(string(out), "\n"), ended(ctx, err, said)
}

// ended turns the shell's end into an error, with its exit code and last words.
func ended(ctx context.Context, err error, said *tail) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fault.Wrap(err, fault.Unavailable, "sqlite3 could not be run")
	}
	text := said.String()
	if text == "" {
		text = "it said nothing"
	}
	if busyText.MatchString(text) {
		return held(err, "the database", said)
	}
	return fault.Wrap(err, fault.Unavailable, "sqlite3 stopped with %s: %s", exit.ProcessState, text)
}

var busyText = regexp.MustCompile(`database is (?:locked|busy)`)

// held is the error for what others kept us from.
func held(err error, path string, said *tail) error {
	return fault.Wrap(err, fault.Conflict, "others hold %s, and did not let go of it in time. Stop what uses it, and try again (%s)", path, said)
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

// magic is how a database's file begins.
var magic = []byte("SQLite format 3\x00")

// isDatabase reports whether a file begins as one of SQLite's, or is empty, which is one without tables.
func isDatabase(f io.Reader) bool {
	head := make([]byte, len(magic))
	n, _ := io.ReadFull(f, head)
	return n == 0 || bytes.Equal(head, magic)
}

// Check looks at what a backup needs.
func (d *Database) Check(ctx context.Context) (source.Check, error) {
	c := source.Check{Engine: dump.SQLite}
	point := func(ok bool, what, text string, args ...any) {
		c.Points = append(c.Points, source.Point{OK: ok, What: what, Text: fmt.Sprintf(text, args...)})
	}
	_, version, err := d.tool(ctx)
	if ctx.Err() != nil {
		return c, context.Cause(ctx)
	}
	if err != nil {
		point(false, "sqlite3", "%s", sentence(err))
		return c, nil
	}
	c.Version, c.Tool = version, "sqlite3 "+version
	point(true, "sqlite3", "%s", version)
	f, err := os.Open(d.path)
	if err != nil {
		point(false, "file", "%s cannot be read (%s): name the right file, or let this service read it", d.path, reason(err))
		return c, nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		point(false, "file", "%s is no file: name the database's file itself", d.path)
		return c, nil
	}
	if !isDatabase(f) {
		point(false, "file", "%s is no SQLite database, or an encrypted one", d.path)
		return c, nil
	}
	for _, end := range []string{"", "-wal"} {
		if info, err := os.Stat(d.path + end); err == nil {
			c.Bytes += info.Size()
		}
	}
	out, err := d.ask(ctx, d.path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\';\n")
	if ctx.Err() != nil {
		return c, context.Cause(ctx)
	}
	if err != nil {
		point(false, "file", "%s cannot be opened: %s", d.path, sentence(err))
		return c, nil
	}
	fmt.Sscan(out, &c.Tables)
	point(true, "file", "%s has %d tables", d.path, c.Tables)
	return c, nil
}

// reason is why the file system refused something.
func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// sentence is an error's text for people, without its cause.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Message
	}
	return err.Error()
}

// fresh is a name beside target that nothing has.
func fresh(target string) string {
	var id [4]byte
	rand.Read(id[:])
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+mark+hex.EncodeToString(id[:]))
}

// literal writes a string in SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// quote writes a name in SQL.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
