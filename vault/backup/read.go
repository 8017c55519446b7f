package backup

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/holdfast-backup/holdfast/vault/tree"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// sparseMin is the size from which a file is asked about holes.
const sparseMin = 1 << 20

// reader is one of those that read files into arenas. It cuts what it reads, names the chunks, and passes
// on those that may be new.
type reader struct {
	*attempt
	out  chan<- *arena
	cur  *arena // nil until something is read
	list *tree.ListWriter
	prev []tree.Chunk // chunks of the file's last version: they are stored
}

// errReading marks errors that are about one file, and not about the backup.
type errReading struct{ error }

func (e errReading) Unwrap() error { return e.error }

// reader takes batches until there are no more.
func (a *attempt) reader(ctx context.Context, todo <-chan *batch, out chan<- *arena) error {
	r := &reader{attempt: a, out: out, list: tree.NewListWriter(&a.nodes)}
	for {
		b, err := receive(ctx, todo)
		if err != nil {
			return err
		}
		if b == nil {
			return r.flush(ctx)
		}
		for i := range b.slots {
			s := &b.slots[i]
			if s.drop || s.reuse {
				continue
			}
			if err := r.slot(ctx, s); err != nil {
				return err
			}
		}
		close(b.done)
	}
}

// slot completes one entry.
func (r *reader) slot(ctx context.Context, s *slot) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	it := s.item
	if it.Type != tree.File {
		if it.Load != nil {
			if err := it.Load(nil, &it.Entry); err != nil {
				r.problem(it.Path, CauseOf(err), Reason(err))
				s.drop = it.Type != tree.Dir
			}
		}
		r.settle(it, time.Now())
		return nil
	}
	r.prev = nil
	if s.prev != nil {
		r.prev = s.prev.Chunks
	}
	again, err := r.file(ctx, it, false)
	if again && err == nil {
		_, err = r.file(ctx, it, true)
	}
	r.meter.files.Add(1)
	if failed := (errReading{}); errors.As(err, &failed) {
		r.list.Reset()
		r.problem(it.Path, CauseOf(failed.error), Reason(failed.error))
		s.drop = true
		return nil
	}
	return err
}

// file reads a file once. It reports whether the file changed meanwhile and should be read again; the last
// time it is taken as it is.
func (r *reader) file(ctx context.Context, it *Item, last bool) (again bool, err error) {
	f, err := it.Open()
	if err != nil {
		return false, errReading{err}
	}
	defer f.Close()
	before := it.stat()
	if last {
		// It is not what was listed: what counts is what it was when it was opened.
		if before, err = f.Stat(); err != nil {
			return false, errReading{err}
		}
	}
	n, err := r.content(ctx, f, before.Size)
	if err != nil {
		r.meter.bytes.Add(-n)
		return false, err
	}
	now := time.Now()
	after, err := f.Stat()
	if err != nil {
		return false, errReading{err}
	}
	if before.Size < 0 {
		before.Size, after.Size = n, n
	}
	changed := after != before || n != before.Size
	if changed && !last {
		r.list.Reset()
		r.meter.bytes.Add(-n)
		return true, nil
	}
	it.ModTime, it.Mode, it.UID, it.GID, it.Fingerprint = before.ModTime, before.Mode, before.UID, before.GID, before.Fingerprint
	if it.Load != nil {
		if err := it.Load(f, &it.Entry); err != nil {
			return false, errReading{err}
		}
	}
	if err := r.list.Finish(ctx, &it.Entry); err != nil {
		return false, err
	}
	r.settle(it, now)
	if changed {
		it.Fingerprint = Fingerprint{} // to be read again the next time
		r.problem(it.Path, Changed, "it kept changing while it was read; it was saved as it was read")
	}
	return false, nil
}

func (it *Item) stat() Stat {
	return Stat{Size: it.Size, ModTime: it.ModTime, Mode: it.Mode, UID: it.UID, GID: it.GID, Fingerprint: it.Fingerprint}
}

// settle forgets the fingerprint of an entry that changed just before it was read: another change within the
// same tick of the file system's clock would leave no trace in it. Clocks that only show whole seconds tick
// every two at worst, the others every hundredth of one.
func (r *reader) settle(it *Item, read time.Time) {
	changed, tick := it.Fingerprint.Ctime, int64(10*time.Millisecond)
	changed = max(changed, it.ModTime)
	if changed%int64(time.Second) == 0 {
		tick = int64(2 * time.Second)
	}
	if age := read.UnixNano() - changed; age < tick && age > -int64(time.Hour) {
		it.Fingerprint = Fingerprint{}
	}
}

