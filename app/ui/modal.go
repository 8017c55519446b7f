package ui

import (
	"strconv"
	"sync/atomic"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

// Modal is a dialog over the page: its owner renders it while it is open, and stops when OnClose was called. Escape, the cross and a click
// beside it close it. The cursor goes into it, stays in it, and goes back to where it was.
type Modal struct {
	app.Compo
	Title   string
	Size    string // "", "sm", "lg" or "xl"
	Body    func() []app.UI
	Footer  func() []app.UI // may be nil
	OnClose func()

	id     string
	before app.Value // where the cursor was
	escape func()    // stops listening for Escape; nil until the dialog is open
}

var modals atomic.Int64

// OnInit implements app.Initializer.
func (m *Modal) OnInit() { m.id = "modal-" + strconv.FormatInt(modals.Add(1), 10) }

// OnMount implements app.Mounter.
func (m *Modal) OnMount(ctx app.Context) { ctx.Defer(m.enter) }

// OnUpdate implements app.Updater.
func (m *Modal) OnUpdate(ctx app.Context) { ctx.Defer(func(app.Context) { m.stay() }) }

// OnDismount implements app.Dismounter.
func (m *Modal) OnDismount() { m.leave() }

func (m *Modal) enter(ctx app.Context) {
	doc := app.Window().Get("document")
	m.before = doc.Get("activeElement")
	doc.Get("body").Get("classList").Call("add", "hf-modal-open")
	pressed := app.FuncOf(func(_ app.Value, args []app.Value) any {
		if args[0].Get("key").String() == "Escape" {
			ctx.Dispatch(func(app.Context) { m.OnClose() })
		}
		return nil
	})
	app.Window().Call("addEventListener", "keydown", pressed)
	m.escape = func() {
		app.Window().Call("removeEventListener", "keydown", pressed)
		pressed.Release()
	}
	m.first()
}

// stay takes the cursor back in when what it was on is gone.
func (m *Modal) stay() {
	dialog := app.Window().GetElementByID(m.id)
	if m.escape != nil && dialog.Truthy() && !dialog.Call("contains", app.Window().Get("document").Get("activeElement")).Bool() {
		m.first()
	}
}

func (m *Modal) leave() {
	if m.escape == nil {
		return
	}
	m.escape()
	app.Window().Get("document").Get("body").Get("classList").Call("remove", "hf-modal-open")
	if m.before.Truthy() {
		m.before.Call("focus")
	}
}

// first puts the cursor where somebody begins: what asks for it, what is typed into, else the last button, which goes on.
func (m *Modal) first() {
	m.focus(".modal-body [autofocus]", ".modal-body input:not([readonly]), .modal-body select, .modal-body textarea", ".modal-footer .btn:last-child", ".modal-body .btn-primary", ".btn-close")
}

// focus puts the cursor into the first element that there is of some kinds, or into the dialog.
func (m *Modal) focus(kinds ...string) {
	dialog := app.Window().GetElementByID(m.id)
	if !dialog.Truthy() {
		return
	}
	for _, kind := range kinds {
		if e := dialog.Call("querySelector", kind); e.Truthy() {
			e.Call("focus")
			return
		}
	}
	dialog.Call("focus")
}

// Render implements app.Composer.
func (m *Modal) Render() app.UI {
	size := ""
	if m.Size != "" {
		size = " modal-" + m.Size
	}
	edge := func(kinds ...string) app.UI { // the cursor that leaves at one end comes in at the other
		return app.Span().TabIndex(0).OnFocus(func(app.Context, app.Event) { m.focus(kinds...) }, fresh())
	}
	return app.Div().Body(
		app.Div().Class("modal-backdrop show"),
		app.Div().Class("modal d-block").OnMouseDown(func(ctx app.Context, e app.Event) {
			if e.Get("target").Equal(ctx.JSSrc()) {
				m.OnClose()
			}
		}).Body(
			edge(".modal-footer .btn:last-child", ".modal-body .btn-primary", ".btn-close"),
			app.Div().ID(m.id).Class("modal-dialog modal-dialog-centered modal-dialog-scrollable"+size).TabIndex(-1).
				Attr("role", "dialog").Aria("modal", "true").Aria("labelledby", m.id+"-title").Body(
				app.Div().Class("modal-content").Body(
					app.Div().Class("modal-header").Body(
						app.H2().ID(m.id+"-title").Class("modal-title h5 text-break").Text(m.Title),
						app.Button().Type("button").Class("btn-close").Aria("label", "Close").OnClick(func(app.Context, app.Event) { m.OnClose() }),
					),
					app.Div().Class("modal-body").Body(m.Body()...),
					app.If(m.Footer != nil, func() app.UI { return app.Div().Class("modal-footer").Body(m.Footer()...) }),
				),
			),
			edge(".btn-close"),
		),
	)
}

// Confirm asks before something that cannot be undone: text says what is lost, label what the button does. color is Bootstrap's.
func Confirm(title, text, color, label string, busy bool, err error, yes, no func()) app.UI {
	return &Modal{
		Title: title, OnClose: no,
		Body: func() []app.UI { return []app.UI{Trouble(err, nil), app.P().Class("mb-0").Text(text)} },
		Footer: func() []app.UI {
			return []app.UI{
				app.Button().Type("button").Class("btn btn-outline-secondary").Text("Cancel").OnClick(func(app.Context, app.Event) { no() }, fresh()),
				app.Button().Type("button").Class("btn btn-"+color).Disabled(busy).OnClick(func(app.Context, app.Event) { yes() }, fresh()).Body(
					app.If(busy, func() app.UI { return app.Span().Class("me-2").Body(Spinner()) }), app.Text(label)),
			}
		},
	}
}
