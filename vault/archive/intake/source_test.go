package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/vault/archive/export"
	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/chunk"
	"github.com/holdfast-backup/holdfast/vault/keyring"
	"github.com/holdfast-backup/holdfast/vault/manifest"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/vault/vaulttest"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// media are n files of up to so many bytes that nothing compresses, in the order of the tree.
func media(n, size int) []thing {
	r := rand.NewChaCha8([32]byte{1})
	list := make([]thing, n)
	for i := range list {
		p := make([]byte, r.Uint64()%uint64(size))
		_, _ = r.Read(p)
		list[i] = thing{name: fmt.Sprintf("media/%06d", i), text: string(p)}
	}
	return list
}

func shuffled(list []thing) []thing {
	list = slices.Clone(list)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func total(list []thing) (n int64) {
	for _, x := range list {
		n += int64(len(x.text))
	}
	return n
}

var account = sync.OnceValue(func() *keyring.Account {
	a, err := keyring.NewAccount()
	if err != nil {
		panic(err)
	}
	return a
})

// store runs a backup and returns its tree.
func store(ctx context.Context, im *Import, remote *vaulttest.Remote) (backup.Result, *tree.Reader, *restore.Objects, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	space := account().Space()
	res, err := backup.Run(ctx, backup.Config{
		Space: space, Identity: account().IdentityPublic(), Manifest: manifest.Manifest{DeviceName: "d", Hostname: "h", OS: "linux", AgentVersion: "0"},
	}, im.Source(cancel), remote, nil)
	objects := restore.NewObjects(remote, seal.New(space.Content), restore.Options{})
	return res, tree.Open(objects, res.Root), objects, err
}

// narrow leaves an import a window of a quarter of a megabyte.
func narrow(im *Import) *Import {
	if s, ok := im.from.(*stream); ok {
		s.window = 256 << 10
	}
	return im
}

func newRemote() *vaulttest.Remote {
	return &vaulttest.Remote{Chunk: chunk.Params{Min: 512 << 10, Avg: 1 << 20, Max: 4 << 20}}
}

// TestBackups makes snapshots of imports, and reads them back.
func TestBackups(t *testing.T) {
	t.Parallel()
	list := media(120, 40<<10)
	list = append(list, thing{name: "database.sql", text: postgresDump}, thing{name: "media/big", text: strings.Repeat(list[0].text+list[1].text, 60)})
	raw := tarOf(t, shuffled(list)...)
	for kind, p := range map[string][]byte{"tar": raw, "tar.gz": gz(t, raw), "tar.zst": zst(t, raw), "zip": zipOf(t, list...)} {
		im := narrow(taken(t, p))
		res, reader, objects, err := store(t.Context(), im, newRemote())
		if err != nil || res.ProblemCount != 0 || res.Files != int64(len(list))+1 {
			t.Fatalf("%s: %+v, %v", kind, res, err)
		}
		for _, x := range list {
			e, err := reader.Get(t.Context(), x.name)
			if err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			r := restore.OpenFile(t.Context(), objects, e)
			if _, err := io.Copy(h, r); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if want := sha256.Sum256([]byte(x.text)); !bytes.Equal(h.Sum(nil), want[:]) {
				t.Errorf("%s: %s is another one", kind, x.name)
			}
		}
	}
}

// An export that is taken in is the same backup again.
func TestExportAndBack(t *testing.T) {
	t.Parallel()
	first := taken(t, tarOf(t, every...))
	p := first.encoded
	for range 2 {
		_, reader, objects, err := store(t.Context(), first, newRemote())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := export.WriteZIP(t.Context(), &b, export.Options{Objects: objects, Walk: export.Tree(reader), Compress: true}); err != nil {
			t.Fatal(err)
		}
		again := taken(t, b.Bytes())
		if !bytes.Equal(again.encoded, p) {
			t.Errorf("%s\n%s", again.encoded, p)
		}
		first = again
	}
}

// held returns what waits in memory.
func (p *passes) heldBytes() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		n += int64(len(p.slots[i].held))
	}
	return n
}

