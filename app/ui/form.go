package ui

import "github.com/maxence-charriere/go-app/v10/pkg/app"

// Field is a labelled input. It is a value of its owner's: the owner keeps Value and hears of changes.
type Field struct {
	ID           string
	Label        string
	Type         string // text, email, password, number, time …
	Value        string
	Help         string // below the input
	Problem      string // what is wrong with the value, "" if nothing
	Autocomplete string
	Placeholder  string
	Required     bool
	Focus        bool
	Disabled     bool
	Mono         bool // codes and paths
	OnInput      func(string)
}

// UI returns the field.
func (f Field) UI() app.UI {
	class := "form-control"
	if f.Problem != "" {
		class += " is-invalid"
	}
	if f.Mono {
		class += " font-monospace"
	}
	describe := ""
	switch {
	case f.Problem != "":
		describe = f.ID + "-problem"
	case f.Help != "":
		describe = f.ID + "-help"
	}
	in := app.Input().ID(f.ID).Name(f.ID).Class(class).Type(f.Type).Value(f.Value).Placeholder(f.Placeholder).
		AutoComplete(f.Autocomplete != "off").Attr("autocomplete", f.Autocomplete).Required(f.Required).AutoFocus(f.Focus).Disabled(f.Disabled).
		OnInput(func(ctx app.Context, e app.Event) { f.OnInput(ctx.JSSrc().Get("value").String()) })
	if describe != "" {
		in = in.Aria("describedby", describe)
	}
	if f.Problem != "" {
		in = in.Aria("invalid", "true")
	}
	return app.Div().Class("mb-3").Body(
		app.Label().For(f.ID).Class("form-label").Text(f.Label),
		in,
		app.If(f.Problem != "", func() app.UI { return app.Div().ID(f.ID + "-problem").Class("invalid-feedback").Text(f.Problem) }).
			ElseIf(f.Help != "", func() app.UI { return app.Div().ID(f.ID + "-help").Class("form-text").Text(f.Help) }),
	)
}

// Submit is a form's button. While busy it cannot be pressed again.
func Submit(label string, busy bool) app.UI {
	return app.Button().Type("submit").Class("btn btn-primary w-100").Disabled(busy).Body(
		app.If(busy, func() app.UI { return app.Span().Class("me-2").Body(Spinner()) }),
		app.Text(label),
	)
}

// Button is a small button with an icon; label "" leaves it to the icon, and title names it then.
func Button(color, icon, label, title string, on func()) app.UI {
	b := app.Button().Type("button").Class("btn btn-sm btn-" + color + " text-nowrap").Title(title).
		OnClick(func(app.Context, app.Event) { on() })
	if label == "" {
		return b.Aria("label", title).Body(Icon(icon))
	}
	return b.Body(app.Span().Class("me-1").Body(Icon(icon)), app.Text(label))
}

// Progress is a bar: done of all, both in the same unit; all 0: nobody knows.
func Progress(label string, done, all int64) app.UI {
	bar := app.Progress().Class("hf-progress").Aria("label", label)
	if all <= 0 {
		return bar
	}
	const steps = 1000
	return bar.Max(steps).Value(min(steps, steps*done/all))
}
