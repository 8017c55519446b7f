package walk_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/agent/walk"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

func TestMetadata(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "one", "other", "\xff\xfe name", strings.Repeat("n", 255))
	path := func(n string) string { return filepath.Join(dir, n) }
	steps := []error{
		os.Link(path("one"), path("two")),
		os.Chmod(path("other"), 0o751|os.ModeSetuid),
		unix.Mkfifo(path("pipe"), 0o600),
		unix.Setxattr(path("one"), "user.colour", []byte("blue"), 0),
		unix.Setxattr(path("one"), "user.empty", nil, 0),
		unix.Setxattr(dir, "user.long", bytes.Repeat([]byte("x"), 2000), 0),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	socket, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	got := map[string]*backup.Item{}
	for _, it := range items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}}) {
		var f backup.File
		if it.Open != nil {
			if f, err = it.Open(); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
		}
		if err := it.Load(f, &it.Entry); err != nil {
			t.Errorf("%q: %v", it.Path, err)
		}
		got[it.Base()] = it
	}
	if got["socket"] != nil || got["\xff\xfe name"] == nil || got[strings.Repeat("n", 255)] == nil {
		t.Errorf("%v", got)
	}
	one, two := got["one"], got["two"]
	if one.HardLink == 0 || one.HardLink != two.HardLink || got["other"].HardLink != 0 {
		t.Errorf("hard links %d %d %d", one.HardLink, two.HardLink, got["other"].HardLink)
	}
	if len(one.Xattrs) != 2 || string(one.Xattrs[0].Value)+string(one.Xattrs[1].Value) != "blue" {
		t.Errorf("attributes %q", one.Xattrs)
	}
	if root := got[filepath.Base(dir)]; len(root.Xattrs) != 1 || len(root.Xattrs[0].Value) != 2000 {
		t.Errorf("attributes of the folder %q", root.Xattrs)
	}
	if got["other"].Mode != 0o4751 || got["pipe"].Type != tree.FIFO || got["pipe"].Open != nil {
		t.Errorf("%o, %v", got["other"].Mode, got["pipe"].Type)
	}
	if os.Getuid() == 0 && (one.User != "root" || one.Group != "root") {
		t.Errorf("owner %q, group %q", one.User, one.Group)
	}
}

