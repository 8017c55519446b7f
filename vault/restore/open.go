package restore

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/holdfast-backup/holdfast/vault/seal"
	"github.com/holdfast-backup/holdfast/vault/tree"
)

// aheadBytes is how much of a file is read at once. While such a piece is used, up to two more are read or waiting.
const aheadBytes = 8 << 20

// OpenFile returns the content of a file, verified, in order, read ahead in large pieces. Close it.
func OpenFile(ctx context.Context, objects *Objects, e *tree.Entry) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	f := &content{ctx: ctx, cancel: cancel, pieces: make(chan (<-chan piece), 1)}
	if e.Type != tree.File {
		f.err = fmt.Errorf("%q is a %s, not a file", e.Path, e.Type)
		return f
	}
	go f.fetch(ctx, objects, e)
	return f
}

// content is a file being read in order.
type content struct {
	ctx    context.Context
	cancel context.CancelFunc
	pieces chan (<-chan piece) // in order, each while it is being read
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
		p, chunks := make(chan piece, 1), batch
		batch, size = nil, 0
		go func() {
			parts, err := read(ctx, objects, chunks)
			p <- piece{parts, err}
		}()
		select {
		case f.pieces <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := tree.Chunks(ctx, objects, e, func(c tree.Chunk) error {
		batch = append(batch, c)
		if !c.Hole {
			size += c.Size
		}
		if size < aheadBytes && len(batch) < 1000 {
			return nil
		}
		return send()
	})
	if err == nil && len(batch) > 0 {
		err = send()
	}
	if err != nil {
		p := make(chan piece, 1)
		p <- piece{err: err}
		select {
		case f.pieces <- p:
		case <-ctx.Done():
		}
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

// zeros are what holes are written with.
var zeros [64 << 10]byte

// part returns what comes next, waiting for it; io.EOF at the end.
func (f *content) part() (*part, error) {
	for f.err == nil && len(f.now) == 0 {
		p, ok := <-f.pieces
		if !ok { // it is over, or nobody wants it any more
			if f.err = context.Cause(f.ctx); f.err == nil {
				f.err = io.EOF
			}
			break
		}
		next := <-p
		f.now, f.err = next.parts, next.err
	}
	if f.err != nil {
		f.cancel()
		return nil, f.err
	}
	return &f.now[0], nil
}

// take removes n bytes of what comes next.
func (f *content) take(n int) {
	part := &f.now[0]
	if part.zeros > 0 {
		part.zeros -= int64(n)
	} else {
		part.data = part.data[n:]
	}
	if len(part.data) == 0 && part.zeros == 0 {
		part.data = nil // the memory is wanted for what follows
		f.now = f.now[1:]
	}
}

// Read implements [io.Reader].
func (f *content) Read(p []byte) (int, error) {
	part, err := f.part()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	n := copy(p, part.data)
	if part.zeros > 0 {
		n = int(min(part.zeros, int64(len(p))))
		clear(p[:n])
	}
	f.take(n)
	return n, nil
}

// WriteTo implements [io.WriterTo], without the copy that Read makes.
func (f *content) WriteTo(w io.Writer) (done int64, err error) {
	for {
		part, err := f.part()
		if err == io.EOF {
			return done, nil
		}
		if err != nil {
			return done, err
		}
		data := part.data
		if part.zeros > 0 {
			data = zeros[:min(part.zeros, int64(len(zeros)))]
		}
		n, err := w.Write(data)
		done += int64(n)
		f.take(n)
		if err != nil {
			return done, err
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
