package intake

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-backup/holdfast/wire/fault"
)

// A codec is how a stream is packed.
type codec uint8

const (
	plain codec = iota
	gzipped
	zstdded
)

func codecOf(k kind) codec {
	switch k {
	case gzipKind:
		return gzipped
	case zstdKind:
		return zstdded
	}
	return plain
}

// String returns how the names of such files end.
func (c codec) String() string { return [...]string{"", ".gz", ".zst"}[c] }

// What is unpacked may be this much longer than the file it came from, and from here on that counts. Deflate reaches 1,030 with zeros, zstd
// thousands; dumps of tables whose rows are all alike reach some hundred for a while.
const (
	maxRatio  = 400
	ratioFrom = 256 << 20
)

var errBomb = fault.New(fault.TooLarge, "it unpacks to more than %d times its size, as files made to fill disks do: if it is a good one, unpack it and take it in as it is", maxRatio)

// maxZstdWindow is how much memory a stream may want to be unpacked. zstd --ultra -22 wants as much, everything without --ultra or --long
// a sixteenth.
const maxZstdWindow = 128 << 20

// unpack returns what a stream holds. It fails at one that holds far more than its size.
func unpack(c codec, r io.Reader, window int64) (io.ReadCloser, error) {
	switch c {
	case gzipped:
		in := &counted{from: r}
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return &guard{r: z, in: in, close: func() { _ = z.Close() }}, nil
	case zstdded:
		in := &counted{from: r}
		z, err := zstd.NewReader(in,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(min(window, maxZstdWindow))))
		if err != nil {
			return nil, err
		}
		return &guard{r: z, in: in, close: z.Close}, nil
	}
	return io.NopCloser(r), nil
}

// guard compares what comes out of a stream with what went in.
type guard struct {
	r     io.Reader
	in    *counted
	out   int64
	close func()
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if g.out += int64(n); g.out > ratioFrom && g.out > maxRatio*g.in.n {
		return 0, errBomb
	}
	return n, err
}

func (g *guard) Close() error {
	g.close()
	return nil
}

// counted counts what is read through it, of a stream or of places.
type counted struct {
	from io.Reader
	r    io.ReaderAt
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.n += int64(n)
	return n, err
}

// stream returns the first size bytes, counted.
func (c *counted) stream(size int64) io.Reader { return io.NewSectionReader(c, 0, size) }

// ahead reads more than it is asked for: what is read in small pieces, and in order, is fetched in large ones.
type ahead struct {
	r  io.ReaderAt
	mu sync.Mutex
	at int64
	p  []byte
}

const aheadSize = 256 << 10

func (a *ahead) ReadAt(p []byte, at int64) (int, error) {
	if len(p) >= aheadSize {
		return a.r.ReadAt(p, at)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at < a.at || at+int64(len(p)) > a.at+int64(len(a.p)) {
		buf := a.p[:0]
		if cap(buf) == 0 {
			buf = make([]byte, 0, aheadSize)
		}
		n, err := a.r.ReadAt(buf[:aheadSize], at)
		a.at, a.p = at, buf[:n]
		if err != nil && n < len(p) {
			return copy(p, a.p), err
		}
	}
	return copy(p, a.p[at-a.at:]), nil
}

// damage says what an error of a library means for somebody who has only the file. name is what could not be read.
func damage(name string, err error) error {
	var f *fault.Error
	switch {
	case errors.As(err, &f) && f == errBomb:
		return fault.New(f.Kind, "%s: %s", name, f.Message)
	case errors.As(err, &f):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fault.Wrap(err, fault.Invalid, "%s is cut off: copy or make it again", name)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fault.Wrap(err, fault.TooLarge, "%s wants too much memory to be unpacked: pack it with zstd without --long and --ultra", name)
	}
	return fault.Wrap(err, fault.Invalid, "%s is damaged: copy or make it again", name)
}

// zeros reports whether p holds nothing else.
func zeros(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }
