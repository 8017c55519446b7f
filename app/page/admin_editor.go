package page

import (
	"fmt"
	"slices"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/plan"
)

// policyEditor is one policy: ID, or a new one, like the policy Like if that is named.
type policyEditor struct {
	app.Compo
	watched
	guarded
	ID, Like string

	m    *state.PolicyEditor
	of   string // what m edits
	more bool   // the exceptions are shown
	find string
}

// OnMount implements app.Mounter.
func (p *policyEditor) OnMount(ctx app.Context) { p.follow(ctx) }

// OnUpdate implements app.Updater.
func (p *policyEditor) OnUpdate(ctx app.Context) { p.follow(ctx) }

// follow edits what the fields name.
func (p *policyEditor) follow(ctx app.Context) {
	of := p.ID + "/" + p.Like
	if p.m != nil && p.of == of {
		return
	}
	p.OnDismount()
	p.of, p.m, p.find = of, state.NewPolicyEditor(World.API, p.ID, p.Like, zone()), ""
	m := p.m
	p.stops = append(p.stops, m.Observe(func() {
		if v := m.View(); v.Saved != "" && p.ID == "" {
			ctx.Dispatch(func(ctx app.Context) { p.release(); ctx.Navigate(policiesPath) })
		} else {
			ctx.Dispatch(func(ctx app.Context) { p.keep(ctx, m.View().Changed && m == p.m) })
		}
	}))
	p.watch(ctx, m)
	m.Find("")
}

// OnDismount implements app.Dismounter.
func (p *policyEditor) OnDismount() {
	p.release()
	p.watched.OnDismount()
}

// Render implements app.Composer.
func (p *policyEditor) Render() app.UI {
	if p.m == nil {
		return ui.Card("", nil, ui.Skeleton(10))
	}
	v := p.m.View()
	return loading(state.Load[state.Draft]{Status: v.Status, Value: v.Draft, Err: v.Trouble}, 10, p.m.Reload, func(d state.Draft) app.UI {
		return app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) { e.PreventDefault(); p.m.Save() }).Body(
			app.Div().Class("mb-3").Body(app.A().Href(policiesPath).Body(ui.Icon("arrow-left"), app.Text(" All policies"))),
			app.Div().Class("row").Body(
				app.Div().Class("col-xl-8").Body(p.whom(v), p.what(v), p.when(v), p.kept(v)),
				app.Div().Class("col-xl-4").Body(app.Div().Class("hf-sticky").Body(p.side(v))),
			),
			p.question("What you changed in this policy"),
		)
	})
}

func (p *policyEditor) edit(fn func(*state.Draft)) { p.m.Edit(fn) }

// form is the draft's fields.
func (p *policyEditor) form(v state.EditorView) draftForm {
	return draftForm{"policy", &v.Draft, v.Problems, p.edit}
}

// text is a field of the draft that is typed.
func (p *policyEditor) text(v state.EditorView, field, label, help string, of func(*state.Draft) *string) ui.Field {
	return p.form(v).text(field, label, help, of)
}

// tags is a field of the draft that is a list.
func (p *policyEditor) tags(v state.EditorView, field, label, help, placeholder string, clean func(string) string, of func(*state.Draft) *[]string) app.UI {
	return p.form(v).tags(field, label, help, placeholder, clean, of)
}

func problem(text string) app.UI {
	return app.If(text != "", func() app.UI { return app.Div().Class("text-danger small mb-2").Attr("role", "alert").Text(text) })
}

func row(columns ...app.UI) app.UI {
	return app.Div().Class("row").Body(app.Range(columns).Slice(func(i int) app.UI { return app.Div().Class("col-md").Body(columns[i]) }))
}

