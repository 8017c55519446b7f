package ingest

import (
	"bytes"
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

// TestPaceIsTheFile hands on what a file says.
func TestPaceIsTheFile(t *testing.T) {
	t.Parallel()
	p, _, _ := paced("abc", 0)
	if p.Size() != 3 {
		t.Errorf("%d bytes", p.Size())
	}
	if _, err := p.ReadAt(make([]byte, 4), 1); err == nil {
		t.Error("it does not say where the file ends")
	}
}
