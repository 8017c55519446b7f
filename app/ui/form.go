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
		OnInput(func(ctx app.Context, e app.Event) { f.OnInput(ctx.JSSrc().Get("value").String()) }, fresh())
	if describe != "" {
		in = in.Aria("describedby", describe)
	}
	if f.Problem != "" {
		in = in.Aria("invalid", "true")
	}
	return app.Div().Class("mb-3").Body(
		app.Label().For(f.ID).Class("form-label").Text(f.Label),
		in,
		&empties{ID: f.ID, Value: f.Value},
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
	b := app.Button().Type("button").Class("btn btn-sm btn-"+color+" text-nowrap").Title(title).
		OnClick(func(app.Context, app.Event) { on() }, fresh())
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

// Password is a labelled password that can be looked at.
type Password struct {
	app.Compo
	ID           string
	Label        string
	Value        string
	Problem      string
	Autocomplete string // current-password or new-password
	OnInput      func(string)
	Meter        func() app.UI // below the input; may be nil

	shown bool
}

// Render implements app.Composer.
func (p *Password) Render() app.UI {
	kind, icon, title := "password", "eye", "Show the password"
	if p.shown {
		kind, icon, title = "text", "eye-slash", "Hide the password"
	}
	class := "form-control"
	if p.Problem != "" {
		class += " is-invalid"
	}
	in := app.Input().ID(p.ID).Name(p.ID).Class(class).Type(kind).Value(p.Value).Attr("autocomplete", p.Autocomplete).
		Attr("autocapitalize", "none").Attr("spellcheck", "false").
		OnInput(func(ctx app.Context, e app.Event) { p.OnInput(ctx.JSSrc().Get("value").String()) }, fresh())
	if p.Problem != "" || p.Meter != nil {
		in = in.Aria("describedby", p.ID+"-help")
	}
	return app.Div().Class("mb-3").Body(
		app.Label().For(p.ID).Class("form-label").Text(p.Label),
		&empties{ID: p.ID, Value: p.Value},
		app.Div().Class("input-group").Body(
			in,
			app.Button().Type("button").Class("btn btn-outline-secondary").Title(title).Aria("label", title).Aria("pressed", word(p.shown)).
				OnClick(func(app.Context, app.Event) { p.shown = !p.shown }).Body(Icon(icon)),
		),
		app.Div().ID(p.ID+"-help").Body(
			app.If(p.Problem != "", func() app.UI { return app.Div().Class("invalid-feedback d-block").Text(p.Problem) }),
			app.If(p.Meter != nil, func() app.UI { return p.Meter() }),
		),
	)
}

// Meter says how strong a password is: score from 0 to 4 in pieces of a bar, and a sentence, which a screen reader hears as it changes.
func Meter(score int, sentence string) app.UI {
	words := []string{"Very weak", "Weak", "Fair", "Good", "Strong"}
	score = max(0, min(score, len(words)-1))
	return app.Div().Class("mt-2").Body(
		app.Div().Class("hf-meter hf-meter-"+[]string{"0", "1", "2", "3", "4"}[score]).Aria("hidden", "true").Body(
			app.Span(), app.Span(), app.Span(), app.Span(), app.Span(),
		),
		app.Div().Class("form-text").Attr("role", "status").Body(app.Strong().Text(words[score]+". "), app.Text(sentence)),
	)
}

// OneOf is one of a few, side by side, one of which is chosen.
func OneOf(label, value string, choices []Choice, on func(string)) app.UI {
	return app.Div().Class("hf-oneof").Attr("role", "group").Aria("label", label).Body(
		app.Range(choices).Slice(func(i int) app.UI {
			c := choices[i]
			class := "btn btn-sm"
			if c.Value == value {
				class += " active"
			}
			return app.Button().Type("button").Class(class).Aria("pressed", word(c.Value == value)).Text(c.Title).OnClick(func(app.Context, app.Event) { on(c.Value) }, fresh())
		}),
	)
}

// word writes what an attribute has for true and false: go-app leaves out one that is false.
func word(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
