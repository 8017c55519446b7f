package ingest

import (
	"io"
	"sync"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
)

const (
	stretch = 50 * time.Millisecond  // of work without a rest
	rest    = time.Millisecond       // browsers make it four
	telling = 100 * time.Millisecond // between two words about how far it is
)

// pace lets the browser in now and then, and says how far it is a few times a second. A program in a browser has one thread: without a rest
// nobody could tell it to stop while it reads, and what it says would come faster than a page can show it. It is safe for concurrent use.
type pace struct {
	File
	emit func(any)
	now  func() time.Time
	nap  func(time.Duration)

	mu     sync.Mutex
	rested time.Time
	told   time.Time
}

func newPace(f File, emit func(any)) *pace {
	return &pace{File: f, emit: emit, now: time.Now, nap: time.Sleep, rested: time.Now()}
}

// breathe rests if it was long ago.
func (p *pace) breathe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now().Sub(p.rested) < stretch {
		return
	}
	p.nap(rest)
	p.rested = p.now()
}

// ReadAt implements [io.ReaderAt].
func (p *pace) ReadAt(b []byte, at int64) (int, error) {
	p.breathe()
	return p.File.ReadAt(b, at)
}

// tell says how far it is, unless that was said a moment ago; all of it is always said.
func (p *pace) tell(s talk.Sealing) {
	p.breathe()
	p.mu.Lock()
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
