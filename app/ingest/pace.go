package ingest

import (
	"io"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
)

const (
	stretch = 50 * time.Millisecond  // of work without a rest
	rest    = time.Millisecond       // browsers make it four
	telling = 100 * time.Millisecond // between two words about how far it is

	windowSize = 1 << 20 // bytes that are read at once
	windows    = 4       // places of the file that are read at the same time
)

// pace is a file as a program in a browser should read it. Such a program has one thread: without a rest now and then nobody could tell it to
// stop while it reads, and what it says would come faster than a page can show it. And whatever it reads comes from another process: libraries that
// want a few KiB at a time get them out of larger pieces. It is safe for concurrent use.
type pace struct {
	File
	emit func(any)
	now  func() time.Time
	nap  func(time.Duration)

	mu     sync.Mutex
	rested time.Time
	told   time.Time
	pieces []piece // of the file, the one that was used last first
}

// piece is some bytes of a file, from at on.
type piece struct {
	at int64
	b  []byte
}

func newPace(f File, emit func(any)) *pace {
	return &pace{File: f, emit: emit, now: time.Now, nap: time.Sleep, rested: time.Now()}
}

// breathe rests if it was long ago. p.mu is held.
func (p *pace) breathe() {
	if p.now().Sub(p.rested) < stretch {
		return
	}
	p.nap(rest)
	p.rested = p.now()
}

// ReadAt implements [io.ReaderAt].
func (p *pace) ReadAt(b []byte, at int64) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breathe()
	if len(b) >= windowSize || at < 0 {
		return p.File.ReadAt(b, at)
	}
	done := 0
	for done < len(b) {
		from, err := p.piece(at + int64(done))
		if err != nil || len(from) == 0 {
			return done, err
		}
		done += copy(b[done:], from)
	}
	return done, nil
}

// piece returns bytes from at on, one at least, or why there are none.
func (p *pace) piece(at int64) ([]byte, error) {
	i := slices.IndexFunc(p.pieces, func(s piece) bool { return at >= s.at && at < s.at+int64(len(s.b)) })
	if i < 0 {
		var b []byte
		if len(p.pieces) == windows {
			b = p.pieces[windows-1].b[:0]
			p.pieces = p.pieces[:windows-1]
		}
		b = slices.Grow(b, windowSize)[:windowSize]
		n, err := p.File.ReadAt(b, at)
		if n == 0 {
			return nil, err
		}
		i = len(p.pieces)
		p.pieces = append(p.pieces, piece{at, b[:n]})
	}
	found := p.pieces[i]
	p.pieces = slices.Insert(slices.Delete(p.pieces, i, i+1), 0, found)
	return found.b[at-found.at:], nil
}

// forget drops what was read: the file may have changed since.
func (p *pace) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pieces = nil
}

// tell says how far it is, unless that was said a moment ago; all of it is always said.
func (p *pace) tell(s talk.Sealing) {
	p.mu.Lock()
	p.breathe()
	now := p.now()
	silent := now.Sub(p.told) < telling && s.Bytes != s.Total
	if !silent {
		p.told = now
	}
	p.mu.Unlock()
	if !silent {
		p.emit(s)
	}
}

var _ io.ReaderAt = (*pace)(nil)
