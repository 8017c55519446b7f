// Package ui is AdminLTE's pieces in Go: cards, boxes, tables, badges, progress, forms, charts. Each takes what it shows as fields or
// arguments and tells of events by functions; none knows where data comes from.
//
// Nothing here sets a style attribute: the page's policy forbids it. What varies is a class, an attribute of <progress>, or SVG.
package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// Card is a box with a head. tools, which may be nil, stand at the right of the head.
func Card(title string, tools app.UI, body ...app.UI) app.UI {
	return app.Div().Class("card mb-4 shadow-sm").Body(
		head(title, tools),
		app.Div().Class("card-body").Body(body...),
	)
}

// Panel is a card whose body has no padding: for tables and lists.
func Panel(title string, tools app.UI, body ...app.UI) app.UI {
	return app.Div().Class("card mb-4 shadow-sm").Body(
		head(title, tools),
		app.Div().Class("card-body p-0").Body(body...),
	)
}

func head(title string, tools app.UI) app.UI {
	return app.If(title != "" || tools != nil, func() app.UI {
		return app.Div().Class("card-header d-flex align-items-center gap-2").Body(
			app.If(title != "", func() app.UI { return app.H2().Class("card-title flex-grow-1 text-break").Text(title) }),
			app.If(tools != nil, func() app.UI { return app.Div().Class("card-tools ms-auto").Body(tools) }),
		)
	})
}

// Icon is one of Bootstrap's icons, by its name there. It means nothing to a screen reader.
func Icon(name string) app.UI {
	return app.I().Class("bi bi-"+name).Aria("hidden", "true")
}

// Box is a number that matters, in a colour of Bootstrap's: primary, success, warning, danger, info, secondary.
func Box(color, icon, number, label, href, more string) app.UI {
	return app.Div().Class("small-box text-bg-"+color).Body(
		app.Div().Class("inner").Body(
			app.P().Class("hf-number mb-1").Text(number),
			app.P().Class("mb-0").Text(label),
		),
		app.I().Class("small-box-icon bi bi-"+icon).Aria("hidden", "true"),
		app.If(href != "", func() app.UI {
			return app.A().Class("small-box-footer link-light link-underline-opacity-0 link-underline-opacity-50-hover").Href(href).Body(
				app.Text(more+" "), Icon("arrow-right-circle"))
		}),
	)
}

// Badge is a word in a colour.
func Badge(color, text string) app.UI {
	return app.Span().Class("badge text-bg-" + color).Text(text)
}

// Soft is a word that only says what something is.
func Soft(text string) app.UI { return app.Span().Class("badge hf-soft").Text(text) }

// Empty says that there is nothing, why that is, and what to do about it. action may be nil.
func Empty(icon, title, text string, action app.UI) app.UI {
	return app.Div().Class("text-center text-body-secondary py-5 px-3").Body(
		app.I().Class("bi bi-"+icon+" hf-empty-icon").Aria("hidden", "true"),
		app.P().Class("h5 mt-3 text-body").Text(title),
		app.P().Class("mb-3 mx-auto hf-measure").Text(text),
		app.If(action != nil, func() app.UI { return action }),
	)
}

// Trouble says what went wrong, and offers to try again if retry is not nil.
func Trouble(err error, retry func()) app.UI {
	if err == nil {
		return app.Text("")
	}
	return app.Div().Class("alert alert-danger d-flex align-items-center gap-3 mb-3").Attr("role", "alert").Body(
		Icon("exclamation-triangle-fill"),
		app.Div().Class("flex-grow-1 text-break").Text(sentence(err)),
		app.If(retry != nil, func() app.UI {
			return app.Button().Type("button").Class("btn btn-sm btn-outline-danger text-nowrap").Text("Try again").
				OnClick(func(app.Context, app.Event) { retry() }, fresh())
		}),
	)
}

// Skeleton stands where lines of text will be.
func Skeleton(lines int) app.UI {
	widths := []string{"col-7", "col-10", "col-5", "col-8"}
	return app.Section().Class("placeholder-glow py-1").Attr("role", "status").Aria("label", "Loading").Body(
		app.Range(make([]struct{}, lines)).Slice(func(i int) app.UI {
			return app.Div().Class("mb-2").Body(app.Span().Class("placeholder rounded " + widths[i%len(widths)]))
		}),
	)
}

// Spinner shows that something is under way.
func Spinner() app.UI {
	return app.Span().Class("spinner-border spinner-border-sm").Attr("role", "status").Body(app.Span().Class("visually-hidden").Text("Working"))
}
