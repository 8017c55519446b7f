package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// rowHeight is the height of a row of a [List] in pixels: app.css says the same of hf-list-row.
const rowHeight = 48

// listMargin is how many rows are rendered beyond each edge of what is seen.
const listMargin = 12

// listStart is how many rows are rendered before anybody knows the window's height.
const listStart = 24

// List is a list of any number of rows of one height, of which only those in sight are rendered. Key says what list it is: another one
// begins at its top.
type List struct {
	app.Compo
	Key   string
	Label string // for screen readers
	Total int
	Row   func(i int) app.UI    // its content; it has to fit into the height
	Need  func(first, last int) // these rows are going to be seen
	Head  func() app.UI         // stays at the top; may be nil

	key   string
	first int // row at the top edge
	fit   int // rows that fit
}

// OnMount implements app.Mounter.
func (l *List) OnMount(ctx app.Context) { l.restart() }

// OnUpdate implements app.Updater.
func (l *List) OnUpdate(ctx app.Context) { l.restart() }

// restart goes to the top of another list.
func (l *List) restart() {
	if l.key == l.Key {
		return
	}
	l.key, l.first = l.Key, 0
	if l.Mounted() && l.JSValue() != nil && l.JSValue().Truthy() {
		l.JSValue().Set("scrollTop", 0)
	}
}

// scrolled takes in where the list stands. It reports whether other rows have to be rendered.
func (l *List) scrolled(top, height int) bool {
	first, fit := max(0, top/rowHeight), height/rowHeight+2
	if fit == l.fit && first/(listMargin/2) == l.first/(listMargin/2) {
		return false
	}
	l.first, l.fit = first, fit
	return true
}

// window is which rows are rendered: from first to before end.
func (l *List) window() (first, end int) {
	fit := l.fit
	if fit == 0 {
		fit = listStart
	}
	first = max(0, min(l.first, l.Total-fit)-listMargin)
	return first, min(l.Total, l.first+fit+listMargin)
}

// Render implements app.Composer.
func (l *List) Render() app.UI {
	first, end := l.window()
	if l.Need != nil && end > first {
		l.Need(first, end-1)
	}
	rows := make([]app.UI, 0, end-first+3)
	if l.Head != nil {
		rows = append(rows, l.Head())
	}
	rows = append(rows, gap(first))
	for i := first; i < end; i++ {
		rows = append(rows, app.Div().Class("hf-list-row").Attr("role", "row").Aria("rowindex", i+1).Body(l.Row(i)))
	}
	rows = append(rows, gap(l.Total-end))
	return app.Div().Class("hf-list").Attr("role", "table").Aria("label", l.Label).Aria("rowcount", l.Total).TabIndex(0).
		OnScroll(func(ctx app.Context, e app.Event) {
			if !l.scrolled(ctx.JSSrc().Get("scrollTop").Int(), ctx.JSSrc().Get("clientHeight").Int()) {
				ctx.PreventUpdate()
			}
		}).Body(rows...)
}

// gap stands for rows that are not rendered. It is a drawing, since a drawing has its height as an attribute.
func gap(rows int) app.UI {
	return app.Elem("svg").XMLNS(svg).Attr("class", "d-block").Attr("width", "1").Attr("height", rows*rowHeight).Attr("aria-hidden", "true")
}
