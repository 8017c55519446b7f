package ui

import (
	"slices"
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"
)

// Tags is a labelled list of short texts: each is a chip that can be taken away, and what is typed becomes one at Enter, at a comma, or when
// the input is left. Its owner keeps Values and hears of a new list.
type Tags struct {
	app.Compo
	ID, Label   string
	Values      []string
	Placeholder string
	Help        string
	Problem     string
	Clean       func(string) string // of what is typed; nil: as it is
	OnChange    func([]string)

	typed string
}

// Render implements app.Composer.
func (t *Tags) Render() app.UI {
	class := "form-control hf-tags"
	if t.Problem != "" {
		class += " is-invalid"
	}
	return app.Div().Class("mb-3").Body(
		app.Label().For(t.ID).Class("form-label").Text(t.Label),
		app.Div().Class(class).Body(
			app.Range(t.Values).Slice(func(i int) app.UI {
				v := t.Values[i]
				return app.Span().Class("badge text-bg-secondary hf-tag").Body(
					app.Span().Class("text-truncate").Title(v).Text(v),
					app.Button().Type("button").Class("btn-close btn-close-white").Aria("label", "Remove "+v).
						OnClick(func(app.Context, app.Event) { t.remove(v) }, fresh()),
				)
			}),
			app.Input().ID(t.ID).Type("text").Class("hf-tags-input").Placeholder(t.Placeholder).Value(t.typed).Attr("autocomplete", "off").
				Attr("autocapitalize", "off").Spellcheck(false).Aria("describedby", t.ID+"-help").
				OnInput(func(ctx app.Context, e app.Event) { t.typing(ctx.JSSrc().Get("value").String()) }).
				OnKeyDown(func(ctx app.Context, e app.Event) {
					switch e.Get("key").String() {
					case "Enter":
						e.PreventDefault()
						t.add(t.typed)
					case "Backspace":
						if t.typed == "" && len(t.Values) > 0 {
							t.remove(t.Values[len(t.Values)-1])
						}
					}
				}).
				OnBlur(func(app.Context, app.Event) { t.add(t.typed) }),
		),
		app.Div().ID(t.ID+"-help").Class("form-text").Body(
			app.If(t.Problem != "", func() app.UI { return app.Span().Class("text-danger").Text(t.Problem) }).
				Else(func() app.UI { return app.Text(t.Help) })),
	)
}

// typing takes in what the input holds; a comma or a new line ends a tag.
func (t *Tags) typing(s string) {
	t.typed = s
	if strings.ContainsAny(s, ",\n") {
		t.add(s)
	}
}

func (t *Tags) add(s string) {
	list := slices.Clone(t.Values)
	for _, v := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' }) {
		v = strings.TrimSpace(v)
		if t.Clean != nil {
			v = t.Clean(v)
		}
		if v != "" && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	t.typed = ""
	if len(list) != len(t.Values) {
		t.OnChange(list)
	}
}

func (t *Tags) remove(v string) {
	t.OnChange(slices.DeleteFunc(slices.Clone(t.Values), func(s string) bool { return s == v }))
}
