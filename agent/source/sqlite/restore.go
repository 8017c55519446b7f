package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// target is where a restore goes.
func (d *Database) target(o source.Restore) (string, error) {
	switch {
	case o.Format != dump.SQLiteSQL:
		return "", fault.New(fault.Invalid, "a dump of the kind %q cannot be loaded into SQLite", o.Format)
	case o.As == "":
		return d.path, nil
	case !filepath.IsAbs(o.As):
		return "", fault.New(fault.Invalid, "%q is no whole path: name the copy from the top of the file system, such as /srv/shop/copy.db", o.As)
	}
	if _, err := os.Lstat(o.As); !errors.Is(err, fs.ErrNotExist) {
		return "", fault.New(fault.Conflict, "%s exists already: choose another name", o.As)
	}
	return filepath.Clean(o.As), nil
}

// Preflight looks at what a restore needs.
func (d *Database) Preflight(ctx context.Context, o source.Restore) (source.Check, error) {
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
	target, err := d.target(o)
	if err != nil {
		point(false, "target", "%s", sentence(err))
		return c, nil
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".holdfast-*")
	if err != nil {
		point(false, "target", "nothing can be written in %s (%s)", filepath.Dir(target), reason(err))
		return c, nil
	}
	f.Close()
	os.Remove(f.Name())
	if info, err := os.Stat(target); err == nil && info.Mode().IsRegular() {
		w, err := os.OpenFile(target, os.O_RDWR, 0)
		if err != nil {
			point(false, "target", "%s cannot be written (%s)", target, reason(err))
			return c, nil
		}
		w.Close()
	}
	point(true, "target", "%s can be written", target)
	return c, nil
}

// Restore loads a dump beside the target and puts it in place.
func (d *Database) Restore(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) error {
	target, err := d.target(o)
	if err != nil {
		return err
	}
	beside := fresh(target)
	defer remove(beside)
	tables, err := d.load(ctx, beside, in, progress)
	if err != nil {
		return err
	}
	d.stop("loaded")
	if o.Want != nil {
		tables = o.Want
	}
	if err := d.verify(ctx, beside, tables); err != nil {
		return err
	}
	d.stop("verified")
	if o.As != "" {
		return place(beside, target)
	}
	return d.replace(ctx, beside, target)
}

// load makes a new file of a dump and returns the rows that the dump has.
func (d *Database) load(ctx context.Context, file string, in io.Reader, progress func(int64)) ([]dump.Table, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said, err := d.shell(ctx, file, "-safe")
	if err != nil {
		return nil, err
	}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "sqlite3 could not be started")
	}
	scan := dump.NewScanner(dump.SQLiteSQL)
	n, buf := int64(0), make([]byte, 256<<10)
	var reading, writing error
	for reading == nil && writing == nil {
		var k int
		if k, reading = in.Read(buf); k == 0 {
			continue
		}
		if _, err := scan.Write(buf[:k]); err != nil {
			reading = err
			break
		}
		_, writing = pipe.Write(buf[:k])
		if n += int64(k); progress != nil {
			progress(n)
		}
		d.stop("loading")
	}
	if writing == nil && reading != io.EOF {
		cancel() // whatever else it has in its pipe is not wanted
		cmd.Wait()
		return nil, reading
	}
	pipe.Close()
	if err := ended(ctx, cmd.Wait(), said); err != nil {
		return nil, err
	} else if writing != nil {
		return nil, fault.Wrap(writing, fault.Unavailable, "sqlite3 stopped reading")
	}
	if err := scan.Whole(); err != nil {
		return nil, err
	}
	return scan.Tables(), nil
}

// verify checks a new file and counts its rows.
func (d *Database) verify(ctx context.Context, file string, want []dump.Table) error {
	var ask strings.Builder
	ask.WriteString("PRAGMA integrity_check(1);\n")
	for _, t := range want {
		fmt.Fprintf(&ask, "SELECT count(*) FROM %s;\n", quote(t.Name))
	}
	out, err := d.ask(ctx, file, ask.String())
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "what the dump made cannot be read: %s", sentence(err))
	}
	lines := strings.Split(out, "\n")
	if lines[0] != "ok" || len(lines) != len(want)+1 {
		return fault.New(fault.Invalid, "what the dump made is not sound: %s", lines[0])
	}
	for i, t := range want {
		if rows, err := strconv.ParseInt(lines[i+1], 10, 64); err != nil || rows != t.Rows {
			return fault.New(fault.Invalid, "the table %s has %s rows after loading the dump, and should have %d", t.Name, lines[i+1], t.Rows)
		}
	}
	return nil
}

// place gives a new file its name, unless something has it.
func place(file, target string) error {
	f, err := os.Open(file)
	if err == nil {
		err = f.Sync()
		f.Close()
	}
	if err == nil {
		err = os.Link(file, target)
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.Wrap(err, fault.Conflict, "%s exists already: choose another name", target)
	} else if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be written (%s)", target, err)
	}
	return nil
}

// replace writes a new file's content into the live one, in one transaction of SQLite's.
func (d *Database) replace(ctx context.Context, file, target string) error {
	cmd, said, err := d.shell(ctx, target)
	if err != nil {
		return err
	}
	// A write-ahead log of another page size cannot take it. The mode of the new one comes with its content.
	cmd.Stdin = strings.NewReader(".timeout " + busy + "\nPRAGMA wal_checkpoint(TRUNCATE);\nPRAGMA journal_mode=DELETE;\n.restore main " + argument(file) + "\nPRAGMA quick_check(1);\n")
	out, err := cmd.Output()
	d.stop("replaced")
	if err := ended(ctx, err, said); err != nil {
		return err
	}
	if lines := strings.Split(strings.TrimSpace(string(out)), "\n"); lines[len(lines)-1] != "ok" {
		return fault.New(fault.Conflict, "the new content could not take the place of the old: others hold %s. Stop what uses it, and restore again (%s)", target, said)
	}
	return nil
}

// argument writes a path for a command of the shell's.
func argument(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// remove removes a file that was built, with what SQLite keeps beside it.
func remove(file string) {
	for _, end := range []string{"", "-journal", "-wal", "-shm"} {
		os.Remove(file + end)
	}
}

// Mend removes what restores built beside the file that were killed. One that was killed while it wrote into the file itself is undone by
// SQLite when the file is opened next.
func (d *Database) Mend(context.Context) (string, error) {
	left, err := filepath.Glob(filepath.Join(escape(filepath.Dir(d.path)), escape("."+filepath.Base(d.path)+mark)+"*"))
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "%s cannot be looked for", mark)
	}
	if len(left) == 0 {
		return "", nil
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fault.Wrap(err, fault.Unavailable, "%s, which an earlier restore left behind, cannot be removed", f)
		}
	}
	return "what an earlier restore had built beside " + d.path + " was removed", nil
}

// escape takes the meaning of a pattern off a path.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
