package catalog

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

func TestUploadAndMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	m := chunks(fresh(5)...)
	if existed, err := w.upload(dev, b, m); existed || err != nil {
		t.Fatal(existed, err)
	}
	ids := append(fresh(2), m.ids...)
	ids = append(ids, m.ids[0], ids[0]) // repeated, and in no order
	got := must(w.Missing(w.ctx, dev, b.ID, b.Fence, ids))(t)
	want := []bool{true, true, false, false, false, false, false, false, true}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("missing %v, want %v", got, want)
		}
	}
	if got := must(w.Missing(w.ctx, dev, b.ID, b.Fence, nil))(t); len(got) != 0 {
		t.Error("nothing asked, something answered")
	}
	_, err := w.Missing(w.ctx, dev, b.ID, b.Fence, make([]id.Object, MaxIDs+1))
	wantKind(t, err, fault.TooLarge)

	// Another user's space is another world.
	other := w.device(w.user())
	for _, miss := range must(w.Missing(w.ctx, other, w.begin(other).ID, get[int64](w, `SELECT max(fence) FROM backups`), m.ids))(t) {
		if !miss {
			t.Error("an object of somebody else's is known")
		}
	}
	// A pack that is there is not read again.
	if existed, err := w.Upload(w.ctx, dev, UploadInput{b.ID, b.Fence, m.name, int64(len(m.bytes))}, unreadable{}); !existed || err != nil {
		t.Error(existed, err)
	}
	_, err = w.Upload(w.ctx, dev, UploadInput{b.ID, b.Fence, m.name, int64(len(m.bytes)) + 1}, unreadable{})
	wantKind(t, err, fault.Invalid)
	w.readable(owner, m)
}

type unreadable struct{}

func (unreadable) Read([]byte) (int, error) { return 0, errors.New("it was read") }

// broken gives its bytes and then an error.
type broken struct {
	io.Reader
	err error
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.device(w.user())
	b := w.begin(dev)
	m := chunks(fresh(50)...)
	size := int64(len(m.bytes))
	junk := bytes.Repeat([]byte("junk"), 100)
	flipped := bytes.Clone(m.bytes)
	flipped[7] ^= 1
	for name, c := range map[string]struct {
		in   UploadInput
		body io.Reader
		kind fault.Kind
	}{
		"no name":     {UploadInput{b.ID, b.Fence, id.Pack{}, size}, unreadable{}, fault.Invalid},
		"too small":   {UploadInput{b.ID, b.Fence, m.name, pack.TrailerSize - 1}, unreadable{}, fault.Invalid},
		"negative":    {UploadInput{b.ID, b.Fence, m.name, -1}, unreadable{}, fault.Invalid},
		"too large":   {UploadInput{b.ID, b.Fence, m.name, pack.MaxSize + 1}, unreadable{}, fault.TooLarge},
		"flipped":     {UploadInput{b.ID, b.Fence, m.name, size}, bytes.NewReader(flipped), fault.HashMismatch},
		"short":       {UploadInput{b.ID, b.Fence, m.name, size}, bytes.NewReader(m.bytes[:size-1]), fault.HashMismatch},
		"long":        {UploadInput{b.ID, b.Fence, m.name, size}, io.MultiReader(bytes.NewReader(m.bytes), strings.NewReader("x")), fault.Invalid},
		"endless":     {UploadInput{b.ID, b.Fence, m.name, size}, endless{}, fault.Invalid},
		"broken off":  {UploadInput{b.ID, b.Fence, m.name, size}, &broken{bytes.NewReader(m.bytes[:99]), io.ErrUnexpectedEOF}, fault.Unavailable},
		"stood still": {UploadInput{b.ID, b.Fence, m.name, size}, &broken{bytes.NewReader(m.bytes[:99]), os.ErrDeadlineExceeded}, fault.Unavailable},
		"a fault":     {UploadInput{b.ID, b.Fence, m.name, size}, &broken{bytes.NewReader(m.bytes[:99]), fault.New(fault.TooLarge, "x")}, fault.TooLarge},
		"no pack":     {UploadInput{b.ID, b.Fence, sum(junk), int64(len(junk))}, bytes.NewReader(junk), fault.BadPack},
	} {
		existed, err := w.Upload(w.ctx, dev, c.in, c.body)
		if existed || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, %v; want %s", name, existed, err, c.kind)
		}
		if err := w.Admit(w.ctx, dev, c.in); c.body == io.Reader(unreadable{}) && fault.KindOf(err) != c.kind {
			t.Errorf("%s: admit says %v", name, err)
		}
	}
	if n := get[int](w, `SELECT (SELECT count(*) FROM packs) + (SELECT count(*) FROM objects)`); n != 0 {
		t.Errorf("%d rows", n)
	}
	if n := w.blobs("/packs/"); n != 0 {
		t.Errorf("%d packs in the store", n)
	}
	w.mustUpload(dev, b, m)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// blobs counts blobs whose name contains part.
func (w *world) blobs(part string) int {
	w.t.Helper()
	n := 0
	for _, name := range w.names() {
		if strings.Contains(name, part) {
			n++
		}
	}
	return n
}

// A pack may hold an object twice, and objects that other packs hold.
func TestUploadDuplicates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	ids := fresh(3)
	w.mustUpload(dev, b, chunks(ids[0], ids[1], ids[0]), chunks(ids[1], ids[2]))
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 3 {
		t.Errorf("%d objects", n)
	}
	if n := get[int](w, `SELECT sum(shadowed) FROM packs`); n != 1 {
		t.Errorf("%d shadowed", n)
	}
	if u := must(w.Usage(w.ctx, owner, owner.User))(t); u.Objects != 3 {
		t.Errorf("usage %+v", u)
	}
}

func TestConcurrentUploads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	devs := []*Begun{}
	d := w.device(owner)
	e := w.device(owner)
	devs = append(devs, w.begin(d), w.begin(e))
	shared := fresh(200)
	packs := []made{chunks(shared...), chunks(shared[100:]...), chunks(append(fresh(50), shared[:50]...)...), nodes(node{object(), nil, shared})}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			dev, b := d, devs[0]
			if i%2 == 1 {
				dev, b = e, devs[1]
			}
			if _, err := w.upload(dev, b, packs[i/2%len(packs)]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := get[int](w, `SELECT count(*) FROM packs`); n != len(packs) {
		t.Errorf("%d packs", n)
	}
	if n := get[int](w, `SELECT count(*) FROM objects`); n != 251 {
		t.Errorf("%d objects", n)
	}
	if n := get[int](w, `SELECT sum(objects - shadowed) FROM packs`); n != 251 {
		t.Errorf("the packs count %d objects", n)
	}
	w.readable(owner, packs...)
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); r.Verified != int64(len(packs)) || len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
}

// The store fails at each step of an upload; then the process dies between the store and the rows. Nothing is
// visible that is not whole, and repeating helps.
func TestUploadSurvivesTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	m := chunks(fresh(5)...)
	invisible := func(step string) {
		t.Helper()
		if n := get[int](w, `SELECT (SELECT count(*) FROM packs) + (SELECT count(*) FROM objects)`); n != 0 {
			t.Fatalf("%s: %d rows are visible", step, n)
		}
	}
	for _, step := range []string{"create", "write", "stat", "commit"} {
		for _, cause := range []error{errDisk, fault.New(fault.StorageFull, "the disk is full"), fault.New(fault.Unavailable, "the store is away")} {
			w.store.on(func(op, name string) error {
				if op == step {
					return cause
				}
				return nil
			})
			if _, err := w.upload(dev, b, m); !errors.Is(err, cause) {
				t.Errorf("%s: %v", step, err)
			}
			invisible(step)
			if w.blobs("/packs/") != 0 {
				t.Errorf("%s: a pack is in the store", step)
			}
		}
	}
	// The store took it, and then the process died: an orphan.
	w.store.on(func(op, name string) error {
		if op == "committed" {
			return errDisk
		}
		return nil
	})
	if _, err := w.upload(dev, b, m); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	invisible("committed")
	if w.blobs("/packs/") != 1 {
		t.Fatal("no orphan")
	}
	w.store.on(nil)
	if loc := must(w.Locations(w.ctx, owner, m.ids))(t); len(loc.Packs) != 0 {
		t.Error("an orphan is visible")
	}
	// Either the next try finds it …
	orphan := chunks(fresh(5)...)
	w.mustUpload(dev, b, m)
	w.readable(owner, m)
	// … or, for another, the scrub does.
	w.store.on(func(op, name string) error {
		if op == "committed" {
			return errDisk
		}
		return nil
	})
	w.upload(dev, b, orphan)
	w.store.on(nil)
	r := must(w.Scrub(w.ctx, system, 0, nil))(t)
	if r.Adopted != 1 || r.Objects != 5 {
		t.Errorf("%+v", r)
	}
	w.readable(owner, orphan)
}

// An orphan in the store that rotted is replaced by the right bytes when they come again.
func TestUploadReplacesARottenOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.user()
	dev := w.device(owner)
	b := w.begin(dev)
	m := chunks(fresh(5)...)
	name := packName(w.spaceOf(owner), m.name)
	p := must(w.mem.Create(w.ctx))(t)
	p.Write(append(bytes.Clone(m.bytes), 'x'))
	if err := p.Commit(w.ctx, name); err != nil {
		t.Fatal(err)
	}
	w.mustUpload(dev, b, m)
	w.readable(owner, m)
	if r := must(w.Scrub(w.ctx, system, 0, nil))(t); len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
}
