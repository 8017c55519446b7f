package state

import (
	"sync/atomic"

	"github.com/holdfast-backup/holdfast/app/api"
)

// Imports are the uploads of this page, one for each application. They go on whatever screen is shown, and are found again as they were left. Make it
// with [NewImports].
type Imports struct {
	Model
	api    *api.Client
	sealer Sealer
	all    map[string]*Importing
	free   func() // lets the window be closed without a question; nil: it is free

	// Hold has the browser ask before the window is closed, until stop is called. May be nil.
	Hold func() (stop func())
}

// NewImports returns none.
func NewImports(client *api.Client, sealer Sealer) *Imports {
	return &Imports{api: client, sealer: sealer, all: map[string]*Importing{}}
}

// Of is the upload for an application.
func (m *Imports) Of(i Importer) (one *Importing) {
	m.read(func() {
		if one = m.all[i.ID]; one == nil {
			one = NewImporting(m.api, m.sealer, i)
			m.all[i.ID] = one
			one.Observe(m.changed)
		}
	})
	one.read(func() { one.of = i }) // it may have another name by now
	return one
}

// View is what pages show of the upload for an application.
func (m *Imports) View(application string) (v ImportingView) {
	m.read(func() {
		if one := m.all[application]; one != nil {
			v = one.View()
		}
	})
	return v
}

// changed takes in that an upload changed.
func (m *Imports) changed() {
	m.change(func() {
		sending := false
		for _, one := range m.all {
			sending = sending || one.View().Step == ImportSending
		}
		switch {
		case sending && m.free == nil && m.Hold != nil:
			m.free = m.Hold()
		case !sending && m.free != nil:
			m.free()
			m.free = nil
		}
	})
}

// End stops and forgets all of them: whoever comes next is somebody else.
func (m *Imports) End() {
	var all map[string]*Importing
	m.read(func() { all, m.all = m.all, map[string]*Importing{} })
	for _, one := range all {
		one.forget()
	}
	m.changed()
}

// imported calls fn whenever another upload for an application was stored, until stop is called.
func (s Sources) imported(application string, fn func()) (stop func()) {
	if s.Imports == nil {
		return func() {}
	}
	var seen atomic.Int64
	seen.Store(int64(s.Imports.View(application).Stored))
	return s.Imports.Observe(func() {
		if n := int64(s.Imports.View(application).Stored); seen.Swap(n) < n {
			fn()
		}
	})
}