func (p *policyEditor) whom(v state.EditorView) app.UI {
	d := v.Draft
	var groups []ui.Choice
	if v.Choices.Value != nil {
		for _, g := range v.Choices.Value.Groups {
			groups = append(groups, ui.Choice{Value: g.Id, Title: fmt.Sprintf("%s (%d)", g.Name, g.MemberCount)})
		}
	}
	named := func(on []string) (list []state.Named) {
		for _, g := range v.Choices.Value.Groups {
			if slices.Contains(on, g.Id) {
				list = append(list, state.Named{ID: g.Id, Name: g.Name})
			}
		}
		return list
	}
	pick := func(label string, of func(*state.Draft) *[]state.Named) app.UI {
		on := []string{}
		for _, n := range *of(&d) {
			on = append(on, n.ID)
		}
		if len(groups) == 0 {
			return app.P().Class("text-body-secondary small").Text("There is no group yet: make one on the screen of people.")
		}
		return app.Div().Class("mb-3").Body(ui.Chips(label, groups, on, func(l []string) { p.edit(func(d *state.Draft) { *of(d) = named(l) }) }))
	}
	return ui.Card("Name and devices", ui.Switch("policy-on", "On", d.Enabled, false, false, func(on bool) { p.edit(func(d *state.Draft) { d.Enabled = on }) }),
		ui.Trouble(v.Choices.Err, nil),
		p.text(v, "name", "Name", "", func(d *state.Draft) *string { return &d.Name }).UI(),
		problem(v.Problems["targets"]),
		app.Div().Class("mb-3").Body(ui.Switch("policy-everyone", "Devices of everyone", d.Everyone, false, false, func(on bool) { p.edit(func(d *state.Draft) { d.Everyone = on }) })),
		app.If(!d.Everyone, func() app.UI {
			return app.Div().Body(
				app.Div().Class("form-label").Text("Groups"),
				pick("Groups", func(d *state.Draft) *[]state.Named { return &d.Groups }),
				p.devices(v, "Devices", "devices", func(d *state.Draft) *[]state.Named { return &d.Devices }),
			)
		}),
		app.If(p.more || len(d.ExceptGroups)+len(d.ExceptDevices) > 0, func() app.UI {
			return app.Div().Body(
				app.Div().Class("form-label").Text("But not these groups"),
				pick("But not these groups", func(d *state.Draft) *[]state.Named { return &d.ExceptGroups }),
				p.devices(v, "But not these devices", "except", func(d *state.Draft) *[]state.Named { return &d.ExceptDevices }),
			)
		}).Else(func() app.UI {
			return ui.Button("outline-secondary", "dash-circle", "Exceptions", "Groups and devices that are left out", func() { p.more = true })
		}),
	)
}

// devices is a list of devices, and a search for more.
func (p *policyEditor) devices(v state.EditorView, label, id string, of func(*state.Draft) *[]state.Named) app.UI {
	chosen := *of(&v.Draft)
	has := func(n state.Named) bool {
		return slices.ContainsFunc(chosen, func(c state.Named) bool { return c.ID == n.ID })
	}
	var found []state.Named
	for _, n := range v.Found.Value {
		if p.find != "" && !has(n) {
			found = append(found, n)
		}
	}
	return app.Div().Class("mb-3").Body(
		app.Div().Class("form-label").Text(label),
		app.Div().Class("d-flex flex-wrap gap-2 mb-2").Body(app.Range(chosen).Slice(func(i int) app.UI {
			n := chosen[i]
			return ui.Button("success", "x-lg", n.Name, "Remove "+n.Name, func() {
				p.edit(func(d *state.Draft) {
					*of(d) = slices.DeleteFunc(slices.Clone(*of(d)), func(c state.Named) bool { return c.ID == n.ID })
				})
			})
		})),
		ui.Search("find-"+id, "Look for a device", p.find, func(s string) { p.find = s; p.m.Find(s) }),
		ui.Trouble(v.Found.Err, nil),
		app.Div().Class("d-flex flex-wrap gap-2 mt-2").Body(app.Range(found).Slice(func(i int) app.UI {
			n := found[i]
			return ui.Button("outline-secondary", "plus-lg", n.Name, "Add "+n.Name, func() { p.edit(func(d *state.Draft) { *of(d) = append(slices.Clone(*of(d)), n) }) })
		})),
		app.If(v.Found.Status == state.Ready && len(v.Found.Value) == 0, func() app.UI {
			return app.Div().Class("form-text").Text("No device has this in its name.")
		}),
	)
}

