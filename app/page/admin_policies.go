package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

const policiesPath = "/admin/policies"

// Policies is the screen of policies: the list, or below its address the editor of one.
type Policies struct {
	app.Compo
	path string
}

// OnMount implements app.Mounter.
func (p *Policies) OnMount(ctx app.Context) { p.path = ctx.Page().URL().Path }

// OnNav implements app.Navigator.
func (p *Policies) OnNav(ctx app.Context) { p.path = ctx.Page().URL().Path }

// Render implements app.Composer.
func (p *Policies) Render() app.UI {
	rest, below := strings.CutPrefix(p.path, policiesPath+"/")
	switch id, end, _ := strings.Cut(rest, "/"); {
	case p.path == "":
		return ui.Card("", nil, ui.Skeleton(8))
	case !below:
		return &policyList{}
	case id == "new":
		return &policyEditor{}
	case end == "copy":
		return &policyEditor{Like: id}
	default:
		return &policyEditor{ID: id}
	}
}

// policyList is all policies.
type policyList struct {
	app.Compo
	watched
	m      *state.Policies
	delete *api.PolicyRow // asked about
}

// OnMount implements app.Mounter.
func (p *policyList) OnMount(ctx app.Context) { p.open(ctx) }

func (p *policyList) open(ctx app.Context) {
	p.watch(ctx, p.model())
	p.model().Reload()
}

func (p *policyList) model() *state.Policies {
	if p.m == nil {
		p.m = state.NewPolicies(World.API, zone())
	}
	return p.m
}

// Render implements app.Composer.
func (p *policyList) Render() app.UI {
	m := p.model()
	v := m.View()
	return app.Div().Body(
		worked(v.Work, m.Dismiss),
		loading(v.Load, 8, m.Reload, func(list []*api.PolicyRow) app.UI {
			if len(list) == 0 {
				return ui.Empty("calendar2-week", "No policy yet", "A policy says what is saved of which devices, when, and how long it is kept. Without one nothing is backed up by itself.",
					app.A().Class("btn btn-primary").Href(policiesPath+"/new").Text("Make the first policy"))
			}
			return ui.Panel("", app.A().Class("btn btn-sm btn-primary").Href(policiesPath+"/new").Body(ui.Icon("plus-lg"), app.Text(" New policy")), p.table(list, v))
		}),
		app.If(p.delete != nil, func() app.UI {
			row := p.delete
			return ui.Confirm("Delete “"+row.Name+"”?", state.Lost(row), "danger", "Delete the policy", false, nil,
				func() { p.delete = nil; m.Delete(row) }, func() { p.delete = nil })
		}),
	)
}

func (p *policyList) table(list []*api.PolicyRow, v state.PoliciesView) app.UI {
	m := p.model()
	columns := []ui.Column{{Title: "Policy"}, {Title: "On"}, {Title: "When"}, {Title: "Next"}, {Title: "Devices", Class: "text-end"}, {Title: "Seven days", Class: "text-end"}, {Class: "text-end"}}
	return ui.Table("Policies", columns, len(list), func(i int) []app.UI {
		row := list[i]
		next := app.UI(app.Span().Class("text-body-secondary").Text("–"))
		if len(row.Next) > 0 {
			next = ago(&row.Next[0])
		}
		return []app.UI{
			ui.Two(app.A().Class("fw-semibold").Href(policiesPath+"/"+row.Id).Title(row.Name).Text(row.Name), state.Targets(row.Targets)),
			ui.Switch("on-"+row.Id, "“"+row.Name+"” is on", row.Enabled, true, v.Busy != "", func(on bool) { m.Enable(row, on) }),
			app.Div().Class("hf-clamp").Title(row.Schedule.Text).Text(state.Capital(row.Schedule.Text)),
			next,
			app.Text(state.Number(int64(row.DeviceCount))),
			week(v.Week[row.Id]),
			app.Div().Class("btn-group").Body(
				ui.Button("outline-secondary", "play-fill", "", "Back up now by “"+row.Name+"”", func() { m.Run(row) }),
				app.A().Class("btn btn-sm btn-outline-secondary").Href(policiesPath+"/"+row.Id+"/copy").Title("Duplicate").Aria("label", "Duplicate “"+row.Name+"”").Body(ui.Icon("copy")),
				ui.Button("outline-secondary", "trash3", "", "Delete “"+row.Name+"”", func() { p.delete = row }),
			),
		}
	})
}

// week is how the runs of a policy went in the last seven days.
func week(r *api.ReportCounts) app.UI {
	if r == nil || r.SuccessRate == nil {
		return app.Span().Class("text-body-secondary").Text("–")
	}
	color := "success"
	switch {
	case *r.SuccessRate < .9:
		color = "danger"
	case *r.SuccessRate < 1:
		color = "warning"
	}
	return app.Span().Title(state.Number(int64(r.Succeeded+r.Warned)) + " succeeded, " + state.Number(int64(r.Failed)) + " failed, " + state.Number(int64(r.Missed)) + " missed").
		Body(ui.Badge(color, state.Percent(r.SuccessRate)))
}
