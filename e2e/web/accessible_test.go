//go:build linux

package web

import (
	"os"
	"strings"
	"sync"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// screens are the main ones.
var screens = []string{
	"/", "/files", "/devices", "/devices/add", "/runs", "/trash", "/notifications", "/profile", "/admin", "/admin/policies", "/admin/policies/new", "/admin/people",
	"/admin/devices", "/admin/reports", "/admin/storage", "/admin/tasks", "/admin/settings", "/admin/audit",
}

// looks are those in which a screen is held against axe-core: all that it knows at a desk, bright, and on a telephone, dark; and once more the colours.
var looks = []struct {
	chrome.Look
	rules string
}{
	{chrome.Desk, `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`},
	{chrome.Look{Width: 1440, Height: 900, Dark: true}, `{type: "rule", values: ["color-contrast", "link-in-text-block"]}`},
	{chrome.Look{Width: 390, Height: 844, Dark: true}, `{type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}`},
}

// accessible has axe-core hold the screens against WCAG 2.2, levels A and AA, and what else it thinks good; and looks that nothing is wider than the
// screen, and that nothing jumps while it comes.
func (x *scenario) accessible() {
	for _, at := range append(screens, x.application()...) {
		x.visit(at)
		x.hold(at, "html")
	}
	x.dialogs()
	x.ada.looks(chrome.Desk)
}

// visit goes to a screen and looks that nothing jumps while it comes.
func (x *scenario) visit(at string) {
	x.Helper()
	a := x.ada
	a.looks(chrome.Desk)
	a.goes(at)
	a.settles()
	felt, err := a.Felt()
	x.ok(err)
	x.steady(at, felt)
}

// axe is the script of axe-core.
var axe = sync.OnceValues(func() ([]byte, error) { return os.ReadFile("../../node_modules/axe-core/axe.min.js") })

// hold holds what is shown within an element, of which what is the name, against axe-core, in all looks.
func (x *scenario) hold(what, within string) {
	x.Helper()
	a := x.ada
	script, err := axe()
	x.ok(err)
	x.ok(a.Run(string(script)+";0", nil))
	for _, l := range looks {
		a.looks(l.Look)
		a.settles()
		var wide int
		x.ok(a.Run(`document.documentElement.scrollWidth - innerWidth`, &wide))
		if wide > 0 {
			x.Errorf("%s is %d pixels wider than a screen of %d", what, wide, l.Width)
		}
		var found []string
		x.ok(a.Run(`axe.run("`+within+`", {resultTypes: ["violations"], runOnly: `+l.rules+`}).then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 300)).join(" | ")))`, &found))
		for _, f := range found {
			x.Errorf("%s, %d pixels wide, dark %v: %s", what, l.Width, l.Dark, f)
		}
	}
	x.silent(a)
}

// settles waits until a screen has all that it shows.
func (p person) settles() {
	p.t.Helper()
	p.ok(p.Until("see all of the screen", strings.TrimSpace(`
		document.querySelector(".app-main .app-content") && !document.querySelector("#splash, .app-main .placeholder, .app-main .spinner-border:not([role=dialog] *)")`)))
}
