package page

import (
	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Run is the screen of one run.
type Run struct {
	app.Compo
	watched
	ID   string
	m    *state.RunPage
	sure bool // it is asked whether to stop
}

// OnInit implements app.Initializer.
func (r *Run) OnInit() { r.m = state.NewRunPage(sources(), r.ID) }

// OnMount implements app.Mounter.
func (r *Run) OnMount(ctx app.Context) { r.open(ctx) }

// OnDismount implements app.Dismounter.
func (r *Run) OnDismount() { r.close() }

// OnUpdate implements app.Updater: it is about another one now.
func (r *Run) OnUpdate(ctx app.Context) {
	r.close()
	r.OnInit()
	r.open(ctx)
}

func (r *Run) open(ctx app.Context) {
	r.watch(ctx, r.m)
	r.m.Open()
}

func (r *Run) close() {
	r.watched.OnDismount()
	r.m.Close()
}

// Render implements app.Composer.
func (r *Run) Render() app.UI {
	v := r.m.View()
	return app.Div().Body(
		ui.Trouble(v.Err, nil),
		loading(v.Run, 8, r.m.Reload, func(x *api.RunDetail) app.UI {
			if x == nil {
				return ui.Card("", nil, ui.Empty("question-circle", "There is no such run", "It may belong to somebody else.", app.A().Class("btn btn-primary").Href("/runs").Text("To the activity")))
			}
			return app.Div().Body(
				crumbs("/runs", "Activity", runTitle(&x.RunFields)),
				r.head(x, v),
				r.causes(x),
				r.lacks(x, v.Lacks),
				r.report(x, v.Report),
				app.If(r.sure && !state.Over(x.State), func() app.UI {
					return ui.Confirm("Stop this run?", "What it has sent or restored so far stays; the rest is left out until the next run.", "danger", "Stop it", v.Busy, nil,
						func() { r.m.Cancel(); r.sure = false }, func() { r.sure = false })
				}),
			)
		}),
	)
}

func (r *Run) head(x *api.RunDetail, v state.RunView) app.UI {
	run := &x.RunFields
	open := !state.Over(x.State)
	tools := []app.UI{}
	if open {
		tools = append(tools, app.Button().Type("button").Class("btn btn-sm btn-outline-danger").Disabled(v.Busy || x.Cancelling).OnClick(func(app.Context, app.Event) { r.sure = true }).
			Body(app.Span().Class("me-1").Body(ui.Icon("stop-circle")), app.Text("Stop")))
	}
	if x.Snapshot != nil && x.Kind == api.RunKindBackup {
		tools = append(tools, app.A().Class("btn btn-sm btn-outline-secondary").Href("/files/"+x.Device.Id+"/"+x.Snapshot.Id).Body(app.Span().Class("me-1").Body(ui.Icon("folder2-open")), app.Text("Files")))
	}
	facts := []app.UI{
		fact("Asked for by", app.Text(askedBy(run))),
		app.If(x.Application != nil, func() app.UI {
			return fact("Application", app.A().Href(applicationsPath+"/"+x.Application.Id).Text(x.Application.Name))
		}),
		app.If(x.Part != nil, func() app.UI { return fact("What", app.Text(state.PartWord(*x.Part))) }),
		fact("Device", app.A().Href("/devices/"+x.Device.Id).Text(x.Device.Name)),
		fact("Due", ago(&x.DueAt)),
		fact("Started", started(run)),
	}
	if x.EndedAt != nil {
		facts = append(facts, fact("Ended", ago(x.EndedAt)))
	}
	if t := took(run); t != "" {
		facts = append(facts, fact("Took", app.Text(t)))
	}
	if x.Progress.Files > 0 || x.Progress.Bytes > 0 {
		facts = append(facts, fact("Files", app.Text(state.Number(x.Progress.Files))), fact("Size", app.Text(state.Size(x.Progress.Bytes))))
	}
	if x.Kind == api.RunKindBackup && x.Progress.UploadedBytes > 0 {
		facts = append(facts, fact("Sent", app.Text(state.Size(x.Progress.UploadedBytes))))
	}
	if x.Attempts > 1 {
		facts = append(facts, fact("Attempts", app.Text(state.Number(int64(x.Attempts)))))
	}
	return app.Div().Class("card mb-4 shadow-sm").Body(app.Div().Class("card-body").Body(
		app.Div().Class("d-flex flex-wrap align-items-center gap-3 mb-3").Body(
			headline(kindIcon(x.Kind), tint(x.State), runTitle(run), ui.Badge(runColor(x.State), runWord(x.State)), ""),
			app.Div().Class("d-flex flex-wrap gap-2").Body(tools...),
		),
		app.If(open, func() app.UI {
			return app.Div().Class("mb-3").Body(
				app.Div().Class("d-flex justify-content-between small text-body-secondary mb-1 gap-3").Body(app.Span().Text(phaseWord(run)), app.Span().Text(counts(run))),
				app.If(x.State == api.RunStateRunning, func() app.UI { return runProgress(run) }))
		}).ElseIf(why(run) != "", func() app.UI {
			return app.P().Class("mb-3 text-break").Text(why(run))
		}),
		app.Dl().Class("row small mb-0 gx-2 hf-facts-row").Body(facts...),
	))
}

// started is when a run began.
func started(r *api.RunFields) app.UI {
	if r.StartedAt == nil {
		return app.Span().Class("text-body-secondary").Text("not yet")
	}
	return ago(r.StartedAt)
}

// askedBy is who or what wanted a run.
func askedBy(r *api.RunFields) string {
	switch r.Trigger {
	case api.RunTriggerSchedule:
		if r.Policy != nil {
			return "policy " + r.Policy.Name
		}
		return "a policy that was deleted"
	case api.RunTriggerDevice:
		return "somebody at the device"
	}
	if r.AskedBy != nil {
		return r.AskedBy.Name
	}
	return "somebody who is gone"
}

// causeWords are the causes of unreadable files.
var causeWords = map[string]string{
	"permission": "no permission to read", "vanished": "gone before they were read", "changed": "changed while they were read", "io": "could not be read from the disk",
	"too-long": "name too long", "too-large": "too large", "exists": "another file was there", "damaged": "damaged", "other": "other reasons",
}

func (r *Run) causes(x *api.RunDetail) app.UI {
	if len(x.Causes) == 0 {
		return app.Text("")
	}
	return ui.Card("Problems, by cause", nil, app.Ul().Class("list-unstyled mb-0").Body(app.Range(x.Causes).Slice(func(i int) app.UI {
		word := causeWords[x.Causes[i].Cause]
		if word == "" {
			word = x.Causes[i].Cause
		}
		return app.Li().Class("d-flex gap-2 mb-1").Body(ui.Badge("warning", state.Number(x.Causes[i].Count)), app.Text(word))
	})))
}

// lacks lists the files that a backup lacks.
func (r *Run) lacks(x *api.RunDetail, l state.Load[[]talk.Problem]) app.UI {
	if l.Status == state.Idle {
		return app.Text("")
	}
	return loading(l, 4, r.m.Reload, func(list []talk.Problem) app.UI {
		if len(list) == 0 {
			return app.Text("")
		}
		return ui.Panel("Which files", opened(), ui.Table("Files with problems", []ui.Column{{Title: "File"}, {Title: "Why", Class: "hf-whole"}}, len(list), func(i int) []app.UI {
			p := list[i]
			return []app.UI{app.Span().Class("font-monospace small text-break").Text(p.Path), app.Span().Class("small text-break").Text(state.Capital(p.Text))}
		}), app.If(x.Progress.Problems > int64(len(list)), func() app.UI {
			return app.P().Class("p-3 mb-0 small text-body-secondary").Text("The first " + state.Number(int64(len(list))) + " of " + state.Number(x.Progress.Problems) + ".")
		}))
	})
}

// opened says that nobody else can read this.
func opened() app.UI {
	return app.Span().Class("small text-body-secondary d-none d-sm-inline").Text("opened with your keys")
}

func (r *Run) report(x *api.RunDetail, l state.Load[*talk.Report]) app.UI {
	if l.Status == state.Idle || l.Status == state.Ready && l.Value == nil {
		return app.Text("")
	}
	return loading(l, 4, r.m.Reload, func(p *talk.Report) app.UI {
		if p == nil {
			return app.Text("")
		}
		parts := []app.UI{}
		if p.Text != "" {
			parts = append(parts, app.P().Class("p-3 mb-0 text-break").Text(state.Capital(p.Text)))
		}
		if p.Skipped > 0 {
			parts = append(parts, app.P().Class("p-3 mb-0").Text(state.Count(p.Skipped, "file was there already", "files were there already")+"."))
		}
		if len(p.Failures) > 0 {
			parts = append(parts, ui.Table("Files with problems", []ui.Column{{Title: "File"}, {Title: "Why", Class: "hf-whole"}}, len(p.Failures), func(i int) []app.UI {
				return []app.UI{app.Span().Class("font-monospace small text-break").Text(p.Failures[i].Path), app.Span().Class("small text-break").Text(state.Capital(p.Failures[i].Text))}
			}))
			if p.Failed > int64(len(p.Failures)) {
				parts = append(parts, app.P().Class("p-3 mb-0 small text-body-secondary").Text("The first "+state.Number(int64(len(p.Failures)))+" of "+state.Number(p.Failed)+"."))
			}
		}
		if len(parts) == 0 {
			return app.Text("")
		}
		return ui.Panel("What the device said", opened(), parts...)
	})
}
