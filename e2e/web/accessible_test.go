//go:build linux

package web

import (
	"os"
	"strings"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// screens are the main ones.
var screens = []string{
	"/", "/files", "/devices", "/devices/add", "/runs", "/trash", "/notifications", "/profile", "/admin", "/admin/policies", "/admin/policies/new", "/admin/people",
	"/admin/devices", "/admin/reports", "/admin/storage", "/admin/tasks", "/admin/settings", "/admin/audit",
}

// accessible has axe-core hold the screens against WCAG 2.1, levels A and AA, at a desk and on a telephone, both bright.
func (x *scenario) accessible() {
	a := x.ada
	axe, err := os.ReadFile("../../node_modules/axe-core/axe.min.js")
	x.ok(err)
	for _, l := range []chrome.Look{chrome.Desk, {Width: 390, Height: 844}} {
		a.looks(l)
		for _, at := range screens {
			a.goes(at)
			a.settles()
			x.ok(a.Run(string(axe)+";0", nil))
			var found []string
			x.ok(a.Run(`axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}).then((r) => r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 300)).join(" | ")))`, &found))
			for _, f := range found {
				x.Errorf("%s, %d pixels wide: %s", at, l.Width, f)
			}
			x.silent(a)
		}
	}
	a.looks(chrome.Desk)
}

// settles waits until a screen has all that it shows.
func (p person) settles() {
	p.t.Helper()
	p.ok(p.Until("see all of the screen", strings.TrimSpace(`
		document.querySelector(".app-main .app-content") && !document.querySelector("#splash, .app-main .placeholder, .app-main .spinner-border:not([role=dialog] *)")`)))
}
