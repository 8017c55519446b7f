package ingest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/talk"
)

// paced is a pace whose clock moves by cost with every look at it.
func paced(content string, cost time.Duration) (p *pace, told *[]talk.Sealing, naps *int) {
	told, naps = new([]talk.Sealing), new(int)
	p = newPace(memory(content), func(event any) { *told = append(*told, event.(talk.Sealing)) })
	now := time.Unix(1_800_000_000, 0)
	p.rested = now
	p.now = func() time.Time { now = now.Add(cost); return now }
	p.nap = func(time.Duration) { *naps++ }
	return p, told, naps
}

// fileOf is a file in memory.
type fileOf struct{ *bytes.Reader }

func memory(s string) File { return fileOf{bytes.NewReader([]byte(s))} }

// TestPaceRests has a program that reads without end let the browser in, but not more often than it takes.
func TestPaceRests(t *testing.T) {
	t.Parallel()
	p, _, naps := paced("abcdef", stretch/10)
	b := make([]byte, 2)
	for i := range 200 {
		at := int64(i%3) * 2
		if n, err := p.ReadAt(b, at); n != 2 || err != nil || string(b) != "abcdef"[at:at+2] {
			t.Fatalf("read %d bytes at %d, %q: %v", n, at, b, err)
		}
	}
	if *naps < 15 || *naps > 21 {
		t.Errorf("in twenty stretches of work it rested %d times", *naps)
	}
}

// TestPaceTells has little said of much, and the end in any case.
func TestPaceTells(t *testing.T) {
	t.Parallel()
	p, told, _ := paced("", telling/40)
	for i := range 401 {
		p.tell(talk.Sealing{Phase: "check", Bytes: int64(i), Total: 400})
	}
	if n := len(*told); n < 10 || n > 25 {
		t.Errorf("of 401 steps %d were told", n)
	}
	if (*told)[0].Bytes != 0 || (*told)[len(*told)-1].Bytes != 400 {
		t.Errorf("the first and the last are missing: %v", *told)
	}
	before := len(*told)
	p.tell(talk.Sealing{Phase: "check", Bytes: 400, Total: 400})
	if len(*told) != before+1 {
		t.Error("the end was kept back")
	}
}

// reads counts what is asked of a file.
type reads struct {
	File
	n int
}

func (r *reads) ReadAt(b []byte, at int64) (int, error) { r.n++; return r.File.ReadAt(b, at) }

// TestPaceIsTheFile reads a file here and there, in small pieces and large ones, and gets what is in it for few questions.
func TestPaceIsTheFile(t *testing.T) {
	t.Parallel()
	content := noise(5*windowSize + 12345)
	file := &reads{File: memory(content)}
	p := newPace(file, nil)
	if p.Size() != int64(len(content)) {
		t.Errorf("%d bytes", p.Size())
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		at, n := r.IntN(len(content)+10), r.IntN(9000)
		if r.IntN(100) == 0 {
			n = windowSize + r.IntN(windowSize)
		}
		b := make([]byte, n)
		got, err := p.ReadAt(b, int64(at))
		want := content[min(at, len(content)):min(at+n, len(content))]
		if string(b[:got]) != want || (err == nil) != (got == n) || err != nil && err != io.EOF {
			t.Fatalf("%d bytes at %d: got %d, %v", n, at, got, err)
		}
	}

	// Two who read from the beginning on, each for himself, 4 KiB at a time.
	p, file.n = newPace(file, nil), 0
	b := make([]byte, 4096)
	for at := int64(0); at < 2*windowSize; at += 4096 {
		for _, from := range []int64{0, 2 * windowSize} {
			if _, err := p.ReadAt(b, from+at); err != nil || string(b) != content[from+at:from+at+4096] {
				t.Fatalf("at %d: %v", from+at, err)
			}
		}
	}
	if file.n != 4 {
		t.Errorf("for four pieces it was asked %d times", file.n)
	}
	p.forget()
	if _, err := p.ReadAt(b, 0); err != nil || file.n != 5 {
		t.Errorf("it did not forget: %v", err)
	}
}
