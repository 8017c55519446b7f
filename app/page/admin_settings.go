package page

import (
	"context"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Settings is the screen of what can be set for the whole installation.
type Settings struct {
	app.Compo
	watched
	guarded
	m        *state.Installation
	removing bool // the logo
}

// OnMount implements app.Mounter.
func (s *Settings) OnMount(ctx app.Context) { s.open(ctx) }

func (s *Settings) open(ctx app.Context) {
	m := s.model()
	s.stops = append(s.stops, m.Observe(func() { ctx.Dispatch(func(ctx app.Context) { s.keep(ctx, m.View().Changed) }) }))
	s.watch(ctx, m, World.Brand)
	m.Reload()
}

// OnDismount implements app.Dismounter.
func (s *Settings) OnDismount() {
	s.release()
	s.watched.OnDismount()
}

func (s *Settings) model() *state.Installation {
	if s.m == nil {
		s.m = state.NewInstallation(World.API)
		s.m.Renamed = World.Brand.Renamed
	}
	return s.m
}

// Render implements app.Composer.
func (s *Settings) Render() app.UI {
	m := s.model()
	v := m.View()
	return loading(v.Load, 10, m.Reload, func(set *api.SettingsFields) app.UI {
		field := func(name, label, help string) app.UI {
			return ui.Field{ID: "set-" + name, Label: label, Help: help, Type: "text", Autocomplete: "off", Value: v.Form[name], Problem: v.Problems[name], OnInput: func(s string) { m.Edit(name, s) }}.UI()
		}
		return app.Div().Body(
			worked(v.Work, m.Dismiss),
			s.question("What you changed in the settings"),
			s.branding(World.Brand.View()),
			app.Form().NoValidate(true).OnSubmit(func(ctx app.Context, e app.Event) { e.PreventDefault(); m.Save() }).Body(
				app.Div().Class("row").Body(
					app.Div().Class("col-xl-6").Body(
						ui.Card("Name and storage", nil,
							field("productName", "Name", "What people see in mails and in the app, before they log in, too."),
							field("defaultQuota", "Limit for each person in GiB", "For people without a limit of their own. Nothing: no limit."),
							field("storageLowPercent", "Warn below per cent of free room", ""),
							field("undoDays", "Days in which a deleted snapshot can be taken back", ""),
							field("replicaKeepDays", "Days for which replicas keep what has left the store", "From the moment at which it is deleted for good. They are the days in which a loss can still be noticed."),
						),
						ui.Card("Backups", nil,
							field("retentionDays", "Days of everything with which new policies begin", "Each policy can have others. 0: for ever."),
							field("staleDays", "Days without a backup after which a device is stale", ""),
							field("runHistoryDays", "Days for which backups and their reports are kept", ""),
						),
					),
					app.Div().Class("col-xl-6").Body(
						ui.Card("Mail", nil, mailState(set),
							ui.Select{ID: "set-adminDigest", Label: "Digest to administrators", Value: v.Form["adminDigest"], Choices: []ui.Choice{{Value: "NEVER", Title: "Never"}, {Value: "DAILY", Title: "Every day"}, {Value: "WEEKLY", Title: "On Mondays"}},
								OnChange: func(s string) { m.Edit("adminDigest", s) }}.UI(),
							field("digestHour", "Hour of the day for digests", "0 to 23, in the time zone below."),
							field("zone", "Time zone", "An IANA name such as Europe/Athens."),
							field("mailsPerHour", "Mails an hour to one address", "More than that are gathered into one."),
							app.If(set.MailFrom != nil, func() app.UI {
								return ui.Button("outline-secondary", "envelope", "Send me a test mail", "", m.TestMail)
							}),
						),
						administrators(m, v),
						ui.Card("The installation's own backup", nil, ownBackup(set)),
					),
				),
				app.Button().Type("submit").Class("btn btn-primary mb-4").Disabled(v.Busy != "" || !v.Changed).Body(
					app.If(v.Busy != "", func() app.UI { return app.Span().Class("me-2").Body(ui.Spinner()) }), app.Text("Save the settings")),
			),
		)
	})
}

// logoSide is how wide and high a logo is at most, in pixels: enough for every place where it is shown, on dense screens, too.
const logoSide = 512

// branding is the card of the logo.
func (s *Settings) branding(v state.BrandView) app.UI {
	m := World.Brand
	shown, note := logo(v, "hf-logo-preview rounded border p-2"), "This is Holdfast's own logo."
	switch {
	case v.Picked != "":
		shown, note = app.Img().Src(v.Picked).Attr("role", "presentation").Class("hf-logo-preview rounded border p-2"), "This is how it will look. Nobody else sees it yet."
	case v.Logo != "":
		note = "This is the installation's own logo."
	}
	return ui.Card("Logo", nil,
		worked(v.Work, m.Dismiss),
		app.Div().Class("d-flex flex-wrap align-items-center gap-4").Body(
			shown,
			app.Div().Class("flex-grow-1").Body(
				app.P().Class("mb-2").Text(note),
				app.If(v.Picked != "", func() app.UI {
					return app.Div().Class("d-flex flex-wrap gap-2").Body(
						app.Button().Type("button").Class("btn btn-primary").Disabled(v.Busy != "").OnClick(func(app.Context, app.Event) { m.Save() }, ui.Fresh()).Text("Use this logo"),
						ui.Button("outline-secondary", "x-lg", "Not this one", "", m.Drop),
					)
				}).Else(func() app.UI {
					return app.Div().Class("d-flex flex-wrap gap-2 align-items-end").Body(
						app.Div().Body(
							app.Label().For("logo-file").Class("form-label").Text("Choose a picture"),
							app.Input().ID("logo-file").Type("file").Class("form-control").Accept("image/png,image/jpeg,image/webp").Aria("describedby", "logo-help").OnChange(s.pick),
						),
						app.If(v.Logo != "", func() app.UI {
							return ui.Button("outline-danger", "trash3", "Remove the logo", "", func() { s.removing = true })
						}),
					)
				}),
				app.P().ID("logo-help").Class("form-text mb-0").Text("PNG, JPEG or WebP. It is shown beside the name in the app and at the login."),
			),
		),
		app.If(s.removing, func() app.UI {
			return ui.Confirm("Remove the logo?", "Holdfast's own logo is shown again, to everybody.", "danger", "Remove the logo", false, nil,
				func() { s.removing = false; m.Remove() }, func() { s.removing = false })
		}),
	)
}

// pick reads the chosen picture.
func (s *Settings) pick(app.Context, app.Event) {
	go func() {
		if png, err := World.Window.Picture(context.Background(), "logo-file", logoSide); png != nil || err != nil {
			World.Brand.Pick(png, err)
		}
	}()
}

func mailState(s *api.SettingsFields) app.UI {
	if s.MailFrom == nil {
		return app.P().Class("text-body-secondary").Text("No mail server is configured, so nobody gets mail: docs/operations.md says how to name one. Notifications in the app work without.")
	}
	return app.P().Body(app.Text("Mail is sent as "), app.Strong().Text(*s.MailFrom), app.Text("."))
}

func ownBackup(s *api.SettingsFields) app.UI {
	switch {
	case !s.SelfBackupConfigured:
		return app.P().Class("mb-0").Text("It is not configured. Should the database be lost, nobody could find their backups in the store: docs/operations.md says how to switch it on.")
	case s.SelfBackupAt == nil:
		return app.P().Class("mb-0").Text("It is configured, and has not succeeded yet.")
	}
	return app.P().Class("mb-0").Body(app.Text("It last succeeded "), ago(s.SelfBackupAt), app.Text("."))
}

// Audit is the screen of what was done, and of the mails that were written.
type Audit struct {
	app.Compo
	watched
	m *state.Audit
}

// OnMount implements app.Mounter.
func (a *Audit) OnMount(ctx app.Context) { a.open(ctx) }

func (a *Audit) open(ctx app.Context) {
	a.watch(ctx, a.model())
	a.model().Reload()
}

func (a *Audit) model() *state.Audit {
	if a.m == nil {
		a.m = state.NewAudit(World.API)
	}
	return a.m
}

// Render implements app.Composer.
func (a *Audit) Render() app.UI {
	m := a.model()
	v := m.View()
	f := v.Filter
	find := func(set func(*state.AuditFilter)) {
		f := m.View().Filter
		set(&f)
		m.Find(f)
	}
	tools := app.Div().Class("d-flex gap-2").Body(
		ui.Search("audit-search", "Text", f.Search, func(s string) { find(func(f *state.AuditFilter) { f.Search = s }) }),
		ui.Button("outline-secondary", "filetype-csv", "CSV", "Download all of these as comma-separated values", func() { m.Export(func(csv string) { World.Window.Save("audit.csv", csv) }) }),
	)
	var kinds []ui.Choice
	for _, k := range state.AuditKinds {
		kinds = append(kinds, ui.Choice{Value: k[0], Title: k[1]})
	}
	filters := app.Div().Class("row g-3 mb-2").Body(
		app.Div().Class("col-sm-4").Body(ui.Select{ID: "audit-kind", Label: "About", Value: f.Kind, Choices: kinds, OnChange: func(s string) { find(func(f *state.AuditFilter) { f.Kind = s }) }}.UI()),
		app.Div().Class("col-6 col-sm-4").Body(ui.Field{ID: "audit-from", Label: "From", Type: "date", Autocomplete: "off", Value: f.From, OnInput: func(s string) { find(func(f *state.AuditFilter) { f.From = s }) }}.UI()),
		app.Div().Class("col-6 col-sm-4").Body(ui.Field{ID: "audit-to", Label: "To", Type: "date", Autocomplete: "off", Value: f.To, OnInput: func(s string) { find(func(f *state.AuditFilter) { f.To = s }) }}.UI()),
	)
	return app.Div().Body(
		filters, ui.Trouble(v.Wrong, nil), ui.Trouble(v.ExportErr, nil),
		loading(v.Events.Load, 8, m.Reload, func(list []*api.AuditFields) app.UI {
			return ui.Panel("What was done", tools,
				app.If(len(list) == 0, func() app.UI {
					return ui.Empty("search", "Nothing found", "No line has this text, is about this and was written in these days.", nil)
				}).Else(func() app.UI {
					return ui.Table("What was done", []ui.Column{{Title: "When"}, {Title: "Who"}, {Title: "What", Class: "hf-whole"}, {Title: "Kind", Class: "text-end"}}, len(list), func(i int) []app.UI {
						e := list[i]
						return []app.UI{ago(&e.At), ui.Name(state.ActorOf(e)), app.Span().Class("text-break").Text(e.Text), app.Code().Text(e.Kind)}
					})
				}),
				ui.More(len(list), 0, v.Events.More, v.Events.Loading, func(n int) string { return state.Count(int64(n), "line", "lines") }, m.MoreEvents),
			)
		}),
		under(v.Events.Load, func() app.UI { return a.mails(v) }),
	)
}

func (a *Audit) mails(v state.AuditView) app.UI {
	m := a.model()
	return loading(v.Mails.Load, 4, m.Reload, func(list []*api.MailFields) app.UI {
		failed := ui.Switch("mails-failed", "Only failed ones", v.Failed, false, false, m.OnlyFailed)
		if len(list) == 0 {
			return ui.Panel("Mails", failed, ui.Empty("envelope", "No mail", "Mails that were written, and whether they could be sent, stand here.", nil))
		}
		return ui.Panel("Mails", failed,
			ui.Table("Mails", []ui.Column{{Title: "To"}, {Title: "Subject"}, {Title: "State", Class: "hf-whole"}, {Title: "Written", Class: "text-end"}}, len(list), func(i int) []app.UI {
				mail := list[i]
				badge := map[api.MailState]app.UI{api.MailStateSent: ui.Badge("success", "sent"), api.MailStateFailed: ui.Badge("danger", "failed"), api.MailStateWaiting: ui.Badge("info", "waiting")}[mail.State]
				return []app.UI{ui.Name(mail.Address), ui.Two(app.Text(mail.Subject), mail.Kind), app.Div().Body(badge, app.Div().Class("small text-body-secondary hf-clamp").Title(orElse(mail.Error, "")).Text(orElse(mail.Error, ""))), ago(&mail.CreatedAt)}
			}),
			ui.More(len(list), 0, v.Mails.More, v.Mails.Loading, func(n int) string { return state.Count(int64(n), "mail", "mails") }, m.MoreMails),
		)
	})
}
