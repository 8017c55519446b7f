package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/holdfast-backup/holdfast/agent"
)

// bar shows progress on the last line of a terminal, and nothing anywhere else. Each drawing is one write
// that ends where the line before ended, so nothing flickers; the width is asked for each time, so that a
// resized window is no trouble.
type bar struct {
	out   io.Writer
	width func() int

	mu    sync.Mutex
	drawn int // columns in use
	last  time.Time
	meter meter
}

// drawEvery is how often the line changes at most.
const drawEvery = 100 * time.Millisecond

// newBar returns nil, on which every method does nothing, where no progress is to be shown.
func (c *call) newBar() *bar {
	f, ok := c.err.(*os.File)
	if c.quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{out: f, width: func() int {
		w, _, err := term.GetSize(int(f.Fd()))
		if err != nil || w <= 0 {
			return 80
		}
		return w
	}}
}

// step is what the line says.
type step struct {
	phase       string
	files       int64
	bytes, all  int64 // all 0: unknown
	sent        int64
	problems    int64
	problemsAre string // such as "unreadable"
}

func (b *bar) show(s step) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.meter.add(now, s.bytes)
	if now.Sub(b.last) < drawEvery {
		return
	}
	b.last = now
	b.draw(line(s, b.meter.rate(), b.width()-1))
}

// say prints a line above the bar.
func (b *bar) say(w io.Writer, text string) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.draw("")
		b.last = time.Time{}
	}
	fmt.Fprintln(w, text)
}

// done clears the line.
func (b *bar) done() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draw("")
}

func (b *bar) draw(s string) {
	n := utf8.RuneCountInString(s)
	pad := max(b.drawn-n, 0)
	out := "\r" + s + strings.Repeat(" ", pad)
	if pad > 0 {
		out = out + "\r" + s
	}
	if b.drawn > 0 || n > 0 {
		io.WriteString(b.out, out)
	}
	b.drawn = n
}

// line composes what fits into width columns: what matters less is left out first.
func line(s step, rate float64, width int) string {
	parts := []string{fmt.Sprintf("%-7s", s.phase)}
	if s.all > 0 {
		part := min(float64(s.bytes)/float64(s.all), 1)
		const cells = 20
		full := int(part * cells)
		parts = append(parts, fmt.Sprintf("%3.0f%%", part*100), "["+strings.Repeat("=", full)+strings.Repeat(" ", cells-full)+"]")
	}
	parts = append(parts, thousands(s.files)+" files", agent.Size(s.bytes))
	if rate > 0 {
		parts = append(parts, agent.Size(int64(rate))+"/s")
		if left := s.all - s.bytes; left > 0 {
			parts = append(parts, "ETA "+clock(time.Duration(float64(left)/rate*float64(time.Second))))
		}
	}
	if s.sent > 0 {
		parts = append(parts, "sent "+agent.Size(s.sent))
	}
	if s.problems > 0 {
		parts = append(parts, thousands(s.problems)+" "+s.problemsAre)
	}
	for len(parts) > 1 {
		if text := strings.Join(parts, "  "); utf8.RuneCountInString(text) <= width {
			return text
		}
		parts = parts[:len(parts)-1]
	}
	return ""
}

func clock(d time.Duration) string {
	if d > 99*time.Hour {
		return "days"
	}
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// meter is a rate over the last few seconds.
type meter struct {
	at    []time.Time
	bytes []int64
}

// meterWindow is long enough to be steady and short enough to be true.
const meterWindow = 5 * time.Second

func (m *meter) add(now time.Time, bytes int64) {
	if n := len(m.at); n > 0 && now.Sub(m.at[n-1]) < drawEvery {
		m.bytes[n-1] = bytes
		return
	}
	m.at, m.bytes = append(m.at, now), append(m.bytes, bytes)
	for len(m.at) > 2 && now.Sub(m.at[1]) > meterWindow {
		m.at, m.bytes = m.at[1:], m.bytes[1:]
	}
}

func (m *meter) rate() float64 {
	n := len(m.at) - 1
	if n < 1 {
		return 0
	}
	d := m.at[n].Sub(m.at[0]).Seconds()
	if d <= 0 {
		return 0
	}
	return max(float64(m.bytes[n]-m.bytes[0])/d, 0)
}
