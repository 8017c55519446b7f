//go:build linux

package web

import (
	"testing"

	"github.com/holdfast-backup/holdfast/e2e/web/chrome"
)

// person is somebody at a browser. What they cannot do ends the test.
type person struct {
	*chrome.Page
	t *testing.T
}

// sits opens a browser window for somebody.
func sits(t *testing.T, b *chrome.Browser) person {
	t.Helper()
	p, err := b.Person(chrome.Desk, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return person{p, t}
}

func (p person) ok(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p person) goes(address string) {
	p.t.Helper()
	p.ok(p.Go(address))
}

func (p person) press(names ...string) {
	p.t.Helper()
	for _, name := range names {
		p.ok(p.Press(name))
	}
}

func (p person) types(field, text string) {
	p.t.Helper()
	p.ok(p.Type(field, text))
}

func (p person) chooses(list, option string) {
	p.t.Helper()
	p.ok(p.Choose(list, option))
}

func (p person) sees(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.ok(p.Sees(text))
	}
}

func (p person) lacks(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.ok(p.Lacks(text))
	}
}

// reads returns the texts of elements that have no name.
func (p person) reads(selector string) []string {
	p.t.Helper()
	list, err := p.Read(selector)
	p.ok(err)
	return list
}

// downloads waits for the next file and returns its path.
func (p person) downloads() string {
	p.t.Helper()
	path, err := p.Downloaded()
	p.ok(err)
	return path
}

// looks changes what the window looks like.
func (p person) looks(l chrome.Look) {
	p.t.Helper()
	p.ok(p.Look(l))
}
