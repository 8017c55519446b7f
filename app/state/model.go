// Package state is what the app's screens know and do, as plain Go: it imports no go-app and runs, and is tested, without a browser.
//
// A screen's model embeds [Model], loads what it shows through the API, and tells whoever observes that something changed. Pages read a
// copy (each model's View method), and call methods for what a person does. Methods return at once; what takes time happens in a
// goroutine, and its outcome is in the next View.
package state

import "sync"

// Model is a lock and those who want to know of changes. The zero value is ready.
type Model struct {
	mu        sync.Mutex
	observers map[int]func()
	next      int
}

// Observe calls fn after every change, from any goroutine, until stop is called.
func (m *Model) Observe(fn func()) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observers == nil {
		m.observers = map[int]func(){}
	}
	m.next++
	id := m.next
	m.observers[id] = fn
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.observers, id)
	}
}

// change runs fn alone, then tells the observers.
func (m *Model) change(fn func()) {
	m.mu.Lock()
	fn()
	list := make([]func(), 0, len(m.observers))
	for _, o := range m.observers {
		list = append(list, o)
	}
	m.mu.Unlock()
	for _, o := range list {
		o()
	}
}

// read runs fn while nothing changes.
func (m *Model) read(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn()
}

// Status is how far something is that has to be loaded.
type Status int

// The statuses.
const (
	Idle    Status = iota // nobody asked yet
	Loading               // on its way for the first time
	Ready                 // here; it may be reloading
	Failed                // it could not be loaded, and there is no older one to show
)

// Load is something that has to be loaded.
type Load[T any] struct {
	Status Status
	Value  T
	Err    error // of the last try; with Ready: reloading failed, and Value is older
}

// begin marks that it is on its way. What is here stays.
func (l *Load[T]) begin() {
	if l.Status != Ready {
		l.Status = Loading
	}
}

// end takes in what came of it.
func (l *Load[T]) end(v T, err error) {
	l.Err = err
	switch {
	case err == nil:
		l.Status, l.Value = Ready, v
	case l.Status != Ready:
		l.Status = Failed
	}
}
