//go:build linux || darwin

package sink

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func commit(t *testing.T, s restore.Sink, path, content string) {
	t.Helper()
	f, err := s.Create(path, &tree.Entry{Path: path, Mode: 0o644, Size: int64(len(content)), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

// What is put back where it was leaves the folders alone that are there, and makes those that are not as they were.
func TestOriginal(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	lived := filepath.Join(dir, "lived")
	if err := os.Mkdir(lived, 0o750); err != nil {
		t.Fatal(err)
	}
	s, err := Original(Options{})
	if err != nil {
		t.Fatal(err)
	}
	top := strings.Trim(dir, "/")
	then := time.Unix(1_000_000_000, 0)
	folder := func(name string, mode uint32) *tree.Entry {
		return &tree.Entry{Path: top + "/" + name, Type: tree.Dir, Mode: mode, ModTime: then.UnixNano(), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	}
	for _, e := range []*tree.Entry{folder("lived", 0o700), folder("lived/gone", 0o710)} {
		if err := s.Mkdir(e.Path, e, false); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, s, top+"/lived/gone/file", "back")
	for _, e := range []*tree.Entry{folder("lived/gone", 0o710), folder("lived", 0o700)} {
		if err := s.FinishDir(e.Path, e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(lived, "gone", "file")); err != nil || string(b) != "back" {
		t.Errorf("the file: %q, %v", b, err)
	}
	if st, err := os.Stat(lived); err != nil || st.Mode().Perm() != 0o750 || st.ModTime().Equal(then) {
		t.Errorf("the folder that was there: %v", st.Mode())
	}
	if st, err := os.Stat(filepath.Join(lived, "gone")); err != nil || st.Mode().Perm() != 0o710 || !st.ModTime().Equal(then) {
		t.Errorf("the folder that was not: %v %v", st.Mode(), st.ModTime())
	}
	if err := s.Mkdir("../x", folder("x", 0o700), false); err == nil {
		t.Error("a path that leads out was taken")
	}
}

// On Windows the first component of a path is a drive.
func TestVolumes(t *testing.T) {
	t.Parallel()
	c := t.TempDir()
	s := &volumes{list: map[string]restore.Sink{}, open: func(v string) (restore.Sink, error) {
		if v != "C:" {
			return nil, fault.New(fault.Invalid, "there is no drive %s", v)
		}
		return Open(c, Options{})
	}}
	root := &tree.Entry{Path: "C:", Type: tree.Dir, Mode: 0o700}
	if st, err := s.Stat("C:", root); err != nil || st != restore.Folder {
		t.Errorf("the drive itself: %v, %v", st, err)
	}
	if err := s.Mkdir("C:", root, true); err != nil {
		t.Error(err)
	}
	d := &tree.Entry{Path: "C:/d", Type: tree.Dir, Mode: 0o700, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if err := s.Mkdir(d.Path, d, false); err != nil {
		t.Fatal(err)
	}
	commit(t, s, "C:/d/file", "back")
	link := &tree.Entry{Path: "C:/d/link", Type: tree.Symlink, Link: "file", UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if err := s.Make(link.Path, link, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Link("C:/d/hard", "C:/d/file", link, false); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishDir(d.Path, d); err != nil {
		t.Error(err)
	}
	if st, err := s.Stat(link.Path, link); err != nil || st != restore.Identical {
		t.Errorf("the link: %v, %v", st, err)
	}
	if err := s.FinishDir("C:", root); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"stat":   func() error { _, err := s.Stat("D:/x", d); return err }(),
		"mkdir":  s.Mkdir("D:/x", d, false),
		"finish": s.FinishDir("D:/x", d),
		"create": func() error { _, err := s.Create("D:/x", d, false); return err }(),
		"make":   s.Make("D:/x", link, false),
		"link":   s.Link("D:/x", "D:/y", link, false),
	} {
		if !errors.Is(err, fault.Invalid) {
			t.Errorf("%s on a drive that is not there: %v", name, err)
		}
	}
	if _, err := s.Stat("C:/../x", d); err == nil {
		t.Error("a path that leads out was taken")
	}
	if err := s.Close(true); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"file", "hard"} {
		if b, err := os.ReadFile(filepath.Join(c, "d", name)); err != nil || string(b) != "back" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
