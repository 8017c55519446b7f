package state

import "time"

// Toast is something that is said in a corner of the page.
type Toast struct {
	ID       int
	Severity string // info, success, warning, error
	Title    string
	Body     string
	Href     string // where there is more; may be ""
}

// Toasts are those on the page. The zero value is ready.
type Toasts struct {
	Model
	list []Toast
	next int
}

// mostToasts are on the page at once; for one more, the oldest goes.
const mostToasts = 3

// toastLife is how long one stays that only says that all is well.
const toastLife = 8 * time.Second

// Add says something. Warnings and errors stay until they are dismissed.
func (t *Toasts) Add(toast Toast) {
	t.change(func() {
		t.next++
		toast.ID = t.next
		t.list = append(append([]Toast(nil), t.list...), toast)
		if over := len(t.list) - mostToasts; over > 0 {
			t.list = t.list[over:]
		}
	})
	if toast.Severity == "info" || toast.Severity == "success" {
		time.AfterFunc(toastLife, func() { t.Dismiss(toast.ID) })
	}
}

// Dismiss takes a toast off the page.
func (t *Toasts) Dismiss(id int) {
	t.change(func() {
		var left []Toast
		for _, o := range t.list {
			if o.ID != id {
				left = append(left, o)
			}
		}
		t.list = left
	})
}

// Clear takes all off the page.
func (t *Toasts) Clear() { t.change(func() { t.list = nil }) }

// View returns those on the page, oldest first.
func (t *Toasts) View() (list []Toast) {
	t.read(func() { list = t.list })
	return list
}