func (p *policyEditor) what(v state.EditorView) app.UI {
	d := v.Draft
	var places, kinds, leave []ui.Choice
	for _, pl := range plan.Places() {
		places = append(places, ui.Choice{Value: pl.Name, Title: pl.Title})
	}
	if c := v.Choices.Value; c != nil {
		for _, k := range c.FilePresets {
			kinds = append(kinds, ui.Choice{Value: k.Name, Title: k.Title})
		}
		for _, k := range c.ExcludePresets {
			leave = append(leave, ui.Choice{Value: k.Name, Title: k.Title})
		}
	}
	extension := func(s string) string {
		if ext, err := plan.NormalizeExtension(s); err == nil {
			return ext
		}
		return s
	}
	return ui.Card("What is saved", nil,
		app.Div().Class("form-label").Text("Folders of every device"),
		app.Div().Class("mb-2").Body(ui.Chips("Folders", places, d.Roots, func(l []string) { p.edit(func(d *state.Draft) { d.Roots = l }) })),
		p.tags(v, "roots", "All folders", "A place above, with or without a folder below it (~documents/2026), or a full path such as /srv or D:\\Data. A folder that a device does not have is left out there.", "Add a folder", nil,
			func(d *state.Draft) *[]string { return &d.Roots }),
		app.Div().Class("form-label").Text("Kinds of files"),
		app.Div().Class("mb-2").Body(ui.Chips("Kinds of files", kinds, d.Presets, func(l []string) { p.edit(func(d *state.Draft) { d.Presets = l }) })),
		problem(v.Problems["presets"]),
		p.tags(v, "extensions", "Single extensions", "A file is saved if it is of a chosen kind or has one of these. With no kind and no extension, every file is.", ".dwg", extension,
			func(d *state.Draft) *[]string { return &d.Extensions }),
		app.Div().Class("form-label").Text("Left out"),
		app.Div().Class("mb-2").Body(ui.Chips("Left out", leave, d.ExcludePresets, func(l []string) { p.edit(func(d *state.Draft) { d.ExcludePresets = l }) })),
		problem(v.Problems["excludePresets"]),
		p.tags(v, "excludes", "Patterns that are left out", "As in .gitignore: *.tmp, /build/, !keep.tmp.", "*.tmp", nil, func(d *state.Draft) *[]string { return &d.Excludes }),
		p.text(v, "maxFileSize", "Largest file in MiB", "Nothing: no limit.", func(d *state.Draft) *string { return &d.MaxFile }).UI(),
	)
}

func (p *policyEditor) when(v state.EditorView) app.UI {
	d := v.Draft
	return ui.Card("When", nil,
		p.form(v).times("An IANA name such as Europe/Athens: of the schedule, the hours below, and the days of what is kept."),
		app.Div().Class("mb-3").Body(ui.Switch("policy-windowed", "Backups may begin only within certain hours", d.Windowed, false, false, func(on bool) { p.edit(func(d *state.Draft) { d.Windowed = on }) })),
		problem(v.Problems["window"]),
		app.If(d.Windowed, func() app.UI {
			from := p.text(v, "from", "From", "", func(d *state.Draft) *string { return &d.From })
			to := p.text(v, "to", "To", "It may cross midnight.", func(d *state.Draft) *string { return &d.To })
			from.Type, to.Type = "time", "time"
			return row(from.UI(), to.UI())
		}),
		row(
			p.text(v, "spreadMinutes", "Spread over minutes", "The devices begin one after another within this time.", func(d *state.Draft) *string { return &d.Spread }).UI(),
			p.text(v, "deadlineMinutes", "Missed after minutes", "0: when the next one is due, and after a day at the latest.", func(d *state.Draft) *string { return &d.Deadline }).UI(),
		),
		row(
			p.text(v, "uploadLimit", "Upload limit in KiB/s", "Nothing: as fast as it goes.", func(d *state.Draft) *string { return &d.Upload }).UI(),
			p.form(v).level(),
		),
	)
}

func (p *policyEditor) kept(v state.EditorView) app.UI {
	return ui.Card("How long it is kept", nil,
		app.P().Class("text-body-secondary").Text("A snapshot is kept if any of these numbers keeps it. With nothing in all of them, everything is kept for ever. A device's newest good snapshot is never cleaned away."),
		p.form(v).keep(),
		p.tryKeep(v),
	)
}

