// Package intake takes in what other programs made of an application: dumps, and archives with dumps and media. It finds out what a
// file is by its content, reads all of it, and offers it in the layout of package archive, as a source of a backup.
//
// # What is taken
//
// A dump that package dump knows, or a portable dump, as it is or in gzip or zstd. A tar, as it is or in gzip or zstd, or a ZIP, with one of
// each at most at its top, and a folder media; one folder around all of it is looked through. Our own
// exports are such ZIPs: their manifest is compared with what is there. An archive with none of this is a media folder. What lies beside
// is not taken, and counted. Archives within archives are files like others.
//
// # What is refused
//
// With one sentence that says what to do: whatever is encrypted, damaged, cut off, empty or unknown; names that lead out, links that lead
// out, devices; two things of one name; entries that share their bytes; more bytes or entries than [Options] allows, or four hundred times
// as many as the archive has. Sizes that an archive claims are used to refuse it early, and never believed.
//
// # How it is read
//
// [Open] reads everything once: it counts the rows of the dump, and keeps a sum of every file. Source reads it again; a file whose
// sum is another one by then fails the backup. Sums are CRC-32, and SHA-256 of the dump: they find what changed, not what
// somebody with access to the file changes with art.
//
// A ZIP, a tar and a lone dump are read where they lie. A tar in gzip or zstd can be read from its beginning only, while a backup wants
// files in the order of the tree: so it is passed over as often as it takes, and files that come too early wait in memory, up to
// Options.Window. A tar whose files are in order takes one pass; one of 10 GiB in no order and a window of 256 MiB takes forty.
//
// # What is not promised
//
// Whether a dump can be restored shows when it is restored. Of one in pg_dump's custom format only the beginning is looked at, since its rows
// are compressed. Names that are no UTF-8 are taken as bytes. Owners, set-id bits and extended attributes are not taken: they are
// those of another machine. A hard link becomes a file of its own.
package intake

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Options bound what is taken; zero values are what an agent can do.
type Options struct {
	Window     int64 // bytes of files that wait in memory, at least 16 MiB; 0: 256 MiB
	MaxEntries int   // of an archive; 0: a million
	MaxBytes   int64 // of everything, unpacked; 0: 4 TiB

	Application string    // for the manifest; an export keeps its own
	ModTime     time.Time // of the file: when the backup was taken, if nothing inside says

	// Progress is told how many bytes of the file were looked at, of how many. May be nil.
	Progress func(done, total int64)
}

const minWindow = 16 << 20

// An Import is a file that was read and found good.
type Import struct {
	Kind     string // such as "SQL dump", "tar.gz archive"
	Manifest archive.Manifest
	Portable bool     // there is a database_dump.json
	Files    int64    // media
	Bytes    int64    // of the media
	Left     []string // the first of the files that are not taken
	LeftOut  int      // how many

	file    *file
	from    container
	list    []*entry // in tree order
	encoded []byte   // the manifest
	window  int64
}

// maxLeft is how many files that are not taken are listed.
const maxLeft = 20

// Open reads a file of size bytes, whose name is for messages only. It fails with fault.Invalid or fault.TooLarge if the file is not
// one to take, and otherwise with what r said or the cause of ctx's end.
func Open(ctx context.Context, r io.ReaderAt, size int64, name string, o Options) (*Import, error) {
	o.Window = max(cmp.Or(o.Window, 256<<20), minWindow)
	o.MaxEntries = cmp.Or(o.MaxEntries, 1_000_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 4<<40)
	f := &file{r: r, size: size, name: name}
	c := &check{ctx: ctx, o: &o, file: f, read: &counted{r: &ahead{r: f}}}
	im, err := c.open()
	if err != nil {
		return nil, f.cause(ctx, err)
	}
	if o.Progress != nil {
		o.Progress(size, size)
	}
	return im, nil
}

// open finds out what the file is, and reads it.
func (c *check) open() (*Import, error) {
	if c.file.size == 0 {
		return nil, refuse("%s is empty", c.quoted())
	}
	head := make([]byte, min(c.file.size, headSize))
	if _, err := c.file.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	k := recognise(head)
	if k == zipKind {
		return c.zip()
	}
	pack := codecOf(k)
	if pack == plain && k != tarKind {
		if err := known(k, c.quoted()); err != nil {
			return nil, err
		}
		return c.lone(plain)
	}
	from := &stream{file: c.file, pack: pack, memory: c.o.Window, window: c.o.Window}
	raw, err := from.unpacked(c.read.stream(c.file.size))
	if err != nil {
		return nil, c.broken(err)
	}
	defer raw.Close()
	in := bufio.NewReaderSize(raw, headSize)
	head, err = in.Peek(headSize)
	if err != nil && err != io.EOF {
		return nil, c.broken(err)
	}
	switch k := recognise(head); {
	case len(head) == 0:
		return nil, refuse("%s holds nothing", c.quoted())
	case k == tarKind:
		return c.tar(from, in)
	case pack != plain && (codecOf(k) != plain || k == zipKind):
		return nil, refuse("%s is packed twice: unpack it once", c.quoted())
	default:
		if err := known(k, c.quoted()); err != nil {
			return nil, err
		}
	}
	return c.lone(pack)
}

// file is the file, which remembers if it could not be read.
type file struct {
	r    io.ReaderAt
	size int64
	name string

	mu  sync.Mutex
	err error
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.r.ReadAt(p, at)
	if err != nil && err != io.EOF {
		f.mu.Lock()
		f.err = cmp.Or(f.err, err)
		f.mu.Unlock()
	}
	return n, err
}

// cause returns why reading the file failed, which libraries call damage.
func (f *file) cause(ctx context.Context, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case f.err != nil:
		return f.err
	}
	return err
}

func refuse(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }
