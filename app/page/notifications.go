package page

import (
	"strings"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Notifications is the screen of what a person was told, and of what is also sent by mail.
type Notifications struct {
	app.Compo
	watched
	list *state.NoticeList
}

// OnMount implements app.Mounter.
func (n *Notifications) OnMount(ctx app.Context) { n.open(ctx) }

// OnDismount implements app.Dismounter.
func (n *Notifications) OnDismount() { n.close() }

func (n *Notifications) open(ctx app.Context) {
	n.list = state.NewNoticeList(World.API, World.Live)
	n.watch(ctx, n.list)
	n.list.Start()
}

func (n *Notifications) close() {
	n.watched.OnDismount()
	if n.list != nil {
		n.list.Stop()
	}
}

// Render implements app.Composer.
func (n *Notifications) Render() app.UI {
	if n.list == nil {
		return ui.Skeleton(6)
	}
	v := n.list.View()
	return app.Div().Class("row").Body(
		app.Div().Class("col-xl-7").Body(n.notices(v)),
		app.Div().Class("col-xl-5").Body(n.preferences(v)),
	)
}

func (n *Notifications) notices(v state.NoticeListView) app.UI {
	all := app.Button().Type("button").Class("btn btn-sm btn-outline-secondary text-nowrap").Text("Mark all as read").Disabled(v.Unread == 0).
		OnClick(func(app.Context, app.Event) { n.list.Read() })
	seen := "all"
	if v.UnreadOnly {
		seen = "unread"
	}
	return ui.Panel(heading(v), all,
		app.Div().Class("d-flex flex-wrap gap-2 p-3 border-bottom").Body(
			ui.OneOf("Read or not", seen, []ui.Choice{{Value: "all", Title: "All"}, {Value: "unread", Title: "Unread"}},
				func(s string) { n.list.Filter(s == "unread", v.Severity) }),
			ui.OneOf("Severity", string(v.Severity), []ui.Choice{{Value: "", Title: "Any"}, {Value: string(api.SeverityError), Title: "Errors"}, {Value: string(api.SeverityWarning), Title: "Warnings"},
				{Value: string(api.SeveritySuccess), Title: "Successes"}, {Value: string(api.SeverityInfo), Title: "News"}},
				func(s string) { n.list.Filter(v.UnreadOnly, api.Severity(s)) }),
		),
		app.If(v.Err != nil, func() app.UI { return app.Div().Class("p-3 pb-0").Body(ui.Trouble(v.Err, nil)) }),
		n.rows(v),
	)
}

func heading(v state.NoticeListView) string {
	if v.Unread == 0 {
		return "Nothing unread"
	}
	return state.Number(int64(v.Unread)) + " unread"
}

func (n *Notifications) rows(v state.NoticeListView) app.UI {
	switch {
	case v.List.Status == state.Failed:
		return app.Div().Class("p-3").Body(ui.Trouble(v.List.Err, n.list.Load))
	case v.List.Status != state.Ready:
		return app.Div().Class("p-3").Body(ui.Skeleton(8))
	case len(v.List.Value) == 0 && (v.UnreadOnly || v.Severity != ""):
		return ui.Empty("funnel", "Nothing like that", "No notification goes through this filter.",
			app.Button().Type("button").Class("btn btn-outline-secondary").Text("Show all").OnClick(func(app.Context, app.Event) { n.list.Filter(false, "") }))
	case len(v.List.Value) == 0:
		return ui.Empty("bell", "Nothing yet", "When a backup fails or is missed, when a device joins, when somebody logs in from a new place: you read it here, and by mail as you choose.", nil)
	}
	return app.Div().Body(
		app.Range(v.List.Value).Slice(func(i int) app.UI {
			return noticeRow(v.List.Value[i], func(id string) { n.list.Read(id) })
		}),
		app.If(v.More, func() app.UI {
			return app.Div().Class("text-center p-3").Body(app.Button().Type("button").Class("btn btn-outline-secondary").Disabled(v.LoadingOld).
				OnClick(func(app.Context, app.Event) { n.list.Older() }).Body(
				app.If(v.LoadingOld, func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text("Show older ones")))
		}),
	)
}

var mailModes = []ui.Choice{{Value: string(api.MailModeInstant), Title: "At once"}, {Value: string(api.MailModeDigest), Title: "Once a day"}, {Value: string(api.MailModeNone), Title: "No mail"}}

func modeWords(m api.MailMode) string {
	for _, c := range mailModes {
		if c.Value == string(m) {
			return strings.ToLower(c.Title)
		}
	}
	return string(m)
}

func (n *Notifications) preferences(v state.NoticeListView) app.UI {
	switch {
	case v.Preferences.Status == state.Failed:
		return ui.Card("By mail", nil, ui.Trouble(v.Preferences.Err, n.list.LoadPreferences))
	case v.Preferences.Status != state.Ready:
		return ui.Card("By mail", nil, ui.Skeleton(10))
	}
	return ui.Panel("By mail", nil,
		app.P().Class("small text-body-secondary px-3 pt-3 mb-2").Text("Everything is listed here in any case. Choose what also comes by mail. A change counts at once."),
		app.If(v.PrefErr != nil, func() app.UI { return app.Div().Class("px-3").Body(ui.Trouble(v.PrefErr, nil)) }),
		app.Div().Class("pb-2").Body(app.Range(v.Preferences.Value).Slice(func(i int) app.UI {
			p := v.Preferences.Value[i]
			color, icon := ui.Severity(strings.ToLower(string(p.Severity)))
			return app.Div().Class("d-flex align-items-center gap-3 px-3 py-2").Body(
				app.Span().Class("text-"+color).Body(ui.Icon(icon)),
				app.Div().Class("flex-grow-1 hf-shrink").Body(
					app.Div().Text(p.Title),
					app.If(p.Mail != p.Default, func() app.UI {
						return app.Div().Class("small text-body-secondary").Text("Usually " + modeWords(p.Default))
					}),
				),
				app.Div().Class("hf-mode").Body(ui.Select{ID: "mail-" + p.Kind, Title: "Mail for: " + p.Title, Value: string(p.Mail), Choices: mailModes,
					OnChange: func(s string) { n.list.Prefer(p.Kind, api.MailMode(s)) }}.UI()),
			)
		})),
	)
}
