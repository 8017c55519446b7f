package page

import (
	"errors"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// Prove is the page of an administrator who lacks the second factor that this server wants of them: they can set one up, and nothing else.
type Prove struct {
	app.Compo
	watched
	Done func() // once the backup codes were kept
	me   Profile
}

// OnMount implements app.Mounter.
func (p *Prove) OnMount(ctx app.Context) { p.open(ctx) }

func (p *Prove) open(ctx app.Context) {
	p.me.profile, p.me.done = state.NewProfile(World.Session), map[string]int{}
	p.stops = append(p.stops, p.me.profile.Observe(func() { ctx.Dispatch(func(app.Context) { p.me.settle() }) }))
	p.watch(ctx, World.Session)
}

// Render implements app.Composer.
func (p *Prove) Render() app.UI {
	u := World.Session.View().User
	if p.me.profile == nil || u == nil {
		return ui.Skeleton(4)
	}
	v := p.me.profile.View()
	var dialog app.UI = app.Div()
	if p.me.factor.doing != "" || v.BackupCodes != nil {
		dialog = p.me.factorDialog(u, v)
	}
	if !u.Unproven && v.BackupCodes == nil {
		return door("Your second factor is on", "A login asks for a code from your device from now on.",
			app.Button().Type("button").Class("btn btn-primary w-100").Text("Go on").OnClick(func(app.Context, app.Event) { p.Done() }, ui.Fresh()))
	}
	return door("You need a second factor", "Administrators of this server log in with a code from their phone as well as with their password, and your account has none yet.",
		app.P().Text("Until it is set up you can do nothing else here. Your devices go on backing up."),
		app.Button().Type("button").Class("btn btn-primary w-100").Text("Set it up").OnClick(func(app.Context, app.Event) { p.me.factor = factorForm{doing: state.FormBegin} }, ui.Fresh()),
		app.Div().Class("mt-3 text-center").Body(link("Log out", World.Session.Logout)),
		dialog,
	)
}

// administrators is the card of what is wanted of those who may change the settings.
func administrators(m *state.Installation, v state.InstallationView) app.UI {
	const field = "adminsNeedSecondFactor"
	var refused error // shown here, too: the top of the page is far away
	if errors.Is(v.Err, fault.Conflict) && v.Form[field] == "true" {
		refused = v.Err
	}
	return ui.Card("Administrators", nil,
		ui.Trouble(refused, nil),
		ui.Switch("set-"+field, "Administrators need a second factor", v.Form[field] == "true", false, false, func(on bool) {
			value := "false"
			if on {
				value = "true"
			}
			m.Edit(field, value)
		}),
		app.P().Class("form-text mb-0").Text("Whoever has none can only set one up, from the next click on. You need one yourself before you switch this on."),
	)
}
