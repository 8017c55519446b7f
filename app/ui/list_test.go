package ui

import (
	"strings"
	"testing"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

func TestOnlyWhatIsInSightIsRendered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		total, first, fit int
		from, end         int
	}{
		"nothing":         {0, 0, 0, 0, 0},
		"before a window": {100_000, 0, 0, 0, listStart + listMargin},
		"few":             {5, 0, 12, 0, 5},
		"the middle":      {100_000, 50_000, 12, 50_000 - listMargin, 50_012 + listMargin},
		"the end":         {100_000, 99_990, 12, 99_988 - listMargin, 100_000},
		"a shorter list":  {20, 50_000, 12, 0, 20},
	} {
		l := &List{Total: c.total, first: c.first, fit: c.fit}
		if from, end := l.window(); from != c.from || end != c.end {
			t.Errorf("%s: %d to %d, want %d to %d", name, from, end, c.from, c.end)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var seen, needed []int
	l := &List{Label: "Things", Total: 1000, Row: func(i int) app.UI { seen = append(seen, i); return app.Text("row") }, Need: func(first, last int) { needed = []int{first, last} }}
	if !l.scrolled(500*rowHeight, 10*rowHeight) {
		t.Error("another place needs no rows")
	}
	if l.scrolled(500*rowHeight+10, 10*rowHeight) {
		t.Error("a few pixels need other rows")
	}
	html := app.HTMLString(l.Render())
	if len(seen) != 12+2*listMargin || needed[0] != seen[0] || needed[1] != seen[len(seen)-1] {
		t.Error(seen, needed)
	}
	for _, want := range []string{`aria-rowcount="1000"`, `aria-rowindex="501"`, `height="23424"`} { // 488 rows above
		if !strings.Contains(html, want) {
			t.Errorf("no %s in %s", want, html[:300])
		}
	}
	if strings.Contains(html, "style=") {
		t.Error("the page's policy forbids styles")
	}
}

func TestQR(t *testing.T) {
	t.Parallel()
	html := app.HTMLString(QR("AAAA-BBBB", "A code"))
	if !strings.Contains(html, `aria-label="A code"`) || !strings.Contains(html, `viewBox="0 0 29 29"`) || !strings.Contains(html, `d="M4 4h7v1H4z`) {
		t.Error(html)
	}
	if html := app.HTMLString(QR(strings.Repeat("x", 3000), "too long")); strings.Contains(html, "svg") {
		t.Error("a code of what is too long")
	}
}
