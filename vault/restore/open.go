package restore

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// aheadBytes is how much of a file is read at once. Two such pieces may be waiting while a third is used.
const aheadBytes = 8 << 20

// OpenFile returns the content of a file, verified, in order, read ahead in large pieces. Close it.
func OpenFile(ctx context.Context, objects *Objects, e *tree.Entry) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	f := &content{cancel: cancel, pieces: make(chan piece, 1)}
	if e.Type != tree.File {
		f.err = fmt.Errorf("%q is a %s, not a file", e.Path, e.Type)
		return f
	}
	go f.fetch(ctx, objects, e)
	return f
}

// content is a file being read in order.
type content struct {
	cancel context.CancelFunc
	pieces chan piece
	now    []part
	err    error
}

type piece struct {
	parts []part
	err   error
}

// part is a chunk's plaintext, or zeros.
type part struct {
	data  []byte
	zeros int64
}

func (f *content) fetch(ctx context.Context, objects *Objects, e *tree.Entry) {
	defer close(f.pieces)
	var batch []tree.Chunk
	var size int64
	send := func() error {
		parts, err := read(ctx, objects, batch)
		batch, size = batch[:0], 0
		select {
		case f.pieces <- piece{parts, err}:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	failed := false
	err := tree.Chunks(ctx, objects, e, func(c tree.Chunk) error {
		batch = append(batch, c)
		if !c.Hole {
			size += c.Size
		}
		if size < aheadBytes && len(batch) < 1000 {
			return nil
		}
		err := send()
		failed = err != nil
		return err
	})
	switch {
	case failed:
	case err != nil:
		select {
		case f.pieces <- piece{err: err}:
		case <-ctx.Done():
		}
	case len(batch) > 0:
		send()
	}
}

// read reads chunks that follow each other.
func read(ctx context.Context, objects *Objects, chunks []tree.Chunk) ([]part, error) {
	parts := make([]part, len(chunks))
	var keys []seal.Key
	var places []int
	for i, c := range chunks {
		if c.Hole {
			parts[i].zeros = c.Size
			continue
		}
		keys = append(keys, c.Key)
		places = append(places, i)
	}
	err := objects.Read(ctx, keys, func(i int, plain []byte, err error) error {
		if err == nil && int64(len(plain)) != chunks[places[i]].Size {
			err = fmt.Errorf("%w: a piece has %d bytes, the tree says %d", seal.ErrDamaged, len(plain), chunks[places[i]].Size)
		}
		if err != nil {
			return err
		}
		parts[places[i]].data = bytes.Clone(plain)
		return nil
	})
	return parts, err
}

// Read implements [io.Reader].
func (f *content) Read(p []byte) (int, error) {
	for {
		if f.err != nil {
			return 0, f.err
		}
		if len(f.now) == 0 {
			next, ok := <-f.pieces
			switch {
			case !ok:
				f.err = io.EOF
			case next.err != nil:
				f.err = next.err
			default:
				f.now = next.parts
			}
			continue
		}
		part := &f.now[0]
		n := copy(p, part.data)
		part.data = part.data[n:]
		if n == 0 && part.zeros > 0 {
			n = int(min(part.zeros, int64(len(p))))
			clear(p[:n])
			part.zeros -= int64(n)
		}
		if len(part.data) == 0 && part.zeros == 0 {
			f.now = f.now[1:]
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// Close ends the reading ahead.
func (f *content) Close() error {
	f.cancel()
	if f.err == nil {
		f.err = io.ErrClosedPipe
	}
	return nil
}
