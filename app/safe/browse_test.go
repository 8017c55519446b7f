package safe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/safe/index"
	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// snap stores a snapshot and opens it.
func (r *rig) snap(files ...safetest.File) string {
	r.T.Helper()
	s := r.Snapshot(r.T, nil, files...)
	if m := must[[]talk.Manifest](r, talk.MethodOpenManifests, []talk.Sealed{s}); m[0].Error != "" {
		r.T.Fatal(m[0].Error)
	}
	return s.ID
}

func TestManifests(t *testing.T) {
	t.Parallel()
	r := opened(t)
	parent := id.Snapshot{}.New()
	good := r.Snapshot(t, func(m *manifest.Manifest) {
		m.Parent = parent
		m.Roots = []string{"/home/\xff"}
		m.Problems = []manifest.Problem{{Path: "a\xff", Cause: "io", Text: "bad disk"}, {Path: "b", Cause: "permission", Text: "no"}}
		m.ProblemCount = 7
	}, safetest.Text("home/a.txt", "hello"))
	other := r.Snapshot(t, nil, safetest.Text("home/b.txt", "hello"))
	swapped := other
	swapped.Manifest = good.Manifest
	swapped.ID = id.Snapshot{}.New().String()
	device := good
	device.ID, device.Device = id.Snapshot{}.New().String(), id.Device{}.New().String()
	stranger := safetest.New(t).Snapshot(t, nil)
	forged := good
	forged.ID = id.Snapshot{}.New().String()
	strangers := safetest.New(t)
	m := manifest.Manifest{Root: [32]byte{1}, Device: r.DeviceID, Started: r.clock, Finished: r.clock}
	var err error
	if forged.Manifest, err = m.Seal(strangers.Account.Space(), r.Account.IdentityPublic()); err != nil {
		t.Fatal(err)
	}
	list := must[[]talk.Manifest](r, talk.MethodOpenManifests, []talk.Sealed{good, other, swapped, device, stranger, forged,
		{ID: "x"}, {ID: id.Snapshot{}.New().String(), Device: "x"}, {ID: id.Snapshot{}.New().String(), Device: good.Device, Manifest: []byte("short")}})
	for i, want := range []string{"", "", "another snapshot", "another snapshot", "not sealed to this account", "not made by a device", "makes no sense", "makes no sense", "newer version"} {
		if got := list[i].Error; (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("manifest %d: %q, want %q", i, got, want)
		}
	}
	if g := list[0]; g.DeviceName != "laptop" || g.Parent != parent.String() || g.Files != 1 || g.Bytes != 5 || g.Problems != 7 || g.Roots[0] != "/home/\uFFFDFF" || g.Finished.Year() != 2026 {
		t.Errorf("%+v", g)
	}
	if again := must[[]talk.Manifest](r, talk.MethodOpenManifests, []talk.Sealed{good}); again[0].Error != "" || again[0].Files != 1 {
		t.Errorf("opened again: %+v", again)
	}
	// A manifest that was opened is not believed for another record.
	moved := good
	moved.Root = other.Root
	if again := must[[]talk.Manifest](r, talk.MethodOpenManifests, []talk.Sealed{moved}); again[0].Error == "" {
		t.Error("the root was not compared again")
	}
	refused(r, fault.TooLarge, talk.MethodOpenManifests, make([]talk.Sealed, maxManifests+1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, _ := json.Marshal([]talk.Sealed{good}) //nolint:errcheck
	if _, err := r.safe.Do(ctx, Request{Method: talk.MethodOpenManifests, In: in}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}

	problems := must[[]talk.Problem](r, talk.MethodProblems, talk.Problems{Snapshot: good.ID, Page: talk.Page{Limit: 1}})
	if len(problems) != 1 || problems[0] != (talk.Problem{Path: "a\uFFFDFF", Cause: "io", Text: "bad disk"}) {
		t.Errorf("%+v", problems)
	}
	if p := must[[]talk.Problem](r, talk.MethodProblems, talk.Problems{Snapshot: good.ID, Page: talk.Page{Offset: 9, Limit: 9}}); p == nil || len(p) != 0 {
		t.Errorf("%+v", p)
	}
	refused(r, fault.Invalid, talk.MethodProblems, talk.Problems{Snapshot: good.ID, Page: talk.Page{Offset: -1}})
	for _, method := range []string{talk.MethodLoad, talk.MethodList, talk.MethodSearch, talk.MethodTotals, talk.MethodStat, talk.MethodPreview, talk.MethodPlan,
		talk.MethodDownload, talk.MethodProblems} {
		refused(r, fault.NotFound, method, talk.Snapshot{Snapshot: stranger.ID})
		refused(r, fault.Invalid, method, talk.Snapshot{Snapshot: "x"})
	}
}

func TestATreeIsLoadedOnce(t *testing.T) {
	t.Parallel()
	r := opened(t)
	var files []safetest.File
	for i := range 3000 {
		files = append(files, safetest.Text(fmt.Sprintf("home/ada/%d/file %d.txt", i%20, i), fmt.Sprint(i)))
	}
	s := r.snap(files...)
	c := must[talk.Contents](r, talk.MethodLoad, talk.Snapshot{Snapshot: s})
	if c.Files != 3000 || c.Entries != 3022 || len(c.Kinds) != 1 || c.Extensions[0].Extension != ".txt" {
		t.Errorf("%+v", c)
	}
	reads := r.Calls("ReadPack")
	l := must[talk.Listing](r, talk.MethodList, talk.List{Snapshot: s, Path: "home/ada/7", Page: talk.Page{Limit: 2}})
	if l.Total != 150 || len(l.Entries) != 2 || l.Entries[0].Name != "file 7.txt" || l.Entries[1].Name != "file 27.txt" {
		t.Errorf("%+v", l)
	}
	if f := must[talk.Listing](r, talk.MethodSearch, talk.Search{Snapshot: s, Text: "file 29*", Page: talk.Page{Limit: 5}}); f.Total != 111 {
		t.Errorf("%+v", f)
	}
	if n := must[talk.Totals](r, talk.MethodTotals, talk.Selection{Snapshot: s, Paths: []string{"home/ada/3", "home/ada/4/file 4.txt"}}); n.Files != 151 || n.Folders != 1 {
		t.Errorf("%+v", n)
	}
	if r.Calls("ReadPack") != reads {
		t.Error("answers were read from the server")
	}
	refused(r, fault.NotFound, talk.MethodList, talk.List{Snapshot: s, Path: "nowhere"})
	refused(r, fault.NotFound, talk.MethodTotals, talk.Selection{Snapshot: s, Paths: []string{"nowhere"}})
}

func TestLoadingIsTold(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("a", "a"))
	hold := make(chan struct{})
	r.Remote.Fail = func(string, int) error {
		<-hold
		return nil
	}
	events := make(chan any, 100)
	in, _ := json.Marshal(talk.Snapshot{Snapshot: s}) //nolint:errcheck
	done := make(chan error, 1)
	go func() {
		_, err := r.safe.Do(t.Context(), Request{Method: talk.MethodLoad, In: in, Emit: func(e any) { events <- e }})
		done <- err
	}()
	if e, ok := (<-events).(talk.Progress); !ok || e.Files != 0 {
		t.Errorf("%+v", e)
	}
	// Another one asks for the same tree, and gives up: the first is none the worse for it.
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := r.safe.Do(ctx, Request{Method: talk.MethodLoad, In: in, Emit: func(any) { cancel() }})
		second <- err
	}()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("whoever gave up: %v", err)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestLoadingThatNobodyWaitsForEnds(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("a", "a"))
	r.Remote.Delay = time.Hour // until its context ends
	ctx, cancel := context.WithCancel(t.Context())
	var l *loading
	in, _ := json.Marshal(talk.Snapshot{Snapshot: s}) //nolint:errcheck
	_, err := r.safe.Do(ctx, Request{Method: talk.MethodLoad, In: in, Emit: func(any) {
		l = r.trees()[0]
		cancel()
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-l.done
	if !errors.Is(l.err, context.Canceled) {
		t.Errorf("the loading itself: %v", l.err)
	}
}

// trees returns what is loaded or on its way.
func (r *rig) trees() (list []*loading) {
	a := r.safe.account
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.trees {
		list = append(list, l)
	}
	return list
}

func TestATreeThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("a", "a"))
	r.Remote.Fail = func(string, int) error { return fault.New(fault.Forbidden, "no") }
	refused(r, fault.Forbidden, talk.MethodLoad, talk.Snapshot{Snapshot: s})
	r.Remote.Do(func() { r.Remote.Fail = nil })
	must[talk.Contents](r, talk.MethodLoad, talk.Snapshot{Snapshot: s}) // it is tried anew

	broken := r.snap(safetest.Text("b", "b"))
	r.Remote.Corrupt = func(_ id.Pack, _ int64, dst []byte) { dst[len(dst)-1] ^= 1 }
	refused(r, fault.Internal, talk.MethodLoad, talk.Snapshot{Snapshot: broken})
}

func TestOldTreesMakeRoom(t *testing.T) {
	t.Parallel()
	a := newAccount(New(Outside{}), safetest.New(t).Account, "u")
	big := func(n int) *loading {
		b, err := index.NewBuilder(0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := b.Add(&tree.Entry{Path: fmt.Sprintf("%07d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		return &loading{done: make(chan struct{}), index: b.Finish()}
	}
	a.room = 1000
	ids := []id.Snapshot{id.Snapshot{}.New(), id.Snapshot{}.New(), id.Snapshot{}.New(), id.Snapshot{}.New()}
	for i, n := range []int{400, 400, 0, 400} {
		a.trees[ids[i]] = big(n)
		if i == 2 {
			a.trees[ids[i]] = &loading{} // on its way
		}
		a.mu.Lock()
		a.touch(ids[i])
		if i == 1 {
			a.touch(ids[0]) // used again
		}
		a.mu.Unlock()
	}
	a.settle(ids[3], a.trees[ids[3]], a.trees[ids[3]].index, nil)
	if a.trees[ids[1]] != nil || a.trees[ids[0]] == nil || a.trees[ids[2]] == nil || a.trees[ids[3]] == nil || len(a.recent) != 3 {
		t.Errorf("%d trees stay, %d are remembered", len(a.trees), len(a.recent))
	}
}

func TestStat(t *testing.T) {
	t.Parallel()
	r := opened(t)
	f := safetest.Text("home/é.jpg", "not a picture")
	f.UID, f.User, f.Group, f.HardLink, f.Xattrs = 1000, "ada", "staff", 3, []tree.Xattr{{Name: "user.x", Value: []byte{1}}}
	s := r.snap(safetest.Dir("home"), f, safetest.File{Entry: tree.Entry{Path: "home/link", Type: tree.Symlink, Link: "\xff"}}, safetest.File{Entry: tree.Entry{Path: "home/pipe", Type: tree.FIFO}})
	got := must[talk.Stat](r, talk.MethodStat, talk.Path{Snapshot: s, Path: "home/é.jpg"})
	if got.Kind != talk.Image || got.Size != 13 || got.Mode != 0o644 || got.User != "ada" || got.Group != "staff" || got.UID != 1000 || !got.HardLink ||
		len(got.Xattrs) != 1 || got.Xattrs[0] != "user.x" || got.Chunks != 1 || got.Type != "file" || got.Name != "é.jpg" || got.ModTime != f.ModTime {
		t.Errorf("%+v", got)
	}
	for path, want := range map[string]talk.Kind{"home": talk.Folder, "home/link": talk.Link, "home/pipe": talk.Special} {
		if got := must[talk.Stat](r, talk.MethodStat, talk.Path{Snapshot: s, Path: path}); got.Kind != want || path == "home/link" && got.Link != "\uFFFDFF" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	refused(r, fault.NotFound, talk.MethodStat, talk.Path{Snapshot: s, Path: "home/none"})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	r := opened(t)
	hole := func(first bool) safetest.File {
		f := safetest.File{Entry: tree.Entry{Path: "x", Size: 30, ChunkCount: 3, Chunks: []tree.Chunk{{Size: 10, Hole: true}, {Key: [32]byte{1}, Size: 10}, {Size: 10, Hole: true}}}}
		if !first {
			f.Chunks = []tree.Chunk{{Size: 5, Hole: true}, {Key: [32]byte{1}, Size: 10}, {Size: 15, Hole: true}}
		}
		return f
	}
	large, _ := safetest.Large("x", 66, 1)
	ids := []string{r.snap(safetest.Text("x", "one")), r.snap(safetest.Text("y", "one")), r.snap(safetest.Text("x", "two")), r.snap(safetest.Text("x", "one"), safetest.Text("z", "")),
		r.snap(safetest.Dir("x")), r.snap(hole(true)), r.snap(hole(false)), r.snap(large), id.Snapshot{}.New().String(), "x", r.snap(safetest.Text("x", ""))}
	list := must[[]talk.Version](r, talk.MethodVersions, talk.Versions{Path: "x", Snapshots: ids})
	for i, want := range []talk.Version{{Content: 1, Size: 3}, {Absent: true}, {Content: 2, Size: 3}, {Content: 1, Size: 3}, {Type: "dir"}, {Content: 3, Size: 30}, {Content: 4, Size: 30},
		{Content: 5, Size: 66 << 20}, {Error: "not opened"}, {Error: "not the id"}, {Content: 6}} {
		got := list[i]
		if got.Snapshot != ids[i] || got.Content != want.Content || got.Size != want.Size || got.Absent != want.Absent || want.Type != "" && got.Type != want.Type ||
			(got.Error == "") != (want.Error == "") || !strings.Contains(got.Error, want.Error) {
			t.Errorf("version %d: %+v, want %+v", i, got, want)
		}
	}
	refused(r, fault.TooLarge, talk.MethodVersions, talk.Versions{Snapshots: make([]string, maxVersions+1)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, _ := json.Marshal(talk.Versions{Path: "x", Snapshots: ids}) //nolint:errcheck
	if _, err := r.safe.Do(ctx, Request{Method: talk.MethodVersions, In: in}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A pack that is gone is not a file that was never there.
func TestAPackThatIsGoneIsNoAbsentFile(t *testing.T) {
	t.Parallel()
	r := opened(t)
	s := r.snap(safetest.Text("x", "one"))
	r.Remote.Fail = func(op string, _ int) error {
		if op == "ReadPack" {
			return fault.New(fault.NotFound, "gone")
		}
		return nil
	}
	v := must[[]talk.Version](r, talk.MethodVersions, talk.Versions{Path: "x", Snapshots: []string{s}})
	if v[0].Absent || !strings.Contains(v[0].Error, "missing from the server") {
		t.Errorf("%+v", v)
	}
	refused(r, fault.BadPack, talk.MethodStat, talk.Path{Snapshot: s, Path: "x"})
}
