package page

import (
	"strconv"
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// Bell is in the bar at the top: how many notices are unread, and the newest.
type Bell struct {
	app.Compo
	watched
}

// OnMount implements app.Mounter.
func (b *Bell) OnMount(ctx app.Context) { b.open(ctx) }

// OnDismount implements app.Dismounter.
func (b *Bell) OnDismount() { b.close() }

func (b *Bell) open(ctx app.Context) {
	b.watch(ctx, World.Notices)
	World.Notices.Start()
}

func (b *Bell) close() {
	b.watched.OnDismount()
	World.Notices.Stop()
}

// Render implements app.Composer.
func (b *Bell) Render() app.UI {
	v := World.Notices.View()
	label := "Notifications"
	if v.Unread > 0 {
		label = state.Count(int64(v.Unread), "unread notification", "unread notifications")
	}
	return app.Li().Class("nav-item dropdown").Body(
		app.Button().Type("button").Class("nav-link btn").DataSet("bs-toggle", "dropdown").DataSet("bs-auto-close", "outside").Aria("expanded", "false").
			Aria("label", label).Title(label).Body(
			ui.Icon("bell"),
			app.If(v.Unread > 0, func() app.UI {
				return app.Span().Class("navbar-badge badge text-bg-danger").Aria("hidden", "true").Text(short(v.Unread))
			}),
		),
		app.Div().Class("dropdown-menu dropdown-menu-end hf-bell p-0").Body(
			app.Div().Class("d-flex align-items-center gap-2 px-3 py-2 border-bottom").Body(
				app.Span().Class("fw-semibold flex-grow-1").Text("Notifications"),
				app.If(v.Unread > 0, func() app.UI { return link("Mark all as read", func() { World.Notices.Read() }) }),
			),
			b.list(v),
			app.A().Class("d-block text-center small py-2 border-top").Href("/notifications").Text("See all"),
		),
	)
}

func (b *Bell) list(v state.NoticesView) app.UI {
	switch {
	case v.Newest.Status == state.Failed:
		return app.Div().Class("p-3 pb-0").Body(ui.Trouble(v.Newest.Err, World.Notices.Load))
	case v.Newest.Status != state.Ready:
		return app.Div().Class("p-3").Body(ui.Skeleton(4))
	case len(v.Newest.Value) == 0:
		return app.Div().Class("p-4 text-center text-body-secondary").Text("Nothing yet. What you should know will be here.")
	}
	return app.Div().Class("hf-bell-list").Body(app.Range(v.Newest.Value).Slice(func(i int) app.UI {
		return noticeRow(v.Newest.Value[i], func(id string) { World.Notices.Read(id) })
	}))
}

// noticeRow is a notice as a link to what it is about.
func noticeRow(n api.NoticeFields, read func(id string)) app.UI {
	color, icon := ui.Severity(strings.ToLower(string(n.Severity)))
	class := "hf-notice d-flex gap-3 px-3 py-2 text-decoration-none link-body-emphasis"
	if n.ReadAt == nil {
		class += " hf-unread"
	}
	return app.A().Class(class).Href(state.NoticeHref(&n)).OnClick(func(app.Context, app.Event) {
		if n.ReadAt == nil {
			read(n.Id)
		}
	}, ui.Fresh()).Body(
		app.Span().Class("text-"+color).Body(ui.Icon(icon)),
		app.Span().Class("flex-grow-1 hf-shrink").Body(
			app.Span().Class("d-block text-break hf-notice-title").Body(app.If(n.ReadAt == nil, func() app.UI {
				return app.Span().Class("visually-hidden").Text("Unread: ")
			}), app.Text(n.Title)),
			app.If(n.Body != "", func() app.UI {
				return app.Span().Class("small text-body-secondary text-break hf-lines").Text(n.Body)
			}),
			app.Span().Class("d-block small text-body-secondary").Body(when(&n.CreatedAt)),
		),
	)
}

// when shows a time as people say it.
func when(t *time.Time) app.UI {
	return ui.Time(t, func(t time.Time) string { return state.Ago(t, time.Now()) }, state.Exact)
}

// short writes a number that has little room.
func short(n int) string {
	if n > 99 {
		return "99+"
	}
	return strconv.Itoa(n)
}

// ToastLayer shows toasts over every screen.
type ToastLayer struct {
	app.Compo
	watched
}

// OnMount implements app.Mounter.
func (t *ToastLayer) OnMount(ctx app.Context) { t.watch(ctx, World.Toasts) }

// Render implements app.Composer.
func (t *ToastLayer) Render() app.UI {
	var list []app.UI
	for _, o := range World.Toasts.View() {
		list = append(list, ui.Toast(o.Severity, o.Title, o.Body, o.Href, func() { World.Toasts.Dismiss(o.ID) }))
	}
	return ui.Toasts(list...)
}
