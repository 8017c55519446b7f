//go:build linux

package web

import (
	"time"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// What a person may wait for on an idle machine, and how much slower a busy one may be before it is the app's fault.
const (
	firstPaint  = time.Second
	firstUse    = 2 * time.Second
	secondVisit = time.Second
	busy        = 4
)

// fast has somebody come who never was here, and come again.
func (x *scenario) fast() {
	p := sits(x.T, x.chrome)
	p.goes("/")
	p.sees("Log in")
	first, err := p.Felt()
	x.ok(err)
	x.within("the first paint", first.FirstPaint, firstPaint)
	x.within("the first visit until it can be used", first.Usable, firstUse)
	x.ok(p.Until("the app is kept", `navigator.serviceWorker.ready.then((r) => r.active?.state === "activated")`))
	p.goes("/")
	second, err := p.Felt()
	x.ok(err)
	x.within("the second visit until it can be used", second.Usable, secondVisit)
	x.steady("the door", first)
	x.steady("the door again", second)
}

func (x *scenario) within(what string, ms float64, aim time.Duration) {
	x.Helper()
	took := time.Duration(ms * float64(time.Millisecond)).Round(time.Millisecond)
	x.Logf("%s: %s", what, took)
	if took > busy*aim {
		x.Errorf("%s: %s; the aim is %s", what, took, aim)
	}
}

// steady fails the test if more of a page moves by itself than people bear.
func (x *scenario) steady(what string, f chrome.Felt) {
	x.Helper()
	if f.Shift >= 0.05 {
		x.Errorf("%s moves by %.3f: %q", what, f.Shift, f.Moved)
	}
}