// tryKeep shows what the numbers would do to the snapshots of a device.
func (p *policyEditor) tryKeep(v state.EditorView) app.UI {
	choices := []ui.Choice{{Title: "Choose a device"}}
	for _, n := range v.Found.Value {
		choices = append(choices, ui.Choice{Value: n.ID, Title: n.Name})
	}
	if v.Device.ID != "" && !slices.ContainsFunc(choices, func(c ui.Choice) bool { return c.Value == v.Device.ID }) {
		choices = append(choices, ui.Choice{Value: v.Device.ID, Title: v.Device.Name})
	}
	return app.Div().Body(
		ui.Select{ID: "try", Label: "Try it on the snapshots of", Value: v.Device.ID, Choices: choices, OnChange: func(id string) {
			for _, c := range choices {
				if id != "" && c.Value == id {
					p.m.TryRetention(state.Named{ID: id, Name: c.Title})
				}
			}
		}}.UI(),
		app.If(v.Device.ID != "" && v.Keep.Status == state.Idle, func() app.UI {
			return ui.Button("outline-secondary", "arrow-repeat", "Try again with the new numbers", "", func() { p.m.TryRetention(v.Device) })
		}),
		app.If(v.Keep.Status == state.Loading, func() app.UI { return ui.Skeleton(3) }),
		ui.Trouble(v.Keep.Err, nil),
		app.If(v.Keep.Status == state.Ready && v.Keep.Value != nil, func() app.UI { return verdicts(v.Keep.Value) }),
	)
}

// shownVerdicts is how many snapshots a trial lists.
const shownVerdicts = 50

func verdicts(r *api.PreviewRetentionRetentionPreview) app.UI {
	if len(r.Snapshots) == 0 {
		return app.P().Class("text-body-secondary mb-0").Text("This device has no snapshot yet.")
	}
	n := min(len(r.Snapshots), shownVerdicts)
	return app.Div().Body(
		app.P().Text(fmt.Sprintf("%s would stay, %s would go.", state.Count(int64(r.Keep), "snapshot", "snapshots"), state.Number(int64(r.Delete)))),
		app.Div().Class("hf-scroll").Body(ui.Table("Snapshots", []ui.Column{{Title: "Snapshot"}, {Title: "Size", Class: "text-end"}, {Title: "Verdict"}}, n, func(i int) []app.UI {
			s := r.Snapshots[i]
			verdict := ui.Badge("secondary", "goes")
			if s.Keep {
				verdict = ui.Badge("success", "stays")
			}
			return []app.UI{
				app.Span().Title(state.Exact(s.CreatedAt)).Text(s.CreatedAt.Local().Format("2 Jan 2006, 15:04")),
				app.Text(state.Size(s.Bytes)),
				app.Span().Body(verdict, app.Text(" "), app.Span().Class("small text-body-secondary").Text(joined(s.Reasons))),
			}
		})),
	)
}

func joined(list []string) (s string) {
	for i, w := range list {
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}

// side is what stays in sight: when it is due, and the button.
func (p *policyEditor) side(v state.EditorView) app.UI {
	return app.Div().Body(
		ui.Card("Next times", nil,
			nextTimes(v.Schedule, v.Draft.Zone),
		),
		ui.Card("", nil,
			worked(v.Work, p.m.Dismiss),
			app.If(v.Conflict, func() app.UI {
				return app.Div().Class("mb-3").Body(ui.Button("warning", "arrow-repeat", "Load the newer one and drop my changes", "", p.m.Reload))
			}),
			app.If(v.Draft.Enabled, func() app.UI { return app.Text("") }).Else(func() app.UI {
				return app.P().Class("text-body-secondary").Text("It is off: nothing becomes due until it is switched on.")
			}),
			app.Button().Type("submit").Class("btn btn-primary w-100").Disabled(v.Busy != "" || !v.Changed && !v.New).Body(
				app.If(v.Busy != "", func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }),
				app.Text(saveWord(v)),
			),
		),
	)
}

func saveWord(v state.EditorView) string {
	switch {
	case v.New:
		return "Make the policy"
	case v.Changed:
		return "Save"
	}
	return "Nothing changed"
}
