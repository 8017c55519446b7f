package intake

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"

	"github.com/holdfast-backup/holdfast/vault/backup"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// Source returns what was taken in, in the layout of package archive, for one backup at a time. The file that was opened must still be there.
//
// A file that cannot be read, or is not what it was when it was checked, must not be left out like one of a device: so
// fail is called with the reason before the reader gets it. It is the cancel function of the context that the backup runs in, which
// thus ends with that reason and commits nothing.
//
// Whoever walks opens every file, in order, and closes it; he may have several open at once. What a Walk returned can be opened until
// the context of the Walk ends.
func (im *Import) Source(fail context.CancelCauseFunc) backup.Source { return &source{im, fail} }

type source struct {
	im   *Import
	fail context.CancelCauseFunc
}

// Walk implements [backup.Source].
func (s *source) Walk(ctx context.Context, emit func(*backup.Item) error) error {
	open := s.im.from.opener(ctx, s.im.list)
	for _, e := range s.im.list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		it := &backup.Item{Entry: tree.Entry{Path: e.path, Type: e.typ, Mode: e.mode, ModTime: e.mtime}}
		switch e.typ {
		case tree.Symlink:
			it.Link = e.link
		case tree.File:
			it.Size = e.size
			it.Open = func() (backup.File, error) {
				r, err := s.open(e, open)
				if err != nil {
					err = s.im.file.cause(ctx, changed(s.im.file)) // it was good before
					s.fail(err)
					return nil, err
				}
				return &reading{source: s, ctx: ctx, entry: e, in: r}, nil
			}
		}
		if err := emit(it); err != nil {
			return err
		}
	}
	return nil
}

// open opens a file as the tree has it.
func (s *source) open(e *entry, open func(*entry) (io.ReadCloser, error)) (io.ReadCloser, error) {
	if e.data != nil {
		return io.NopCloser(bytes.NewReader(e.data)), nil
	}
	raw, err := open(e)
	if err != nil || e.pack == plain {
		return raw, err
	}
	up, err := unpack(e.pack, raw, s.im.window)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return &opened{Reader: up, close: func() {
		up.Close()
		raw.Close()
	}}, nil
}

// reading is a file that is compared with what it was while it is read.
type reading struct {
	source *source
	ctx    context.Context
	entry  *entry
	in     io.ReadCloser
	n      int64
	crc    uint32
}

// Read implements [io.Reader].
func (r *reading) Read(p []byte) (int, error) {
	if left := r.entry.size - r.n; int64(len(p)) > left {
		p = p[:left]
	}
	if len(p) == 0 && r.n == r.entry.size {
		return 0, io.EOF
	}
	n, err := r.in.Read(p)
	r.n += int64(n)
	if r.entry.data == nil {
		r.crc = crc32.Update(r.crc, crc32.IEEETable, p[:n])
	}
	whole := r.n == r.entry.size
	if whole && (r.entry.data != nil || r.crc == r.entry.crc) {
		return n, nil
	}
	if whole || err != nil {
		err = r.source.im.file.cause(r.ctx, changed(r.source.im.file))
		r.source.fail(err)
		return 0, err
	}
	return n, nil
}

// Stat implements [backup.File]: what is in a file does not change, or it is not read.
func (r *reading) Stat() (backup.Stat, error) {
	e := r.entry
	return backup.Stat{Size: e.size, ModTime: e.mtime, Mode: e.mode}, nil
}

// Close implements [io.Closer].
func (r *reading) Close() error { return r.in.Close() }
