// Package export writes the files of a snapshot as a ZIP, in order and without knowing more than a few of them at once. Of the backup of an
// application that is all that plain tools need: unzip, and psql, mariadb or sqlite3 for the dump.
//
// Small files, which are most, are read many at once, and verified before a word about them is written: one that cannot be read is left
// out, and listed, and the archive ends with a text that names what it lacks. A large file is written while it is read; if that fails in its
// middle nothing good can be made of the archive any more, and WriteZIP fails.
//
// Files are stored, or compressed where that pays, if it is asked for: a browser has better things to do. What a ZIP cannot hold is left out
// and not counted: owners, set-id bits, extended attributes, devices. A hard link becomes a file of its own.
package export

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Sizes in bytes.
const (
	large       = 4 << 20 // from here on a file is written while it is read
	batchBytes  = 8 << 20 // of small files that are read together; three such batches are in memory
	batchFiles  = 1000
	batchChunks = 8000
)

// maxFailures is how many files are listed; all are counted.
const maxFailures = 1000

// Totals is what was written.
type Totals struct {
	Files, Folders int64
	Bytes          int64 // of the files
}

// Failure is a file that could not be read.
type Failure struct {
	Path string // in the tree
	Err  error
}

// Result is what came of an archive.
type Result struct {
	Totals
	Failures []Failure // the first of them
	Failed   int64     // how many
}

// Options say what an archive is made of.
type Options struct {
	Objects *restore.Objects

	// Walk calls fn for each entry, in order.
	Walk func(ctx context.Context, fn func(*tree.Entry) error) error

	// Name returns the name that an entry gets in the archive; nil: its path, whose bytes need not be UTF-8.
	Name func(path string) string

	// Text writes a path for the text that names what is lacking; nil: with a replacement for what is no UTF-8.
	Text func(path string) string

	Compress bool // files that become smaller by it

	// Progress is told what was written. May be nil.
	Progress func(Totals)
}

// Tree returns a Walk of a whole snapshot.
func Tree(r *tree.Reader) func(ctx context.Context, fn func(*tree.Entry) error) error {
	return func(ctx context.Context, fn func(*tree.Entry) error) error { return r.Walk(ctx, "", fn) }
}

// WriteZIP writes an archive. Its error says that what was written is of no use.
func WriteZIP(ctx context.Context, w io.Writer, o Options) (Result, error) {
	if o.Name == nil {
		o.Name = func(path string) string { return path }
	}
	if o.Text == nil {
		o.Text = func(path string) string { return strings.ToValidUTF8(path, "\uFFFD") }
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &producer{Options: o, ctx: ctx, out: make(chan *batch, 1)}
	go p.run()
	a := newWriter(w, o)
	for b := range p.out {
		if err := <-b.read; err != nil {
			return a.result, err
		}
		if err := a.batch(ctx, b); err != nil {
			return a.result, err
		}
	}
	if p.err != nil {
		return a.result, p.err
	}
	return a.result, a.close()
}

// batch is some entries that are written next. Contents of small files are with them.
type batch struct {
	items  []item
	chunks int
	bytes  int64
	read   chan error // says that the contents are there, or why the archive cannot be made
}

type item struct {
	entry *tree.Entry
	parts [][]byte // of a small file; nil for a hole
	sizes []int64  // of the parts
	err   error
}

// producer walks ahead of the writer, and has some batches read at once.
type producer struct {
	Options
	ctx context.Context
	out chan *batch // in order, each while it is being read
	now *batch
	err error // set before out is closed
}

func (p *producer) run() {
	defer close(p.out)
	p.now = new(batch)
	if p.err = p.Walk(p.ctx, p.add); p.err == nil {
		p.err = p.send()
	}
}

func (p *producer) add(e *tree.Entry) error {
	p.now.items = append(p.now.items, item{entry: e})
	if e.Type == tree.File && e.Size < large {
		p.now.chunks += int(e.ChunkCount)
		p.now.bytes += e.Size
	}
	if b := p.now; len(b.items) < batchFiles && b.chunks < batchChunks && b.bytes < batchBytes {
		return nil
	}
	return p.send()
}

func (p *producer) send() error {
	b := p.now
	p.now = new(batch)
	b.read = make(chan error, 1)
	go func() { b.read <- b.fetch(p.ctx, p.Objects) }()
	select {
	case p.out <- b:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// fetch reads the contents of the small files. Its error is about more than one file.
func (b *batch) fetch(ctx context.Context, objects *restore.Objects) error {
	type place struct{ item, part int }
	var places []place
	var keys []seal.Key
	for i := range b.items {
		it := &b.items[i]
		if it.entry.Type != tree.File || it.entry.Size >= large {
			continue
		}
		it.err = tree.Chunks(ctx, objects, it.entry, func(c tree.Chunk) error {
			if !c.Hole {
				places = append(places, place{i, len(it.parts)})
				keys = append(keys, c.Key)
			}
			it.parts = append(it.parts, nil)
			it.sizes = append(it.sizes, c.Size)
			return nil
		})
	}
	var mu sync.Mutex
	return objects.Read(ctx, keys, func(n int, plain []byte, err error) error {
		it, part := &b.items[places[n].item], places[n].part
		if err == nil && int64(len(plain)) != it.sizes[part] {
			err = fmt.Errorf("%w: a piece has %d bytes, the tree says %d", seal.ErrDamaged, len(plain), it.sizes[part])
		}
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			it.err = cmp.Or(it.err, err)
			return nil
		}
		it.parts[part] = bytes.Clone(plain)
		return nil
	})
}
