package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// Column is the head of a table's column. Class goes to its cells too: "text-end" for numbers, "hf-whole" for sentences, which get a line of their own on a narrow
// screen.
type Column struct{ Title, Class string }

// Table is a table of n rows. On a narrow screen each row becomes a block of lines, each with its column's title before it; roles keep it
// a table for screen readers then. caption is for them only.
func Table(caption string, columns []Column, n int, row func(i int) []app.UI) app.UI {
	return app.Div().Class("table-responsive").Body(
		app.Table().Class("table table-hover align-middle mb-0 hf-table").Attr("role", "table").Body(
			app.Caption().Class("visually-hidden").Text(caption),
			app.THead().Attr("role", "rowgroup").Body(app.Tr().Attr("role", "row").Body(
				app.Range(columns).Slice(func(i int) app.UI {
					return app.Th().Scope("col").Attr("role", "columnheader").Class(columns[i].Class).Body(title(columns[i].Title))
				}),
			)),
			app.TBody().Attr("role", "rowgroup").Body(
				app.Range(make([]struct{}, n)).Slice(func(i int) app.UI {
					cells := row(i)
					return app.Tr().Attr("role", "row").Body(app.Range(cells).Slice(func(j int) app.UI {
						return app.Td().Attr("role", "cell").Class(columns[j].Class).DataSet("label", columns[j].Title).Body(cells[j])
					}))
				}),
			),
		),
	)
}

// title is a head's text; a column of buttons has none to see.
func title(s string) app.UI {
	if s == "" {
		return app.Span().Class("visually-hidden").Text("Actions")
	}
	return app.Text(s)
}

// More stands below a list that comes page by page: how many there are, and a button for the next ones.
func More(shown, total int, more, loading bool, words func(int) string, on func()) app.UI {
	text := words(shown)
	if total > shown {
		text = words(shown) + " of " + words(total)
	}
	return app.Div().Class("d-flex align-items-center gap-3 p-3 border-top").Body(
		app.Span().Class("text-body-secondary small").Text(text),
		app.If(more, func() app.UI {
			return app.Button().Type("button").Class("btn btn-sm btn-outline-secondary ms-auto").Disabled(loading).
				OnClick(func(app.Context, app.Event) { on() }, fresh()).Body(
				app.If(loading, func() app.UI { return app.Span().Class("me-2").Body(Spinner()) }), app.Text("Load more"))
		}),
	)
}

// Two is a cell of two lines: what matters, and below it, small, what tells it apart.
func Two(first app.UI, second string) app.UI {
	return app.Div().Class("hf-two").Body(
		app.Div().Class("hf-name-lines").Body(first),
		app.If(second != "", func() app.UI {
			return app.Div().Class("small text-body-secondary text-truncate").Title(second).Text(second)
		}),
	)
}

// Name is a text that may be long: it is cut after two lines, and whole for whoever points at it.
func Name(s string) app.UI { return app.Span().Class("hf-name-lines").Title(s).Text(s) }

// Facts are pairs of a term and its value, one after another.
func Facts(pairs ...string) app.UI {
	return app.Dl().Class("row mb-0 hf-facts").Body(app.Range(make([]struct{}, len(pairs)/2)).Slice(func(i int) app.UI {
		return app.Div().Class("col-6 col-md-4 col-xl-3 mb-3").Body(
			app.Dt().Class("small fw-normal text-body-secondary").Text(pairs[2*i]),
			app.Dd().Class("mb-0 fs-5 text-break").Text(pairs[2*i+1]),
		)
	}))
}