// A tree far deeper than the longest path, and than the number of folders that are kept open.
func TestDeep(t *testing.T) {
	t.Parallel()
	dir := real(t)
	const depth = 400
	name := strings.Repeat("d", 60) // 24,000 bytes in all
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd = next
		for _, file := range []string{"a", "z"} { // before and behind the next folder
			f, err := unix.Openat(fd, file, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(f, []byte("deep")); err != nil {
				t.Fatal(err)
			}
			unix.Close(f)
		}
	}
	unix.Close(fd)
	w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	if err != nil {
		t.Fatal(err)
	}
	var files []*backup.Item
	if err := w.Walk(t.Context(), func(it *backup.Item) error {
		if it.Err != nil {
			t.Errorf("%.20q…: %v", it.Path, it.Err)
		}
		if it.Type == tree.File {
			files = append(files, it)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(files) != 2*depth {
		t.Fatalf("%d files", len(files))
	}
	w.Close() // items are still good
	for _, it := range files {
		f, err := it.Open()
		if err != nil {
			t.Fatalf("depth %d: %v", strings.Count(it.Path, "/"), err)
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != "deep" {
			t.Fatalf("%q, %v", b, err)
		}
		f.Close()
	}
	if n := openFolders(t, dir); n != 0 {
		t.Errorf("%d folders are still open", n)
	}
}

// openFolders counts this process's descriptors below dir.
func openFolders(t *testing.T, dir string) (n int) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

func TestVanishing(t *testing.T) {
	t.Parallel()
	dir := real(t)
	grow(t, dir, "a/x", "b/y", "c", "d", "e/z")
	w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	causes := map[string]backup.Cause{}
	if err := w.Walk(t.Context(), func(it *backup.Item) error {
		rel := strings.TrimPrefix("/"+it.Path, dir+"/")
		switch rel {
		case "a": // while its names are known already
			os.RemoveAll(filepath.Join(dir, "a"))
		case "b":
			os.RemoveAll(filepath.Join(dir, "e"))
			os.Remove(filepath.Join(dir, "d"))
		case "c":
			os.Remove(filepath.Join(dir, "c"))
			_, err := it.Open()
			causes[rel] = backup.CauseOf(err)
		}
		if it.Err != nil {
			causes[rel] = backup.CauseOf(it.Err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a/x", "c", "d", "e"} {
		if causes[p] != backup.Vanished {
			t.Errorf("%s: %q", p, causes[p])
		}
	}
	if len(causes) != 4 {
		t.Errorf("%v", causes)
	}
}

// A folder or file that somebody replaces by a link is not followed.
func TestReplacedByLink(t *testing.T) {
	t.Parallel()
	dir, outside := real(t), real(t)
	grow(t, dir, "a/x", "f")
	grow(t, outside, "x")
	w, err := walk.New(walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	if err != nil {
		t.Fatal(err)
	}
	var later []*backup.Item
	if err := w.Walk(t.Context(), func(it *backup.Item) error {
		if it.Type == tree.File {
			later = append(later, it)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for _, n := range []string{"a", "f"} {
		os.RemoveAll(filepath.Join(dir, n))
	}
	grow(t, dir, "a -> "+outside, "f -> "+filepath.Join(outside, "x"))
	for _, it := range later {
		if f, err := it.Open(); err == nil {
			f.Close()
			t.Errorf("%q was opened through a link", it.Path)
		} else if backup.CauseOf(err) != backup.Vanished {
			t.Errorf("%v", err)
		}
	}
}

func TestSparse(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(real(t), "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 40
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	// Two runs with a hole between them that is too small to matter, and one far away.
	for _, off := range []int64{10 << 20, 10<<20 + 64<<10, 1 << 39} {
		if _, err := f.WriteAt([]byte("data"), off); err != nil {
			t.Fatal(err)
		}
	}
	all := items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{f.Name()}}}})
	it := all[len(all)-1]
	if it.Size != size {
		t.Fatalf("%+v", it)
	}
	open, err := it.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	type run struct{ start, end int64 }
	var runs []run
	var b [4]byte
	for pos := int64(0); pos < size; {
		start, end, err := open.(backup.Sparse).NextData(pos)
		if err != nil {
			t.Fatal(err)
		}
		if start == end {
			break
		}
		if _, err := io.ReadFull(open, b[:]); err != nil || string(b[:]) != "data" {
			t.Errorf("at %d: %q, %v", start, b, err)
		}
		runs = append(runs, run{start, end})
		pos = end
	}
	want := []run{{10 << 20, 10<<20 + 68<<10}, {1 << 39, 1<<39 + 4<<10}}
	if len(runs) != 2 || runs[0] != want[0] || runs[1] != want[1] {
		t.Errorf("runs %v, want %v", runs, want)
	}
}

func TestKernelFileSystems(t *testing.T) {
	t.Parallel()
	// A root inside is wanted.
	if all := items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{"/proc/self/fdinfo"}}}}); len(all) < 4 {
		t.Errorf("%d entries of /proc/self/fdinfo", len(all))
	}
	// Met on the way they stay shut: walking / with everything else left out.
	for _, it := range items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{"/"}, Exclude: []string{"/[!ps]*", "/[ps][!ry]*"}}}}) {
		if strings.HasPrefix(it.Path, "proc/") || strings.HasPrefix(it.Path, "sys/") {
			t.Fatalf("%q", it.Path)
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		// Root reads everything; the error is made by hand instead.
		u := &backup.Unreadable{Cause: backup.Permission, Err: unix.EACCES}
		if backup.CauseOf(u) != backup.Permission || backup.CauseOf(unix.EPERM) != backup.Permission {
			t.Error("wrong cause")
		}
		return
	}
	dir := real(t)
	grow(t, dir, "closed/x", "file")
	os.Chmod(filepath.Join(dir, "closed"), 0)
	os.Chmod(filepath.Join(dir, "file"), 0)
	defer os.Chmod(filepath.Join(dir, "closed"), 0o700)
	all := items(t, walk.Options{Rules: []walk.Rule{{Roots: []string{dir}}}})
	expect(t, dir, all, "closed/", "file")
	for _, it := range all {
		switch it.Base() {
		case "closed":
			if backup.CauseOf(it.Err) != backup.Permission {
				t.Errorf("%v", it.Err)
			}
		case "file":
			if _, err := it.Open(); backup.CauseOf(err) != backup.Permission {
				t.Errorf("%v", err)
			}
		}
	}
}
