package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// Severity is how something that matters looks: its colour of Bootstrap's, and its icon.
func Severity(s string) (color, icon string) {
	switch s {
	case "error":
		return "danger", "x-octagon-fill"
	case "warning":
		return "warning", "exclamation-triangle-fill"
	case "success":
		return "success", "check-circle-fill"
	}
	return "info", "info-circle-fill"
}

// Toast is something said in a corner of the page. severity is info, success, warning or error; href, which may be "", leads to
// more about it.
func Toast(severity, title, body, href string, dismiss func()) app.UI {
	color, icon := Severity(severity)
	role := "status"
	if color == "danger" {
		role = "alert"
	}
	return app.Div().Class("toast show hf-toast hf-edge-"+color).Attr("role", role).Body(
		app.Div().Class("d-flex align-items-start gap-2 p-3").Body(
			app.Span().Class("text-"+color).Body(Icon(icon)),
			app.Div().Class("flex-grow-1 hf-shrink").Body(
				app.Div().Class("fw-semibold text-break").Body(
					app.If(href != "", func() app.UI {
						return app.A().Class("link-body-emphasis text-decoration-none").Href(href).Text(title).OnClick(func(app.Context, app.Event) { dismiss() }, fresh())
					}).Else(func() app.UI { return app.Text(title) })),
				app.If(body != "", func() app.UI { return app.Div().Class("small text-body-secondary text-break hf-lines").Text(body) }),
			),
			app.Button().Type("button").Class("btn-close flex-shrink-0").Aria("label", "Dismiss").OnClick(func(app.Context, app.Event) { dismiss() }, fresh()),
		),
	)
}

// Toasts is the corner in which they stand.
func Toasts(list ...app.UI) app.UI {
	return app.Div().Class("toast-container position-fixed bottom-0 end-0 p-3 hf-toasts").Aria("live", "polite").Body(list...)
}
