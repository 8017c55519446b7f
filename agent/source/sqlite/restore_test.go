//go:build unix

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/agent/source"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	for _, wal := range []bool{false, true} {
		d := fill(t, wal)
		before, tables := dumped(t, d)
		sh(t, d.path, scribble)
		if err := restore(d, before, source.Restore{Want: tables}); err != nil {
			t.Fatal(err)
		}
		after, _ := dumped(t, d)
		same(t, after, before)
		clean(t, d)
		// It works: numbers go on, triggers fire, the index of texts finds, the checks hold.
		sh(t, d.path, "PRAGMA foreign_keys=ON; INSERT INTO customers (name) VALUES ('new'); DELETE FROM customers WHERE id = 7;")
		if got := sh(t, d.path, "SELECT max(id), (SELECT what FROM log WHERE what LIKE 'gone; Zoë 7%') IS NOT NULL, (SELECT count(*) FROM docs WHERE docs MATCH 'quit'), (SELECT upper_name FROM customers WHERE name = 'new') FROM customers;"); got != "5001|1|1|NEW" {
			t.Errorf("got %s", got)
		}
	}
}

func TestRestoreAsCopy(t *testing.T) {
	t.Parallel()
	d := fill(t, true)
	if err := os.Chmod(d.path, 0o640); err != nil {
		t.Fatal(err)
	}
	before, _ := dumped(t, d)
	copied := filepath.Join(t.TempDir(), "copy.db")
	var last int64
	if err := d.Restore(t.Context(), strings.NewReader(before), source.Restore{Format: "sqlite-sql", As: copied}, func(n int64) { last = n }); err != nil {
		t.Fatal(err)
	}
	if last != int64(len(before)) {
		t.Errorf("progress ended at %d of %d", last, len(before))
	}
	other := opened(t, copied)
	after, _ := dumped(t, other)
	same(t, after, before)
	clean(t, other)
	if info, err := os.Stat(copied); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// What exists is not touched, whatever it is.
	empty := filepath.Join(t.TempDir(), "empty")
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), os.Symlink("/nowhere", link)); err != nil {
		t.Fatal(err)
	}
	for _, as := range []string{copied, d.path, empty, link, t.TempDir()} {
		if err := restore(d, before, source.Restore{As: as}); !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", as, err)
		}
		if c, err := d.Preflight(t.Context(), source.Restore{Format: "sqlite-sql", As: as}); err != nil || c.OK() {
			t.Errorf("%s: %v, %v", as, c, err)
		}
	}
	// It came to be while the copy was made.
	late := filepath.Join(t.TempDir(), "late")
	d.stop = func(step string) {
		if step == "verified" {
			os.WriteFile(late, []byte("mine"), 0o600)
		}
	}
	if err := restore(d, before, source.Restore{As: late}); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(late); string(b) != "mine" {
		t.Errorf("it was replaced by %d bytes", len(b))
	}
	clean(t, opened(t, late))
	if err := restore(d, before, source.Restore{As: "copy.db"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a name without a folder: %v", err)
	}
}

// Programs that have it open find the new content; one that is reading reads the old to its end.
func TestRestoreWhileOpen(t *testing.T) {
	t.Parallel()
	for _, wal := range []bool{false, true} {
		t.Run(fmt.Sprintf("log %v", wal), func(t *testing.T) {
			t.Parallel()
			d := fill(t, wal)
			before, _ := dumped(t, d)
			sh(t, d.path, scribble)
			u, reading := use(t, d.path), use(t, d.path)
			u.do("SELECT count(*) FROM later;")
			if wal { // readers keep nobody waiting
				reading.do("BEGIN; SELECT count(*) FROM later;")
			}
			if err := restore(d, before, source.Restore{}); err != nil {
				t.Fatal(err)
			}
			if wal {
				if got := reading.do("SELECT count(*) FROM later; COMMIT;"); got != "1" {
					t.Errorf("who was reading reads %s", got)
				}
			}
			for _, who := range []*user{u, reading} {
				if got := who.do("SELECT count(*) FROM orders; SELECT count(*) FROM sqlite_schema WHERE name = 'later'; PRAGMA integrity_check;"); got != "500\n0\nok" {
					t.Errorf("a program sees %s", got)
				}
			}
			u.do("INSERT INTO log VALUES ('goes on');")
			if got := sh(t, d.path, "SELECT count(*) FROM log; PRAGMA journal_mode;"); got != map[bool]string{true: "1\nwal", false: "1\ndelete"}[wal] {
				t.Errorf("afterwards: %s", got)
			}
			clean(t, d)
		})
	}
}

