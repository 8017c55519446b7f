package ui

import (
	"slices"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

// Choice is one of several.
type Choice struct{ Value, Title string }

// Select is a labelled list of choices, of which one is chosen. Without a label it is named by title only.
type Select struct {
	ID, Label, Title string
	Value            string
	Choices          []Choice
	Help             string
	Disabled         bool
	OnChange         func(string)
}

// UI returns the list.
func (s Select) UI() app.UI {
	in := app.Select().ID(s.ID).Class("form-select").Disabled(s.Disabled).
		OnChange(func(ctx app.Context, e app.Event) { s.OnChange(ctx.JSSrc().Get("value").String()) }, fresh()).
		Body(app.Range(s.Choices).Slice(func(i int) app.UI {
			return app.Option().Value(s.Choices[i].Value).Selected(s.Choices[i].Value == s.Value).Text(s.Choices[i].Title)
		}))
	if s.Label == "" {
		return in.Aria("label", s.Title)
	}
	return app.Div().Class("mb-3").Body(
		app.Label().For(s.ID).Class("form-label").Text(s.Label),
		in,
		app.If(s.Help != "", func() app.UI { return app.Div().Class("form-text").Text(s.Help) }),
	)
}

// Switch is something that is on or off. With hidden its label is for screen readers only.
func Switch(id, label string, on, hidden, disabled bool, change func(bool)) app.UI {
	class := "form-check-label"
	if hidden {
		class += " visually-hidden"
	}
	return app.Div().Class("form-check form-switch mb-0").Body(
		app.Input().ID(id).Type("checkbox").Attr("role", "switch").Class("form-check-input").Checked(on).Disabled(disabled).
			OnChange(func(ctx app.Context, e app.Event) { change(ctx.JSSrc().Get("checked").Bool()) }, fresh()),
		app.Label().For(id).Class(class).Text(label),
	)
}

// Chips are choices of which any number are on.
func Chips(label string, choices []Choice, on []string, change func([]string)) app.UI {
	return app.Div().Class("d-flex flex-wrap gap-2").Attr("role", "group").Aria("label", label).Body(
		app.Range(choices).Slice(func(i int) app.UI {
			v := choices[i].Value
			chosen := slices.Contains(on, v)
			class, pressed := "btn btn-sm btn-outline-secondary", "false"
			if chosen {
				class, pressed = "btn btn-sm btn-success", "true"
			}
			return app.Button().Type("button").Class(class+" rounded-pill").Attr("aria-pressed", pressed).Text(choices[i].Title).
				OnClick(func(app.Context, app.Event) {
					if chosen {
						change(slices.DeleteFunc(slices.Clone(on), func(s string) bool { return s == v }))
						return
					}
					change(append(slices.Clone(on), v))
				}, fresh())
		}))
}

// Search is an input that looks for something.
func Search(id, label, value string, change func(string)) app.UI {
	return app.Div().Class("input-group hf-search").Body(
		app.Span().Class("input-group-text").Body(Icon("search")),
		app.Input().ID(id).Type("search").Class("form-control").Placeholder(label).Aria("label", label).Value(value).Attr("autocomplete", "off").
			OnInput(func(ctx app.Context, e app.Event) { change(ctx.JSSrc().Get("value").String()) }, fresh()),
	)
}

// Done says that something was done, until it is dismissed.
func Done(text string, dismiss func()) app.UI {
	if text == "" {
		return app.Text("")
	}
	return app.Div().Class("alert alert-success d-flex align-items-center gap-3 mb-3").Attr("role", "status").Body(
		Icon("check-circle-fill"),
		app.Div().Class("flex-grow-1 text-break").Text(text),
		app.Button().Type("button").Class("btn-close").Aria("label", "Dismiss").OnClick(func(app.Context, app.Event) { dismiss() }, fresh()),
	)
}