func TestPasses(t *testing.T) {
	t.Parallel()
	const window = 256 << 10
	ordered := media(160, 10<<10)
	big := thing{name: "media/000050b", text: strings.Repeat(ordered[7].text+ordered[8].text, 40)} // more than the window
	if len(big.text) <= window {
		t.Fatal("it is small")
	}
	with := slices.Insert(slices.Clone(ordered), 51, big)
	backwards := slices.Clone(ordered)
	slices.Reverse(backwards)
	most := int(total(ordered)/(window-10<<10)) + 1
	for what, c := range map[string]struct {
		list   []thing
		passes int
	}{
		"in order": {ordered, 1}, "in order, a big one among them": {with, 1}, "in no order": {shuffled(ordered), most}, "backwards": {backwards, most},
		"in no order, with a big one": {shuffled(with), most + 2},
	} {
		im := narrow(taken(t, gz(t, tarOf(t, c.list...))))
		want := map[string]string{}
		for _, x := range c.list {
			want[x.name] = x.text
		}
		ctx, cancel := context.WithCancel(t.Context())
		p := newPasses(ctx, im.from.(*stream), im.list)
		for _, e := range im.list {
			if e.typ != tree.File || e.data != nil {
				continue
			}
			r, err := p.open(e)
			if err != nil {
				t.Fatal(err)
			}
			if n := p.heldBytes(); n > window {
				t.Fatalf("%s: %d bytes are held", what, n)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != want[e.path] {
				t.Fatalf("%s: %s: %v", what, e.path, err)
			}
			r.Close()
		}
		if p.count > c.passes || c.passes > 1 && p.count < 2 {
			t.Errorf("%s: %d passes, and %d are enough", what, p.count, c.passes)
		}
		r, err := p.open(im.list[len(im.list)-1]) // once more
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want[im.list[len(im.list)-1].path] {
			t.Errorf("once more: %v", err)
		}
		r.Close()
		cancel()
	}
}

func TestAPassEndsWithItsContext(t *testing.T) {
	t.Parallel()
	list := []thing{{name: "media/a", text: "a"}, {name: "media/b", text: media(1, 8<<20)[0].text}}
	im := narrow(taken(t, gz(t, tarOf(t, list...))))
	ctx, cancel := context.WithCancel(t.Context())
	p := newPasses(ctx, im.from.(*stream), im.list)
	for _, e := range im.list {
		if e.path != "media/a" {
			continue
		}
		r, err := p.open(e)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	cancel() // while the pass waits for somebody to want the other
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.going {
		p.change.Wait()
	}
	if p.err != context.Canceled {
		t.Error(p.err)
	}
}

func TestWhetherWaitingMakesRoom(t *testing.T) {
	t.Parallel()
	p := &passes{low: 1, slots: make([]slot, 4)}
	if !p.behind(1) || p.behind(2) {
		t.Error("it is for the first that is not done, and for no other if that is missed")
	}
	p.slots[1].have = true
	if !p.behind(2) {
		t.Error("it is while the first is held")
	}
	p.slots[1] = slot{live: strings.NewReader("")}
	if !p.behind(2) {
		t.Error("it is while the first is read")
	}
}

func TestReadingAhead(t *testing.T) {
	t.Parallel()
	content := []byte(media(1, 3<<20)[0].text)
	a := &ahead{r: bytes.NewReader(content)}
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		at, n := r.Int64N(int64(len(content))+10), r.IntN(aheadSize/8)
		if n%50 == 0 {
			n += aheadSize
		}
		p := make([]byte, n)
		got, err := a.ReadAt(p, at)
		want := content[min(at, int64(len(content))):min(at+int64(n), int64(len(content)))]
		if !bytes.Equal(p[:got], want) || (err == io.EOF) != (got < n) || err != nil && err != io.EOF {
			t.Fatalf("%d bytes at %d: %d, %v", n, at, got, err)
		}
	}
}

// Several may read at once, each his share in order.
func TestPassesForMany(t *testing.T) {
	t.Parallel()
	list := media(200, 10<<10)
	im := narrow(taken(t, gz(t, tarOf(t, shuffled(list)...))))
	var files []*entry
	for _, e := range im.list {
		if e.typ == tree.File && e.data == nil {
			files = append(files, e)
		}
	}
	p := newPasses(t.Context(), im.from.(*stream), im.list)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range next {
				r, err := p.open(files[i])
				if err != nil {
					t.Error(err)
					continue
				}
				if got, err := io.ReadAll(r); err != nil || string(got) != list[i].text {
					t.Errorf("%s: %v", files[i].path, err)
				}
				r.Close()
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
}

// swapped is a file that is another one from some moment on.
type swapped struct {
	now []byte
}

func (s *swapped) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(s.now).ReadAt(p, at)
}

// TestFilesThatChange changes a file between the check and the backup: nothing is committed.
func TestFilesThatChange(t *testing.T) {
	t.Parallel()
	list := append(media(20, 100<<10), thing{name: "database.sql", text: postgresDump})
	other := slices.Clone(list)
	other[3].text = strings.Repeat("?", len(other[3].text))
	fewer := other[:10]
	longer := slices.Clone(list)
	longer[3].text = strings.Repeat("x", 5000) + longer[3].text
	medium := errors.New("the medium failed")
	pack := func(list []thing) map[string][]byte {
		raw := tarOf(t, list...)
		return map[string][]byte{"tar": raw, "tar.gz": gz(t, raw), "tar.zst": zst(t, raw), "zip": zipOf(t, list...)}
	}
	before := pack(list)
	for what, after := range map[string]map[string][]byte{
		"another file": pack(other), "fewer": pack(fewer), "a longer one": pack(longer),
		"nothing": {}, "none of these": {"tar": make([]byte, 5<<20), "tar.gz": make([]byte, 5<<20), "tar.zst": make([]byte, 5<<20), "zip": make([]byte, 5<<20)},
	} {
		for kind, p := range before {
			s := &swapped{now: p}
			im, err := Open(t.Context(), s, int64(len(p)), "upload", Options{})
			if err != nil {
				t.Fatal(err)
			}
			s.now = after[kind]
			remote := newRemote()
			if _, _, _, err = store(t.Context(), im, remote); !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "changed while it was taken in") {
				t.Errorf("%s, %s: %v", what, kind, err)
			}
			if n := len(remote.Snapshots()); n != 0 {
				t.Errorf("%s, %s: %d snapshots", what, kind, n)
			}
		}
	}
	for kind, p := range before {
		b := &brokenAt{bytes.NewReader(p), 1 << 40, medium}
		im, err := Open(t.Context(), b, int64(len(p)), "upload", Options{})
		if err != nil {
			t.Fatal(err)
		}
		b.from = int64(len(p)) / 2
		if _, _, _, err = store(t.Context(), im, newRemote()); !errors.Is(err, medium) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	s := &swapped{now: gz(t, []byte(postgresDump))} // a lone dump
	im, err := Open(t.Context(), s, int64(len(s.now)), "upload", Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.now = gz(t, []byte(strings.Replace(postgresDump, "3", "4", 1)))
	if _, _, _, err := store(t.Context(), im, newRemote()); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
	s.now = []byte("no gzip any more, and long enough")
	if _, _, _, err := store(t.Context(), im, newRemote()); !errors.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestWalksThatEnd(t *testing.T) {
	t.Parallel()
	im := taken(t, gz(t, tarOf(t, every...)))
	enough := errors.New("enough")
	fail := func(error) { t.Error("it failed") }
	if err := im.Source(fail).Walk(t.Context(), func(*backup.Item) error { return enough }); err != enough {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	var item *backup.Item
	err := im.Source(func(error) {}).Walk(ctx, func(it *backup.Item) error {
		if item == nil && it.Open != nil {
			item = it
			cancel(enough)
		}
		return nil
	})
	if err != enough {
		t.Error(err)
	}
	if _, err := item.Open(); err != enough {
		t.Errorf("after the end: %v", err)
	}
}

// run runs a program in a folder.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return string(out)
}

// TestPlainTools takes in what the programs of every system make.
func TestPlainTools(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "sqlite3", "shop.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1),('ä'),(x'00');")
	sql := run(t, dir, "sqlite3", "-readonly", "shop.db", ".dump")
	long := strings.Repeat("a folder with a long name/", 12)
	want := map[string]string{"database.sql": sql, "media/a ü.txt": "hello", "media/" + long + "b": strings.Repeat("b", 100_000), "media/hard": "hello"}
	for name, text := range want {
		p := filepath.Join(dir, "x", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "media/hard" {
			continue
		}
		if err := os.WriteFile(p, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "x/media/a ü.txt"), filepath.Join(dir, "x/media/hard")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a ü.txt", filepath.Join(dir, "x/media/link")); err != nil {
		t.Fatal(err)
	}
	sparse, err := os.Create(filepath.Join(dir, "x/media/sparse"))
	if err != nil {
		t.Fatal(err)
	}
	want["media/sparse"] = "1" + strings.Repeat("\x00", 2<<20) + "2"
	for at, b := range map[int64]string{0: "1", 2<<20 + 1: "2"} {
		if _, err := sparse.WriteAt([]byte(b), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := sparse.Close(); err != nil {
		t.Fatal(err)
	}
	want["media/link"] = "-> a ü.txt"
	for _, format := range []string{"gnu", "pax"} {
		run(t, dir, "tar", "-C", "x", "--format", format, "-Scf", format+".tar", ".")
		run(t, dir, "tar", "--format", format, "-czf", format+".tar.gz", "x")
		run(t, dir, "zstd", "-q", format+".tar")
	}
	run(t, filepath.Join(dir, "x"), "zip", "-qry", "../all.zip", ".")
	run(t, dir, "zip", "-qry0", "wrapped.zip", "x")
	run(t, filepath.Join(dir, "x"), "sh", "-c", "find . -type f | zip -q -@ - > ../streamed.zip; tar -cf - . | gzip -9 > ../piped.tgz; gzip -k database.sql; zstd -q database.sql; mv database.sql.* ..")
	run(t, dir, "zip", "-qe", "-P", "secret", "encrypted.zip", "database.sql.gz")
	take := func(name string) (*Import, error) {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return Open(t.Context(), f, info.Size(), name, Options{})
	}
	for _, name := range []string{"gnu.tar", "pax.tar", "gnu.tar.gz", "pax.tar.gz", "gnu.tar.zst", "pax.tar.zst", "all.zip", "wrapped.zip", "streamed.zip", "piped.tgz", "database.sql.gz", "database.sql.zst"} {
		im, err := take(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if fmt.Sprint(im.Manifest.Tables) != "[{t 3}]" || im.LeftOut != 0 {
			t.Errorf("%s: %+v", name, im)
		}
		got := contents(t, im)
		for path, text := range want {
			if strings.HasPrefix(name, "database") && path != "database.sql" || name == "streamed.zip" && path == "media/link" {
				continue
			}
			if got[path] != text {
				t.Errorf("%s: %s has %d bytes", name, path, len(got[path]))
			}
		}
	}
	if _, err := take("encrypted.zip"); err == nil || !strings.Contains(err.Error(), "is encrypted") {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	raw := tarOf(f, every...)
	for _, p := range [][]byte{raw, gz(f, raw), zst(f, raw), zipOf(f, every...), []byte(mysqlDump), gz(f, []byte(postgresDump)), []byte(portableDump), overlapping(2)} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		im, err := take(t, p, Options{MaxEntries: 1000, MaxBytes: 8 << 20})
		if err != nil {
			if !errors.Is(err, fault.Invalid) && !errors.Is(err, fault.TooLarge) {
				t.Fatalf("no fault: %v", err)
			}
			return
		}
		for path := range contents(t, im) {
			if err := tree.CheckPath(strings.TrimSuffix(path, "/")); err != nil {
				t.Fatal(err)
			}
		}
	})
}
