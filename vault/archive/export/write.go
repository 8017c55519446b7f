package export

import (
	"archive/zip"
	"bufio"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/vault/archive"
	"github.com/holdfast-backup/holdfast/vault/restore"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// writer writes batches.
type writer struct {
	Options
	zip    *zip.Writer
	zeros  []byte // for holes
	trial  *flate.Writer
	sample []byte
	result Result
}

func newWriter(w io.Writer, o Options) *writer {
	return &writer{Options: o, zip: zip.NewWriter(w), zeros: make([]byte, 64<<10), result: Result{Failures: []Failure{}}}
}

func (a *writer) batch(ctx context.Context, b *batch) error {
	for i := range b.items {
		it := &b.items[i]
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if it.err != nil {
			a.fail(it.entry, it.err)
			continue
		}
		if err := a.item(ctx, it); err != nil {
			return err
		}
		it.parts = nil // the memory is wanted for the next batch
		if a.Progress != nil {
			a.Progress(a.result.Totals)
		}
	}
	return nil
}

func (a *writer) fail(e *tree.Entry, err error) {
	a.result.Failed++
	if len(a.result.Failures) < maxFailures {
		a.result.Failures = append(a.result.Failures, Failure{e.Path, err})
	}
}

func (a *writer) item(ctx context.Context, it *item) error {
	e := it.entry
	h := &zip.FileHeader{Name: a.Name(e.Path), Method: zip.Store, Modified: time.Unix(0, e.ModTime)}
	mode := fs.FileMode(e.Mode & 0o777)
	switch e.Type {
	case tree.Dir:
		h.Name += "/"
		mode |= fs.ModeDir
	case tree.Symlink:
		mode |= fs.ModeSymlink
	case tree.File:
	default:
		return nil
	}
	h.SetMode(mode)
	var from *bufio.Reader // of a large file
	if e.Type == tree.File && e.Size >= large {
		r := restore.OpenFile(ctx, a.Objects, e)
		defer r.Close()
		from = bufio.NewReaderSize(r, sampleSize)
	}
	if a.Compress && e.Type == tree.File {
		sample, err := a.beginning(it, from)
		switch {
		case err != nil && ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // and nothing of it was written
			a.fail(e, err)
			return nil
		case a.pays(sample):
			h.Method = zip.Deflate
		}
	}
	w, err := a.zip.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("%q cannot be put in a ZIP: %w", h.Name, err)
	}
	switch e.Type {
	case tree.Dir:
		a.result.Folders++
		return nil
	case tree.Symlink:
		_, err := io.WriteString(w, e.Link)
		return err
	}
	if from != nil {
		err = a.stream(w, e, from)
	} else {
		err = a.parts(w, it)
	}
	if err == nil {
		a.result.Files++
	}
	return err
}

// parts writes a small file.
func (a *writer) parts(w io.Writer, it *item) error {
	for i, p := range it.parts {
		if p != nil {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		for hole := it.sizes[i]; p == nil && hole > 0; {
			n, err := w.Write(a.zeros[:min(hole, int64(len(a.zeros)))])
			if err != nil {
				return err
			}
			hole -= int64(n)
		}
	}
	a.result.Bytes += it.entry.Size
	return nil
}

// stream writes a large file while it is read.
func (a *writer) stream(w io.Writer, e *tree.Entry, r io.Reader) error {
	c := &counted{w: w, a: a}
	n, err := io.Copy(c, r)
	switch {
	case c.err != nil:
		return c.err
	case err != nil:
		return fmt.Errorf("%q cannot be read: %w", e.Path, err)
	case n != e.Size:
		return fmt.Errorf("%q has %d bytes, the tree says %d", e.Path, n, e.Size)
	}
	return nil
}

// counted tells of what was written.
type counted struct {
	w   io.Writer
	a   *writer
	err error // of w
}

func (c *counted) Write(p []byte) (n int, err error) {
	n, c.err = c.w.Write(p)
	c.a.result.Bytes += int64(n)
	if c.a.Progress != nil {
		c.a.Progress(c.a.result.Totals)
	}
	return n, c.err
}

// close names what is lacking and ends the archive.
func (a *writer) close() error {
	if a.result.Failed > 0 {
		w, err := a.zip.CreateHeader(&zip.FileHeader{Name: archive.Lacking, Method: zip.Store, Modified: time.Now()})
		if err != nil {
			return err
		}
		var text strings.Builder
		fmt.Fprintf(&text, "This archive lacks %d files, which could not be read from the backup:\r\n\r\n", a.result.Failed)
		for _, f := range a.result.Failures {
			fmt.Fprintf(&text, "%s: %s\r\n", a.Text(f.Path), f.Err)
		}
		if more := a.result.Failed - int64(len(a.result.Failures)); more > 0 {
			fmt.Fprintf(&text, "and %d more\r\n", more)
		}
		if _, err := io.WriteString(w, text.String()); err != nil {
			return err
		}
	}
	return a.zip.Close()
}
