//go:build linux || darwin

package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func openSink(t testing.TB, dir string) *sink {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*sink)
}

// put restores a file.
func put(s *sink, path, content string, replace bool) error {
	f, err := s.Create(path, &tree.Entry{Path: path, Mode: 0o644, Size: int64(len(content)), UID: s.uid, GID: uint32(os.Getegid())}, replace)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		f.Discard()
		return err
	}
	return f.Commit()
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openSink(t, filepath.Join(dir, "new", "place"))
	dir = filepath.Join(dir, "new", "place")
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	const when = 1_234_567_890_987_654_321
	folder := &tree.Entry{Path: "d", Type: tree.Dir, Mode: 0o2510, ModTime: when, UID: uid, GID: gid}
	name := "\xff" + strings.Repeat("n", 254)
	e := &tree.Entry{Path: "d/" + name, Mode: 0o4751, Size: 1 << 20, ModTime: when + 1, UID: uid, GID: gid, Xattrs: []tree.Xattr{{Name: "user.holdfast", Value: []byte("v")}}}
	link := &tree.Entry{Path: "d/l", Type: tree.Symlink, Mode: 0o777, Link: "../\xfe", ModTime: when + 2, UID: uid, GID: gid}
	if err := s.Mkdir("d", folder, false); err != nil {
		t.Fatal(err)
	}
	f, err := s.Create(e.Path, e, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, e.Path)); !os.IsNotExist(err) {
		t.Error("the file has its name before it is whole")
	}
	f.WriteAt([]byte("data"), 4096)
	noXattrs := false
	if err := f.Commit(); err != nil {
		if noXattrs = errors.Is(err, unix.ENOTSUP); !noXattrs {
			t.Fatal(err)
		}
	}
	if err := s.Make(link.Path, link, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Link("d/hard", e.Path, e, false); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishDir("d", folder); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(true); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(filepath.Join(dir, "d"), 0o700) // so that it can be removed
	for _, e := range []*tree.Entry{folder, e, link} {
		st, err := os.Lstat(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		if st.ModTime().UnixNano() != e.ModTime || e.Type != tree.Symlink && uint32(sys.Mode)&0o7777 != e.Mode {
			t.Errorf("%s: %v %o", e.Path, st.ModTime(), sys.Mode)
		}
		if e.Type == tree.File && (st.Size() != e.Size || sys.Blocks*512 > 64<<10 || sys.Nlink != 2) {
			t.Errorf("%d bytes in %d blocks, %d links", st.Size(), sys.Blocks, sys.Nlink)
		}
	}
	if to, _ := os.Readlink(filepath.Join(dir, "d/l")); to != link.Link {
		t.Error(to)
	}
	v := make([]byte, 9)
	if n, err := unix.Getxattr(filepath.Join(dir, e.Path), "user.holdfast", v); !noXattrs && (err != nil || string(v[:n]) != "v") {
		t.Error(err)
	}
}

func TestStat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "f"), []byte("abc"), 0o600)
	st, _ := os.Stat(filepath.Join(dir, "f"))
	os.Symlink("to", filepath.Join(dir, "l"))
	os.Mkdir(filepath.Join(dir, "d"), 0o700)
	s := openSink(t, dir)
	defer s.Close(true)
	file := tree.Entry{Size: 3, ModTime: st.ModTime().UnixNano()}
	later := file
	later.ModTime++
	for _, tc := range []struct {
		path string
		e    tree.Entry
		want restore.State
	}{
		{"f", file, restore.Identical}, {"f", later, restore.Different}, {"f", tree.Entry{Type: tree.Dir}, restore.Different}, {"g", file, restore.Absent}, {"x/y", file, restore.Absent},
		{"l", tree.Entry{Type: tree.Symlink, Link: "to"}, restore.Identical}, {"l", tree.Entry{Type: tree.Symlink, Link: "t"}, restore.Different}, {"l", file, restore.Different},
		{"d", tree.Entry{Type: tree.Dir}, restore.Folder}, {"d", file, restore.Folder},
	} {
		if got, err := s.Stat(tc.path, &tc.e); err != nil || got != tc.want {
			t.Errorf("%s %v: %d, want %d; %v", tc.path, tc.e.Type, got, tc.want, err)
		}
	}
}

// Whatever names and links say, nothing is written outside.
func TestEscape(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	os.WriteFile(filepath.Join(outside, "victim"), []byte("mine"), 0o600)
	dir := t.TempDir()
	os.Symlink(outside, filepath.Join(dir, "before"))
	s := openSink(t, dir)
	link := &tree.Entry{Path: "a", Type: tree.Symlink, Link: outside}
	if err := s.Make("a", link, false); err != nil {
		t.Fatal(err)
	}
	s.Mkdir("d", &tree.Entry{Path: "d", Type: tree.Dir}, false)
	if err := s.Make("d/up", &tree.Entry{Path: "d/up", Type: tree.Symlink, Link: ".."}, false); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"a/victim", "a/new", "before/victim", "before/new", "d/up/new", "../new", "d/../../new", "/etc/new", "d//new", "d/./new", "", "d/new\x00"} {
		for what, err := range map[string]error{
			"Create": put(s, p, "evil", true),
			"Mkdir":  s.Mkdir(p, nil, false),
			"Make":   s.Make(p, &tree.Entry{Path: p, Type: tree.Symlink, Link: "x"}, true),
			"Link":   s.Link(p, "a", link, true),
			"Link 2": s.Link("d/hard", p, link, false),
			"Finish": s.FinishDir(p, &tree.Entry{Path: p, Type: tree.Dir, Mode: 0o777}),
		} {
			if err == nil {
				t.Errorf("%s of %q", what, p)
			}
		}
	}
	// A link in a file's place is replaced, not followed.
	if err := put(s, "a", "file", true); err != nil {
		t.Fatal(err)
	}
	if err := s.Mkdir("before", nil, true); err != nil {
		t.Fatal(err)
	}
	// A folder that becomes a link while the restore is at it.
	s.Mkdir("later", nil, false)
	s.dirs.mu.Lock()
	unix.Close(s.dirs.list["later"].fd)
	delete(s.dirs.list, "later") // as when many others were needed
	s.dirs.mu.Unlock()
	os.Remove(filepath.Join(dir, "later"))
	os.Symlink(outside, filepath.Join(dir, "later"))
	if err := put(s, "later/new", "evil", true); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	s.Close(true)
	got, _ := os.ReadFile(filepath.Join(outside, "victim"))
	names, _ := os.ReadDir(outside)
	st, _ := os.Stat(outside)
	if string(got) != "mine" || len(names) != 1 || st.Mode().Perm() == 0o777 {
		t.Errorf("%q, %v", got, names)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(b) != "file" {
		t.Error(b, err)
	}
	if names, _ := os.ReadDir(filepath.Dir(dir)); slices.ContainsFunc(names, func(e os.DirEntry) bool { return e.Name() == "new" }) {
		t.Error("something was written above")
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "f"), []byte("old"), 0o600)
	os.WriteFile(filepath.Join(dir, "g"), []byte("old"), 0o600)
	s := openSink(t, dir)
	if err := put(s, "f", "new", false); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	if err := s.Link("g", "f", &tree.Entry{}, false); !errors.Is(err, fault.Conflict) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "f")); string(b) != "old" {
		t.Errorf("%q", b)
	}
	if err := put(s, "f", "new", true); err != nil {
		t.Error(err)
	}
	for range 2 { // the second time they are one file already
		if err := s.Link("g", "f", &tree.Entry{}, true); err != nil {
			t.Error(err)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "g")); string(b) != "new" {
		t.Errorf("%q", b)
	}
	s.Close(true)
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Error(names)
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "d"), 0o700)
	for _, p := range []string{".holdfast-x-1.part", "d/.holdfast-y-2.part", ".holdfast-mine", "d/z.part"} {
		os.WriteFile(filepath.Join(dir, p), nil, 0o600)
	}
	first := openSink(t, dir)
	f, err := first.Create("half", &tree.Entry{Path: "half", Size: 9}, false)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("1234"), 0)
	second := openSink(t, dir) // at the same time: it must not take the first one's files away
	second.Close(true)
	first.Mkdir("d", &tree.Entry{Path: "d", Type: tree.Dir}, false)
	if names, _ := filepath.Glob(filepath.Join(dir, ".holdfast-*.part")); len(names) != 1 {
		t.Error(names)
	}
	first.Close(false)
	var names []string
	filepath.Walk(dir, func(p string, _ os.FileInfo, _ error) error {
		names = append(names, strings.TrimPrefix(p, dir))
		return nil
	})
	if got := strings.Join(names, " "); got != " /.holdfast-mine /d /d/z.part" {
		t.Error(got)
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := openSink(t, t.TempDir())
	defer s.Close(false)
	for _, cause := range []error{unix.ENOSPC, unix.EDQUOT} {
		if err := s.problem("it cannot be written", cause); !errors.Is(err, fault.StorageFull) || !strings.HasPrefix(err.Error(), "the disk at "+s.dir+" is full") {
			t.Error(err)
		}
	}
}

