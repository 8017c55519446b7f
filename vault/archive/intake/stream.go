package intake

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"io"
	"sync"

	"github.com/holdfast-backup/holdfast/vault/tree"
)

// stream is the container of a tar that is packed.
type stream struct {
	file    *file
	pack    codec
	memory  int64 // bytes that unpacking may take
	window  int64 // bytes of files that may be held
	entries int64 // of any kind, in the tar
}

func (s *stream) unpacked(r io.Reader) (io.ReadCloser, error) { return unpack(s.pack, r, s.memory) }

// passes reads the files of a stream for those who ask for them in the order of the tree.
//
// A pass gives a file straight from the stream to somebody who waits for it. One that nobody wants yet it holds if there is
// room for it and all that come before it; so a file that the next pass must bring finds its room. If there is none, it
// waits as long as the first file that is not done is held, or being read: then the readers are behind, and room will be. If
// that file is neither, the pass has missed it, and another is needed anyway.
type passes struct {
	stream *stream
	ctx    context.Context
	slots  []slot
	of     map[*entry]int
	by     map[int64][]int // slots by the number of their entry in the tar
	upto   []int64         // bytes of all slots before one; at the end, of all

	mu      sync.Mutex
	change  *sync.Cond
	low     int // all slots before it are done
	missing int // slots that are neither done nor held
	wanting int // slots that somebody waits for
	going   bool
	count   int   // of passes begun
	err     error // why nothing can be read any more
}

// slot is a file.
type slot struct {
	size    int64
	held    []byte
	have    bool
	waiting bool
	live    io.Reader // given to him who waits, until he closes it
	done    bool
}

// opener implements container.
func (s *stream) opener(ctx context.Context, list []*entry) func(*entry) (io.ReadCloser, error) {
	return newPasses(ctx, s, list).open
}

func newPasses(ctx context.Context, s *stream, list []*entry) *passes {
	p := &passes{stream: s, ctx: ctx, of: map[*entry]int{}, by: map[int64][]int{}, upto: []int64{0}}
	p.change = sync.NewCond(&p.mu)
	for _, e := range list {
		if e.typ != tree.File || e.data != nil {
			continue
		}
		i := len(p.slots)
		p.slots = append(p.slots, slot{size: e.stored})
		p.of[e] = i
		p.by[e.at] = append(p.by[e.at], i)
		p.upto = append(p.upto, p.upto[i]+e.stored)
	}
	p.missing = len(p.slots)
	context.AfterFunc(ctx, func() { p.fail(context.Cause(ctx)) })
	return p
}

func (p *passes) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = cmp.Or(p.err, err)
	p.change.Broadcast()
}

// open waits for a file.
func (p *passes) open(e *entry) (io.ReadCloser, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, context.Cause(p.ctx)
	}
	i := p.of[e]
	s := &p.slots[i]
	if s.done { // once more
		s.done = false
		p.missing++
		p.low = min(p.low, i)
	}
	if !s.have {
		s.waiting = true
		p.wanting++
		if !p.going {
			p.going = true
			go p.run()
		}
		p.change.Broadcast()
		for !s.have && s.live == nil && p.err == nil {
			p.change.Wait()
		}
		s.waiting = false
		p.wanting--
	}
	if p.err != nil && s.live == nil {
		return nil, p.err
	}
	f := &opened{Reader: s.live, close: func() { p.close(i) }}
	if s.have {
		f.Reader = bytes.NewReader(s.held)
	}
	return f, nil
}

// close is told that a file was read.
func (p *passes) close(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.slots[i]
	if !s.have {
		p.missing--
	}
	s.held, s.have, s.live, s.done = nil, false, nil, true
	for p.low < len(p.slots) && p.slots[p.low].done {
		p.low++
	}
	p.change.Broadcast()
}

type opened struct {
	io.Reader
	close func()
}

func (o *opened) Close() error {
	o.close()
	return nil
}

// run passes over the stream while somebody waits.
func (p *passes) run() {
	for {
		if err := p.pass(); err != nil {
			p.fail(p.stream.file.cause(p.ctx, err))
		}
		p.mu.Lock()
		if p.err != nil || p.wanting == 0 {
			p.going = false
			p.change.Broadcast()
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// pass passes over the stream.
func (p *passes) pass() error {
	p.mu.Lock()
	p.count++
	p.mu.Unlock()
	raw, err := p.stream.unpacked(io.NewSectionReader(p.stream.file, 0, p.stream.file.size))
	if err != nil {
		return changed(p.stream.file)
	}
	defer raw.Close()
	r := tar.NewReader(raw)
	for number := range p.stream.entries {
		if _, err := r.Next(); err != nil {
			return changed(p.stream.file)
		}
		if list := p.by[number]; len(list) > 0 {
			if err := p.offer(list, r); err != nil {
				return err
			}
		}
		if p.over() {
			return nil
		}
	}
	return nil
}

// over reports whether nothing is to be got from the stream any more.
func (p *passes) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missing == 0 || p.err != nil
}

// offer gives a file to the slots that want it. Those are links to one file, if there are more than one.
func (p *passes) offer(list []int, r io.Reader) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var content []byte
	for _, i := range list {
		s := &p.slots[i]
		for p.err == nil && !s.done && !s.have && !s.waiting && !p.fits(i) && p.behind(i) {
			p.change.Wait()
		}
		switch {
		case p.err != nil:
			return p.err
		case s.done || s.have:
		case content != nil || p.fits(i) && !s.waiting:
			if content == nil {
				var err error
				if content, err = p.hold(r, s.size); err != nil {
					return err
				}
			}
			s.held, s.have = content, true
			p.missing--
			p.change.Broadcast()
		case s.waiting:
			s.live = r
			p.change.Broadcast()
			for s.live != nil {
				p.change.Wait()
			}
			return nil // r is used up
		}
	}
	return nil
}

// hold reads a file into memory. The lock is open meanwhile.
func (p *passes) hold(r io.Reader, size int64) ([]byte, error) {
	p.mu.Unlock()
	defer p.mu.Lock()
	content := make([]byte, size)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, changed(p.stream.file)
	}
	return content, nil
}

// fits reports whether a slot's file can be held.
func (p *passes) fits(i int) bool { return p.upto[i+1]-p.upto[min(p.low, i)] <= p.stream.window }

// behind reports whether waiting makes room for a slot.
func (p *passes) behind(i int) bool {
	if p.low >= i {
		return true
	}
	s := &p.slots[p.low]
	return s.have || s.live != nil
}

func changed(f *file) error {
	return refuse("%s changed while it was taken in: take it in again", short(f.name))
}
