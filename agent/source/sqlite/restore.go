package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/vault/dump"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// target is where a restore goes.
func (d *Database) target(o source.Restore) (string, error) {
	switch {
	case !o.Portable && o.Format != dump.SQLiteSQL:
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
	if info, err := os.Stat(filepath.Dir(target)); err != nil || !info.IsDir() {
		point(false, "target", "there is no folder %s", filepath.Dir(target))
		return c, nil
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".holdfast-*")
	if err != nil {
		point(false, "target", "nothing can be written in %s (%s)", filepath.Dir(target), reason(err))
		return c, nil
	}
	f.Close()
	os.Remove(f.Name())
	if err := d.writable(target); err != nil {
		point(false, "target", "%s", sentence(err))
		return c, nil
	}
	point(true, "target", "%s can be written", target)
	return c, nil
}

// writable fails if there is something at target that cannot be written into.
func (d *Database) writable(target string) error {
	info, err := os.Stat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.Wrap(err, fault.Invalid, "%s cannot be looked at (%s)", target, reason(err))
	case !info.Mode().IsRegular():
		return fault.New(fault.Invalid, "%s is no file: name the database's file itself", target)
	}
	w, err := os.OpenFile(target, os.O_RDWR, 0)
	if err != nil {
		return fault.Wrap(err, fault.Forbidden, "%s cannot be written (%s)", target, reason(err))
	}
	return w.Close()
}

// Restore loads a dump beside the target and puts it in place.
func (d *Database) Restore(ctx context.Context, in io.Reader, o source.Restore, progress func(bytes int64)) error {
	return d.build(ctx, o, func(file string) ([]dump.Table, error) {
		tables, err := d.load(ctx, file, in, progress)
		if o.Want != nil {
			tables = o.Want
		}
		return tables, err
	})
}

// build lets fill fill a new file and say what is in it, and puts that in place.
func (d *Database) build(ctx context.Context, o source.Restore, fill func(file string) ([]dump.Table, error)) error {
	target, err := d.target(o)
	if err == nil {
		err = d.writable(target)
	}
	if err != nil {
		return err
	}
	target = resolved(target)
	beside := fresh(target)
	defer remove(beside)
	if err := d.make(beside, target); err != nil {
		return err
	}
	tables, err := fill(beside)
	if err != nil {
		return err
	}
	d.stop("loaded")
	if err := d.verify(ctx, beside, tables); err != nil {
		return err
	}
	d.stop("verified")
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx) // from here on it comes to its end, and says how: who stops it in between could not know which content is there
	switch there, ok := d.there(target); {
	case !there || o.As != "":
		err = place(beside, target)
	case ok:
		return d.replace(ctx, beside, target)
	default:
		err = d.renew(beside, target)
	}
	if err == nil {
		d.stop("placed")
	}
	return err
}

// resolved is where a path leads to, also if nothing is there. What belongs to a file of SQLite's lies beside the file itself.
func resolved(path string) string {
	for range 40 { // as many as systems follow
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}

// there reports whether there is a file, and whether SQLite takes it for a database.
func (d *Database) there(target string) (there, ok bool) {
	f, err := os.Open(target)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist), true
	}
	defer f.Close()
	return true, isDatabase(f)
}

// make makes the file that is filled. Who may read the live one may read it, and who owns that, or the folder, owns it.
func (d *Database) make(file, target string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "nothing can be written beside %s (%s)", target, reason(err))
	}
	defer f.Close()
	like, err := os.Stat(target)
	if err != nil {
		like, err = os.Stat(d.path) // of which it may be a copy
	}
	if err == nil {
		err = f.Chmod(like.Mode().Perm() | 0o600) // we write
	} else {
		like, err = os.Stat(filepath.Dir(target))
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be made like %s (%s)", file, target, reason(err))
	}
	own(f, like)
	return nil
}

// load fills a new file with a dump and returns the rows that the dump has.
func (d *Database) load(ctx context.Context, file string, in io.Reader, progress func(int64)) ([]dump.Table, error) {
	scan := dump.NewSQLiteStatements(pass)
	err := d.feed(ctx, file, func(w io.Writer) error {
		n, buf := int64(0), make([]byte, 256<<10)
		for {
			k, err := in.Read(buf)
			if k > 0 {
				if _, err := scan.Write(buf[:k]); err != nil { // before the shell sees it
					return err
				}
				if _, err := w.Write(buf[:k]); err != nil {
					return err
				}
				if n += int64(k); progress != nil {
					progress(n)
				}
				d.stop("loading")
			}
			switch {
			case err == io.EOF && !scan.Whole():
				return fault.New(fault.Invalid, "the dump breaks off: its end, \"COMMIT;\", is not there. Make it again")
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			}
		}
	})
	return scan.Tables(), err
}

// feed gives the shell, on a new file, what fill writes.
func (d *Database) feed(ctx context.Context, file string, fill func(io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said, err := d.shell(ctx, file, "-safe")
	if err != nil {
		return err
	}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "sqlite3 could not be started")
	}
	out := &pipeOut{pipe, nil}
	if err := fill(out); err != nil && out.err == nil {
		cancel() // whatever else it has in its pipe is not wanted
		cmd.Wait()
		return err
	}
	pipe.Close()
	if err := ended(ctx, cmd.Wait(), said); err != nil {
		return err
	}
	if out.err != nil {
		return fault.Wrap(out.err, fault.Unavailable, "sqlite3 stopped reading")
	}
	return nil
}