// A dump without a log goes over a file with one, and the other way about, and over pages of another size.
func TestRestoreChangesSettings(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	before, _ := dumped(t, d)
	sh(t, d.path, "PRAGMA journal_mode=WAL;")
	with, _ := dumped(t, d)
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ := dumped(t, d)
	same(t, after, before)
	if err := restore(d, with, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ = dumped(t, d)
	same(t, after, with)
	small := strings.Replace(with, "page_size=8192", "page_size=1024", 1)
	if err := restore(d, small, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ = dumped(t, d)
	same(t, after, small)
	// Somebody has the log open, so its pages cannot become others: everything stays.
	d.busy = 100
	u := use(t, d.path)
	u.do("SELECT count(*) FROM log;")
	if err := restore(d, with, source.Restore{}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "Stop what uses it") {
		t.Errorf("%v", err)
	}
	after, _ = dumped(t, d)
	same(t, after, small)
	clean(t, d)
}

// Somebody holds a lock for longer than anybody waits.
func TestRestoreWaits(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	before, _ := dumped(t, d)
	sh(t, d.path, scribble)
	now, _ := dumped(t, d)
	d.busy = 300
	u := use(t, d.path)
	u.do("BEGIN EXCLUSIVE; UPDATE customers SET name = name || '!';")
	began := time.Now()
	if err := restore(d, before, source.Restore{}); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "Stop what uses it") {
		t.Errorf("%v", err)
	}
	if _, err := d.Begin(t.Context()); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("a dump: %v", err)
	}
	if c, err := d.Check(t.Context()); err != nil || c.OK() {
		t.Errorf("%v, %v", c, err)
	}
	if waited := time.Since(began); waited < 600*time.Millisecond {
		t.Errorf("nobody waited: %v", waited)
	}
	u.do("ROLLBACK;")
	after, _ := dumped(t, d)
	same(t, after, now)
	clean(t, d)
	// It is let go in time.
	d.busy = 20_000
	u.do("BEGIN IMMEDIATE;")
	d.stop = func(step string) {
		if step == "verified" {
			time.AfterFunc(200*time.Millisecond, func() { u.do("ROLLBACK;") })
		}
	}
	if err := restore(d, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	after, _ = dumped(t, d)
	same(t, after, before)
}

// The file is the same one afterwards, whoever it belongs to, also behind a link.
func TestRestoreKeepsTheFile(t *testing.T) {
	t.Parallel()
	d := fill(t, true)
	before, _ := dumped(t, d)
	sh(t, d.path, scribble)
	link := filepath.Join(t.TempDir(), "link.db")
	uid := os.Getuid()
	if uid == 0 {
		uid = 12345
	}
	if err := errors.Join(os.Chmod(d.path, 0o664), os.Chown(d.path, uid, -1), os.Symlink(d.path, link)); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(d.path)
	if err != nil {
		t.Fatal(err)
	}
	through := opened(t, link)
	if c, err := through.Preflight(t.Context(), source.Restore{Format: "sqlite-sql"}); err != nil || !c.OK() {
		t.Errorf("%v, %v", c, err)
	}
	through.stop = func(step string) {
		if step != "loaded" {
			return
		}
		list, _ := filepath.Glob(filepath.Join(escape(filepath.Dir(d.path)), ".*"))
		if len(list) == 0 {
			t.Error("it is not built beside the file itself")
		}
		for _, f := range list {
			if info, err := os.Stat(f); err != nil || info.Mode() != 0o664 || int(info.Sys().(*syscall.Stat_t).Uid) != uid {
				t.Errorf("what is built, %s, has the mode %v", f, info.Mode())
			}
		}
	}
	if err := restore(through, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	is, err := os.Stat(d.path)
	if err != nil || !os.SameFile(is, was) || is.Mode() != 0o664 || int(is.Sys().(*syscall.Stat_t).Uid) != uid {
		t.Errorf("%v, %v", is, err)
	}
	if to, err := os.Readlink(link); err != nil || to != d.path {
		t.Errorf("the link leads to %s, %v", to, err)
	}
	after, _ := dumped(t, through)
	same(t, after, before)
	clean(t, d)
	clean(t, through)
	// What the link leads to is gone: it is made again, there.
	through.stop = func(string) {}
	for _, end := range []string{"", "-wal", "-shm"} {
		os.Remove(d.path + end)
	}
	if err := restore(through, before, source.Restore{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	after, _ = dumped(t, through)
	same(t, after, before)
}

// A file that is none of SQLite's, or not any more, is replaced.
func TestRestoreOverDamage(t *testing.T) {
	t.Parallel()
	d := fill(t, false)
	before, tables := dumped(t, d)
	for name, damage := range map[string]func() error{
		"its beginning": func() error { return os.WriteFile(d.path, []byte(strings.Repeat("garbage ", 10_000)), 0o640) },
		"beside a log": func() error {
			return errors.Join(os.WriteFile(d.path, make([]byte, 8192), 0o640), os.WriteFile(d.path+"-wal", []byte("old"), 0o640), os.WriteFile(d.path+"-journal", []byte("old"), 0o640))
		},
		"nothing left": func() error { return os.WriteFile(d.path, nil, 0o640) },
		"in the middle": func() error {
			f, err := os.OpenFile(d.path, os.O_RDWR, 0)
			f.WriteAt(make([]byte, 8000), 8192*2+100)
			return errors.Join(err, f.Close())
		},
		"cut off":         func() error { return os.Truncate(d.path, 8192*5) },
		"it is not there": func() error { return os.Remove(d.path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := restore(d, before, source.Restore{Want: tables}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after, _ := dumped(t, d)
		same(t, after, before)
		clean(t, d)
	}
}
