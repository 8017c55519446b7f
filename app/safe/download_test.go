package safe

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-backup/holdfast/app/safe/safetest"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// get downloads into memory, as a page without a service worker does.
func (r *rig) get(in talk.Selection) (talk.Downloaded, *memory, error) {
	r.T.Helper()
	m := new(memory)
	out, err := askWith[talk.Downloaded](r, r.safe, Request{Method: talk.MethodDownload, Out: m}, in)
	return out, m, err
}

// unzip reads a ZIP: what is in each file, "-> target" of links, "dir" of folders.
func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(rc)
		if err != nil { // a wrong checksum, too
			t.Fatalf("%s: %v", f.Name, err)
		}
		switch f.Mode().Type() {
		case fs.ModeDir:
			files[f.Name] = "dir"
		case fs.ModeSymlink:
			files[f.Name] = "-> " + string(content)
		default:
			files[f.Name] = string(content)
		}
	}
	return files
}

func TestAFileIsDownloadedAsItIs(t *testing.T) {
	t.Parallel()
	r := opened(t)
	large, piece := safetest.Large("home/film.mkv", 30, 5)
	s := r.snap(large, safetest.Text("home/empty", ""), safetest.File{Entry: tree.Entry{Path: "home/hole", Size: 3 << 20, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 3 << 20, Hole: true}}}})
	in := talk.Selection{Snapshot: s, Paths: []string{"home/film.mkv"}}
	if p := must[talk.Plan](r, talk.MethodPlan, in); p.Name != "film.mkv" || p.Size != 30<<20 || p.ZIP || p.Files != 1 || p.Bytes != 30<<20 {
		t.Errorf("%+v", p)
	}
	out, m, err := r.get(in)
	if err != nil || !m.closed || m.aborted != "" || out.Bytes != 30<<20 || out.Files != 1 || out.Failures == nil || out.URL != "" {
		t.Fatalf("%+v, %v, closed %v", out, err, m.closed)
	}
	for i := range 30 {
		if !bytes.Equal(m.Bytes()[i<<20:][:1<<20], piece(i)) {
			t.Fatalf("piece %d is wrong", i)
		}
	}
	if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"home/empty"}}); err != nil || m.Len() != 0 || !m.closed {
		t.Errorf("an empty file: %v", err)
	}
	if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"home/hole"}}); err != nil || !bytes.Equal(m.Bytes(), make([]byte, 3<<20)) {
		t.Errorf("a hole: %v", err)
	}
	// In memory: the answer says where.
	in.InMemory = true
	got := must[talk.Downloaded](r, talk.MethodDownload, in)
	kept := r.memory[got.URL]
	if kept == nil || kept.Len() != 30<<20 || kept.kind != "application/octet-stream" {
		t.Fatalf("%+v", got)
	}
	must[any](r, talk.MethodRelease, talk.URL{URL: got.URL})
	if len(r.memory) != 0 {
		t.Error("it is kept for ever")
	}
}