// The whole of it: a snapshot of many kinds of files, onto the disk and back, in a folder that holds some of
// them already, with more folders than are kept open.
func TestWhole(t *testing.T) {
	t.Parallel()
	remote := new(vaulttest.Remote)
	sealer := seal.New(seal.ContentKey{1})
	w := &vaulttest.Writer{Remote: remote, Sealer: sealer, PackSize: 300 << 10}
	b := tree.NewBuilder([32]byte{1}, w)
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 1))
	content := map[string][]byte{}
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	for d := range 300 {
		dir := fmt.Sprintf("dir-%03d", d)
		entries := []*tree.Entry{{Path: dir, Type: tree.Dir, Mode: 0o555, ModTime: int64(d) * 1e9}}
		for i := range 5 {
			entries = append(entries, &tree.Entry{Path: fmt.Sprintf("%s/f-%d", dir, i), Mode: 0o440, ModTime: int64(i) * 1e9})
		}
		for _, e := range entries {
			e.UID, e.GID = uid, gid
			if e.Type == tree.File {
				data := make([]byte, r.IntN(3000))
				for i := range data {
					data[i] = byte(r.Uint32())
				}
				content[e.Path] = data
				var chunks []tree.Chunk
				for piece := range slices.Chunk(data, 1000) {
					c, err := w.Chunk(piece)
					if err != nil {
						t.Fatal(err)
					}
					chunks = append(chunks, c)
				}
				if err := b.PutChunks(ctx, e, chunks); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Add(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	root, err := b.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		filepath.Walk(dir, func(p string, st os.FileInfo, _ error) error { return os.Chmod(p, 0o700) })
	})
	check := func(conflict restore.Conflict, files, skipped, failed int64) {
		t.Helper()
		res, err := restore.Run(ctx, restore.Config{Objects: restore.NewObjects(remote, sealer, restore.Options{}), Root: root.Key, Conflict: conflict}, openSink(t, dir))
		if err != nil || res.Files != files || res.Skipped != skipped || res.FailureCount != failed {
			t.Fatalf("%+v %v", res, err)
		}
		for p, want := range content {
			if got, err := os.ReadFile(filepath.Join(dir, p)); failed == 0 && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("%s: %d bytes, want %d: %v", p, len(got), len(want), err)
			}
		}
		if st, err := os.Stat(filepath.Join(dir, "dir-007")); err != nil || st.Mode().Perm() != 0o555 || st.ModTime().UnixNano() != 7e9 {
			t.Errorf("%v %v", st, err)
		}
	}
	check(restore.Skip, 1500, 0, 0)
	check(restore.Skip, 0, 1500, 0)
	victim := filepath.Join(dir, "dir-005/f-3")
	os.Chmod(filepath.Dir(victim), 0o700)
	os.Remove(victim)
	os.WriteFile(victim, []byte("changed since"), 0o600)
	check(restore.Skip, 0, 1499, 1)
	if got, _ := os.ReadFile(victim); string(got) != "changed since" {
		t.Errorf("%q", got)
	}
	check(restore.Overwrite, 1500, 0, 0)
	if names, _ := filepath.Glob(filepath.Join(dir, "*/.holdfast*")); len(names) != 0 {
		t.Error(names)
	}
}

// A restore that is cancelled leaves no half file, and nothing temporary.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	remote := new(vaulttest.Remote)
	sealer := seal.New(seal.ContentKey{1})
	w := &vaulttest.Writer{Remote: remote, Sealer: sealer, PackSize: 100 << 10}
	b := tree.NewBuilder([32]byte{1}, w)
	var chunks []tree.Chunk
	for i := range 300 {
		c, err := w.Chunk(bytes.Repeat([]byte{byte(i), byte(i >> 8), 1}, 5000))
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c)
	}
	for i := range 20 {
		e := &tree.Entry{Path: fmt.Sprintf("f%02d", i), Mode: 0o600}
		b.PutChunks(context.Background(), e, chunks[i*10:i*10+100])
		if err := b.Add(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Finish(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	w.Flush()
	for after := range 10 {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		remote.Reset()
		remote.Fail = func(op string, n int) error {
			if op == "ReadPack" && n == after {
				cancel()
			}
			return nil
		}
		_, err := restore.Run(ctx, restore.Config{Objects: restore.NewObjects(remote, sealer, restore.Options{MaxRead: 50_000, MaxGap: 1}), Root: root.Key}, openSink(t, dir))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d: %v", after, err)
		}
		names, _ := os.ReadDir(dir)
		for _, n := range names {
			if st, _ := n.Info(); isTemp(n.Name()) || st.Size() != 100*15000 {
				t.Errorf("after %d: %s has %d bytes", after, n.Name(), st.Size())
			}
		}
	}
}