// content reads a file, at most limit bytes of it (all, if limit < 0): a file that grows for ever is read to
// where it ended when it was listed.
func (r *reader) content(ctx context.Context, f File, limit int64) (int64, error) {
	sparse, ok := f.(Sparse)
	if !ok || limit < sparseMin {
		return r.run(ctx, f, limit)
	}
	for pos := int64(0); pos < limit; {
		start, end, err := sparse.NextData(pos)
		if err != nil {
			return pos, errReading{err}
		}
		if start < pos || end < start {
			return pos, fault.New(fault.Internal, "a source placed data at %d to %d when asked from %d", start, end, pos)
		}
		if start == end {
			start, end = limit, limit
		}
		start, end = min(start, limit), min(end, limit)
		if start > pos {
			if err := r.list.Add(ctx, tree.Chunk{Size: start - pos, Hole: true}); err != nil {
				return pos, err
			}
			r.meter.bytes.Add(start - pos)
		}
		pos = start
		n, err := r.run(ctx, f, end-start)
		if pos += n; err != nil || n < end-start {
			return pos, err // shorter than it was: the caller sees that it changed
		}
	}
	return limit, nil
}

// run reads at most n bytes (to the end, if n < 0), from where f stands, as a stream that is cut on its own.
func (r *reader) run(ctx context.Context, f io.Reader, n int64) (read int64, err error) {
	if n == 0 {
		return 0, nil
	}
	need := r.info.Chunk.Max
	if n > 0 {
		need = int(min(n, int64(need)))
	}
	if r.cur != nil && (len(r.cur.buf)-r.cur.used < need || len(r.cur.pieces) >= maxPieces) {
		if err := r.flush(ctx); err != nil {
			return 0, err
		}
	}
	if r.cur == nil {
		if r.cur, err = r.arenas.get(ctx); err != nil {
			return 0, err
		}
	}
	pos := r.cur.used // up to here it is cut
	end := pos        // up to here it is read
	first, pieces := pos, len(r.cur.pieces)
	for eof := false; ; {
		for empty := 0; !eof && end < len(r.cur.buf); {
			room := r.cur.buf[end:]
			if n >= 0 && int64(len(room)) > n-read {
				room = room[:n-read]
			}
			k, err := f.Read(room)
			end += k
			read += int64(k)
			r.meter.bytes.Add(int64(k))
			switch {
			case err == io.EOF || read == n:
				eof = true
			case err != nil:
				return read, errReading{err}
			case k == 0:
				if empty++; empty == 100 {
					return read, errReading{io.ErrNoProgress}
				}
			}
		}
		for pos < end {
			c := r.table.Cut(r.info.Chunk, r.cur.buf[pos:end], eof)
			if c == 0 {
				break
			}
			if err := r.chunk(ctx, pos, c); err != nil {
				return read, err
			}
			pos += c
		}
		if eof {
			if len(r.cur.pieces) == pieces {
				pos = first // nothing new in it: the room can be used again
			}
			r.cur.used = pos
			return read, nil
		}
		next, err := r.arenas.get(ctx)
		if err != nil {
			return read, err
		}
		end = copy(next.buf, r.cur.buf[pos:end])
		if err := r.flush(ctx); err != nil {
			r.arenas.put(next)
			return read, err
		}
		r.cur, pos, first, pieces = next, 0, 0, 0
	}
}

// chunk names the n bytes at off and notes them if they may be new.
func (r *reader) chunk(ctx context.Context, off, n int) error {
	p := r.cur.buf[off : off+n]
	key := r.sealer.Key(p)
	if err := r.list.Add(ctx, tree.Chunk{Key: key, Size: int64(n)}); err != nil {
		return err
	}
	for i := range r.prev {
		if r.prev[i].Key == key && !r.prev[i].Hole {
			return nil
		}
	}
	o := key.ID()
	if r.known.add(o) {
		r.cur.pieces = append(r.cur.pieces, piece{key: key, id: o, off: off, n: n})
	}
	return nil
}

// flush passes the arena on, or back if there is nothing new in it.
func (r *reader) flush(ctx context.Context) error {
	ar := r.cur
	r.cur = nil
	if ar == nil {
		return nil
	}
	if len(ar.pieces) == 0 {
		ar.reset()
		r.arenas.put(ar)
		return nil
	}
	return send(ctx, r.out, ar)
}