func TestManyFilesBecomeAZIP(t *testing.T) {
	t.Parallel()
	r := opened(t)
	large, piece := safetest.Large("home/ada/film.mkv", 6, 6)
	holes := safetest.File{Entry: tree.Entry{Path: "home/ada/docs/holes.bin", Size: 200_000, ChunkCount: 1, Chunks: []tree.Chunk{{Size: 200_000, Hole: true}}}}
	s := r.snap(safetest.Dir("home"), safetest.Dir("home/ada"), safetest.Dir("home/ada/docs"), safetest.Text("home/ada/docs/a.txt", "alpha"), safetest.Text("home/ada/docs/b\xff.TXT", "beta"),
		safetest.Text("home/ada/docs/c.pdf", ""), large, holes, safetest.Text("etc/passwd", "root"),
		safetest.File{Entry: tree.Entry{Path: "home/ada/link", Type: tree.Symlink, Link: "docs/a.txt", Mode: 0o777}}, safetest.File{Entry: tree.Entry{Path: "home/ada/pipe", Type: tree.FIFO}})
	all := map[string]string{"docs/": "dir", "docs/a.txt": "alpha", "docs/b\uFFFDFF.TXT": "beta", "docs/c.pdf": "", "docs/holes.bin": string(make([]byte, 200_000))}
	var film strings.Builder
	for i := range 6 {
		film.Write(piece(i))
	}
	prefixed := func(prefix string, m map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			out[prefix+k] = v
		}
		return out
	}
	everything := prefixed("home/ada/", all)
	for k, v := range map[string]string{"home/": "dir", "home/ada/": "dir", "home/ada/film.mkv": film.String(), "home/ada/link": "-> docs/a.txt", "etc/passwd": "root"} {
		everything[k] = v
	}
	for _, c := range []struct {
		name string
		in   talk.Selection
		want map[string]string
	}{
		{"docs.zip", talk.Selection{Paths: []string{"home/ada/docs"}}, all},
		{"Holdfast 2026-05-06 07.09.zip", talk.Selection{Paths: []string{"home/ada/docs/a.txt", "home/ada/docs/c.pdf"}}, map[string]string{"a.txt": "alpha", "c.pdf": ""}},
		{"ada.zip", talk.Selection{Paths: []string{"home/ada"}, Extensions: []string{"txt"}}, map[string]string{"ada/docs/a.txt": "alpha", "ada/docs/b\uFFFDFF.TXT": "beta"}},
		{"Holdfast 2026-05-06 07.09.zip", talk.Selection{Paths: []string{"home/ada/docs/a.txt", "etc"}}, map[string]string{"etc/passwd": "root", "home/ada/docs/a.txt": "alpha"}},
		{"Holdfast 2026-05-06 07.09.zip", talk.Selection{}, everything},
	} {
		c.in.Snapshot = s
		p := must[talk.Plan](r, talk.MethodPlan, c.in)
		if !p.ZIP || p.Name != c.name || p.Size != -1 {
			t.Errorf("%+v, want %s", p, c.name)
		}
		out, m, err := r.get(c.in)
		if err != nil || !m.closed || out.Failed != 0 || out.Files != p.Files || out.Bytes != p.Bytes {
			t.Errorf("%s: %+v, %v; planned %+v", c.name, out, err, p)
			continue
		}
		got := unzip(t, m.Bytes())
		for name, content := range c.want {
			if got[name] != content {
				t.Errorf("%s: %q is wrong", c.name, name)
			}
			delete(got, name)
		}
		for name := range got {
			if !strings.HasSuffix(name, "/") {
				t.Errorf("%s holds %q", c.name, name)
			}
		}
	}
	c := r.Snapshot(t, func(m *manifest.Manifest) {}, safetest.Text("x", "x"))
	refused(r, fault.NotFound, talk.MethodPlan, talk.Selection{Snapshot: c.ID})
}

// hide makes the server lose the object that holds a piece of plaintext.
func (r *rig) hide(plain []byte) {
	r.Remote.Drop(r.safe.account.sealer.Key(plain).ID())
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	r := opened(t)
	large, piece := safetest.Large("d/large", 20, 20)
	s := r.snap(safetest.Text("d/good", "good"), safetest.Text("d/lost", "lost"), large)
	r.hide([]byte("lost"))
	out, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"d/good", "d/lost"}})
	if err != nil || out.Failed != 1 || out.Files != 1 || len(out.Failures) != 1 || out.Failures[0].Path != "d/lost" {
		t.Fatalf("%+v, %v", out, err)
	}
	got := unzip(t, m.Bytes())
	if got["good"] != "good" || len(got) != 2 || !strings.Contains(got[archive.Lacking], "d/lost: object") {
		t.Errorf("%q", got)
	}
	// Of a single file, or in the middle of a large one, nothing good can be made.
	if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"d/lost"}}); !errors.Is(err, fault.ObjectsMissing) || m.closed || m.aborted == "" {
		t.Errorf("%v, %q", err, m.aborted)
	}
	r.hide(piece(19))
	if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"d/large", "d/good"}}); !errors.Is(err, fault.ObjectsMissing) || m.closed || m.aborted == "" {
		t.Errorf("%v, %q", err, m.aborted)
	}
}

func TestDownloadsThatCannotBegin(t *testing.T) {
	t.Parallel()
	r := opened(t)
	huge := safetest.File{Entry: tree.Entry{Path: "huge", Size: maxMemory + 1, ChunkCount: 1, Chunks: []tree.Chunk{{Size: maxMemory + 1, Hole: true}}}}
	s := r.snap(safetest.Text("a", "a"), huge)
	refused(r, fault.Invalid, talk.MethodDownload, talk.Selection{Snapshot: s, Paths: []string{"a"}})
	refused(r, fault.TooLarge, talk.MethodDownload, talk.Selection{Snapshot: s, Paths: []string{"huge"}, InMemory: true})
	refused(r, fault.NotFound, talk.MethodDownload, talk.Selection{Snapshot: s, Paths: []string{"b"}, InMemory: true})
	refused(r, fault.NotFound, talk.MethodPlan, talk.Selection{Snapshot: id.Snapshot{}.New().String()})
}

// Whoever takes a download may stop taking it, the page may cancel it, and the network may end.
func TestDownloadsThatEndEarly(t *testing.T) {
	t.Parallel()
	r := opened(t)
	large, _ := safetest.Large("d/large", 12, 12)
	s := r.snap(large, safetest.Text("d/small", "small"), safetest.Text("d/zmall", "more"))
	gone := errors.New("the person closed it")
	for _, paths := range [][]string{{"d/large"}, {"d"}, {"d/small", "d/zmall"}} {
		in, _ := json.Marshal(talk.Selection{Snapshot: s, Paths: paths}) //nolint:errcheck
		m := &memory{full: func(n int) error {
			if n > 3 || len(paths) == 2 {
				return gone
			}
			return nil
		}}
		if _, err := r.safe.Do(t.Context(), Request{Method: talk.MethodDownload, In: in, Out: m}); !errors.Is(err, gone) || m.closed || m.aborted == "" {
			t.Errorf("%q: %v, %q", paths, err, m.aborted)
		}
		ctx, cancel := context.WithCancel(t.Context())
		m = &memory{full: func(n int) error {
			cancel()
			return nil
		}}
		if _, err := r.safe.Do(ctx, Request{Method: talk.MethodDownload, In: in, Out: m}); !errors.Is(err, context.Canceled) || m.closed || m.aborted == "" {
			t.Errorf("%q, cancelled: %v, %q", paths, err, m.aborted)
		}
	}
	must[talk.Plan](r, talk.MethodPlan, talk.Selection{Snapshot: s})
	var off atomic.Bool
	r.Remote.Fail = func(op string, _ int) error {
		if off.Load() && op == "ReadPack" {
			return fault.New(fault.BadPack, "no more")
		}
		return nil
	}
	off.Store(true)
	if _, m, err := r.get(talk.Selection{Snapshot: s, Paths: []string{"d/large", "d/small"}}); err == nil || m.aborted == "" {
		t.Errorf("%v", err)
	}
}

func TestPreviews(t *testing.T) {
	t.Parallel()
	r := opened(t)
	png := "\x89PNG\r\n\x1a\n" + string(safetest.Noise(5000, 1))
	long := strings.Repeat("ä", maxText/2+1)
	big := safetest.File{Entry: tree.Entry{Path: "big.png"}, Pieces: [][]byte{[]byte(png)}}
	for range 33 {
		big.Pieces = append(big.Pieces, safetest.Noise(1<<20, 1))
	}
	s := r.snap(safetest.Text("a.txt", "grüß dich"), safetest.Text("bom.txt", "\xef\xbb\xbfx"), safetest.Text("utf16le", "\xff\xfeh\x00i\x00"), safetest.Text("utf16be", "\xfe\xff\x00h\x00i"),
		safetest.Text("bin", "a\x00b"), safetest.Text("latin1", "gr\xfc\xdf"), safetest.Text("pic", png), big, safetest.Text("odd.txt", "x"+long), safetest.Dir("dir"),
		safetest.Text("empty", ""), safetest.Text("x.webp", "RIFF\x01\x02\x03\x04WEBPVP8 "), safetest.Text("x.svg", "<svg/>"))
	for path, want := range map[string]talk.Preview{
		"a.txt": {Kind: "text", Text: "grüß dich"}, "bom.txt": {Kind: "text", Text: "x"}, "utf16le": {Kind: "text", Text: "hi"}, "utf16be": {Kind: "text", Text: "hi"},
		"bin": {Kind: "none", Why: "no preview"}, "latin1": {Kind: "none", Why: "no preview"}, "pic": {Kind: "image", URL: "blob:image/png"}, "big.png": {Kind: "none", Why: "too large", Truncated: true},
		"odd.txt": {Kind: "text", Text: "x" + long[:maxText-2], Truncated: true}, "dir": {Kind: "none", Why: "not a file"}, "empty": {Kind: "text"},
		"x.webp": {Kind: "image", URL: "blob:image/webp"}, "x.svg": {Kind: "text", Text: "<svg/>"},
	} {
		got := must[talk.Preview](r, talk.MethodPreview, talk.Path{Snapshot: s, Path: path})
		if got.Kind != want.Kind || got.Text != want.Text || got.URL != want.URL || got.Truncated != want.Truncated || !strings.Contains(got.Why, want.Why) {
			t.Errorf("%s: %.200v", path, got)
		}
	}
	if got := r.memory["blob:image/png"]; got == nil || got.String() != png {
		t.Error("the picture is another one")
	}
	r.hide([]byte("a\x00b"))
	refused(r, fault.ObjectsMissing, talk.MethodPreview, talk.Path{Snapshot: s, Path: "bin"})
	refused(r, fault.NotFound, talk.MethodPreview, talk.Path{Snapshot: s, Path: "none"})
}

func TestNamesOfDownloads(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a.txt": "a.txt", `a<b>:"/\|?*`: "a_b________", "x\x01.": "x_", "...": "download", "b\xff": "b\uFFFDFF"} {
		if got := fileName(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	for want, in := range map[string][]string{"": {"a", "b/c"}, "x/y/": {"x/y/a", "x/y/b/c"}, "x/": {"x/ya", "x/yb/c"}, "home/ada/": {"home/ada/docs"}} {
		if got := above(in); got != want {
			t.Errorf("above %q lies %q, want %q", in, got, want)
		}
	}
}