// pipeOut remembers that the program does not read any more; why is for the program to say.
type pipeOut struct {
	io.Writer
	err error
}

func (p *pipeOut) Write(b []byte) (n int, err error) {
	n, err = p.Writer.Write(b)
	p.err = err
	return n, err
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
	err := syncFile(file)
	if err == nil {
		err = os.Link(file, target)
	}
	if errors.Is(err, fs.ErrExist) {
		return fault.Wrap(err, fault.Conflict, "%s exists already: choose another name", target)
	}
	if err == nil {
		err = syncFile(filepath.Dir(target))
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be written (%s)", target, err)
	}
	return nil
}

// syncFile makes a file, or a folder, durable.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, syscall.EISDIR) || err != nil && runtime.GOOS == "windows" {
		if runtime.GOOS == "windows" { // where folders cannot be synced
			return nil
		}
		f, err = os.Open(path)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replace writes a new file's content into the live one, in one transaction of SQLite's.
func (d *Database) replace(ctx context.Context, file, target string) error {
	wal, size, err := d.mode(ctx, target)
	if err != nil && !isDamage(err) {
		return err
	}
	newWAL, newSize, err := d.mode(ctx, file)
	if err != nil {
		return err
	}
	lines := d.timeout()
	if wal && size != newSize { // a write-ahead log of another page size cannot take it
		lines += "PRAGMA wal_checkpoint(TRUNCATE);\nPRAGMA journal_mode=DELETE;\n"
	}
	cmd, said, err := d.shell(ctx, target)
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(lines + ".restore main " + argument(file) + "\nPRAGMA quick_check(1);\n")
	out, err := cmd.Output()
	d.stop("replaced")
	err = ended(ctx, err, said)
	if printed := strings.Split(strings.TrimSpace(string(out)), "\n"); err == nil && printed[len(printed)-1] == "ok" {
		if wal && !newWAL { // the log stays as long as others have it open
			d.setMode(ctx, target, "DELETE")
		}
		return nil
	}
	if wal {
		d.setMode(ctx, target, "WAL")
	}
	switch {
	case err == nil:
		return held(nil, target, said)
	case isDamage(err):
		return d.renew(file, target)
	}
	return err
}

// isDamage reports whether an error of the shell's is that a file is no sound database.
func isDamage(err error) bool {
	return err != nil && damageText.MatchString(err.Error())
}

var damageText = regexp.MustCompile(`\b(malformed|file is not a database)\b`)

// setMode tries to change what a file keeps for transactions. If others keep us from it, it is as it was.
func (d *Database) setMode(ctx context.Context, file, mode string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if cmd, _, err := d.shell(ctx, file); err == nil {
		cmd.Stdin = strings.NewReader(".timeout 1000\nPRAGMA journal_mode=" + mode + ";\n")
		cmd.Run()
	}
}

// mode asks whether a file has a write-ahead log, and for the size of its pages.
func (d *Database) mode(ctx context.Context, file string) (wal bool, size string, err error) {
	out, err := d.ask(ctx, file, "PRAGMA journal_mode;\nPRAGMA page_size;\n")
	mode, size, _ := strings.Cut(out, "\n")
	return mode == "wal", size, err
}

// renew puts a new file in the place of one that is no database. What lies beside it is a remainder of that.
func (d *Database) renew(file, target string) error {
	if err := syncFile(file); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be written (%s)", target, reason(err))
	}
	for _, end := range []string{"-journal", "-wal", "-shm"} {
		if err := os.Remove(target + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(err, fault.Unavailable, "%s cannot be removed (%s)", target+end, reason(err))
		}
	}
	if err := os.Rename(file, target); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be written (%s)", target, reason(err))
	}
	return syncFile(filepath.Dir(target))
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

// Mend removes what restores built beside the file that were killed. One that was killed while it wrote into the file itself left a journal, from
// which the file is made what it was, as SQLite does for whoever opens it to write.
func (d *Database) Mend(ctx context.Context) (string, error) {
	var did []string
	file := resolved(d.path)
	journal := file + "-journal"
	if info, err := os.Stat(journal); err == nil && info.Size() > 0 {
		cmd, said, err := d.shell(ctx, d.path, "-safe")
		if err != nil {
			return "", err
		}
		cmd.Stdin = strings.NewReader("SELECT count(*) FROM sqlite_schema;\n") // who holds a lock now is alive, and is not waited for
		if err := ended(ctx, cmd.Run(), said); err != nil && ctx.Err() != nil {
			return "", err
		} // else whoever uses the file next says what is wrong with it
		if _, err := os.Stat(journal); errors.Is(err, fs.ErrNotExist) {
			did = append(did, d.path+" was made what it was before somebody was killed who wrote into it")
		}
	}
	left, err := filepath.Glob(filepath.Join(escape(filepath.Dir(file)), escape("."+filepath.Base(file)+mark)+"*"))
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "%s cannot be looked for", mark)
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fault.Wrap(err, fault.Unavailable, "%s, which an earlier restore left behind, cannot be removed", f)
		}
	}
	if len(left) > 0 {
		did = append(did, "what an earlier restore had built beside "+d.path+" was removed")
	}
	return strings.Join(did, "; "), nil
}

// escape takes the meaning of a pattern off a path.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
