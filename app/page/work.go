package page

import (
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// sources are where the models of the screens get what they show.
func sources() state.Sources {
	return state.Sources{API: World.API, Keys: World.Keys, Live: World.Live, Imports: World.Imports}
}

// below returns what follows a place in an address: "dev_1" in "/devices/dev_1", "" in "/devices".
func below(path, place string) string {
	return strings.Trim(strings.TrimPrefix(path, place), "/")
}

// kindIcon is the picture of a kind of run.
func kindIcon(k api.RunKind) string {
	switch k {
	case api.RunKindRestore:
		return "arrow-counterclockwise"
	case api.RunKindProbe:
		return "clipboard-check"
	}
	return "cloud-arrow-up"
}

// tint is the colour of a run's picture: that of its state, if it can be seen on a card.
func tint(s api.RunState) string {
	if c := runColor(s); c != "light" {
		return c
	}
	return "body-secondary"
}

// runTitle says what a run is, and of which device or application.
func runTitle(r *api.RunFields) string {
	if a := r.Application; a != nil {
		return map[api.RunKind]string{api.RunKindBackup: "Backup of ", api.RunKindRestore: "Restore of ", api.RunKindProbe: "Test of "}[r.Kind] + a.Name
	}
	if r.Kind == api.RunKindRestore {
		return "Restore to " + r.Device.Name
	}
	return "Backup of " + r.Device.Name
}

// phaseWord is what a run does at the moment.
func phaseWord(r *api.RunFields) string {
	switch {
	case r.Cancelling:
		return "Stopping"
	case r.State == api.RunStateWaiting:
		return "Waiting for the device"
	case r.Progress.Phase == "upload":
		return "Sending the rest"
	case r.Progress.Phase == "commit":
		return "Finishing"
	case r.Progress.Phase == "check":
		return "Looking whether it can be restored"
	case r.Progress.Phase == "safety":
		return "Saving what is there now"
	case r.Progress.Phase == "database":
		return "Restoring the database"
	case r.Progress.Phase == "media":
		return "Restoring the media"
	case r.Kind == api.RunKindProbe:
		return "Looking"
	case r.Kind == api.RunKindRestore:
		return "Restoring"
	}
	return "Reading and sending"
}

// runProgress is the bar of a run that is under way: by bytes if it is known how many there are, else by files.
func runProgress(r *api.RunFields) app.UI {
	p := r.Progress
	label := runTitle(r)
	if p.TotalBytes > 0 {
		return ui.Progress(label, p.Bytes, p.TotalBytes)
	}
	return ui.Progress(label, p.Files, p.TotalFiles)
}

// counts is how much a run has done, in words; "" if nothing yet.
func counts(r *api.RunFields) string {
	p := r.Progress
	if p.Files == 0 && p.Bytes == 0 {
		return ""
	}
	text := state.Count(p.Files, "file", "files") + ", " + state.Size(p.Bytes)
	if r.State == api.RunStateRunning && p.TotalBytes > p.Bytes {
		text += " of " + state.Size(p.TotalBytes)
	}
	if r.State == api.RunStateRunning && r.Rate > 0 {
		text += ", " + state.Size(r.Rate) + "/s"
	}
	return text
}

// took is how long a run has taken, in words; "" if it did not begin.
func took(r *api.RunFields) string {
	if r.StartedAt == nil || r.EndedAt == nil {
		return ""
	}
	d := r.EndedAt.Sub(*r.StartedAt)
	if d < 100*time.Millisecond {
		return "under 0.1 s"
	}
	return state.Duration(d)
}

// why is a sentence about a run that did not simply succeed; "" for others.
func why(r *api.RunFields) string {
	switch {
	case r.State == api.RunStateSucceeded:
		return ""
	case r.Text != nil && *r.Text != "":
		return *r.Text
	case r.State == api.RunStateMissed:
		return "It was not begun before its deadline: the device was off or out of reach."
	case r.State == api.RunStateWarned:
		return state.Count(r.Progress.Problems, "file", "files") + " could not be read or restored."
	case r.Code != nil && *r.Code != "":
		return *r.Code
	}
	return ""
}

// runItems are runs as a list of links, under the titles that title gives them.
func runItems(list []*api.RunFields, title func(*api.RunFields) string) app.UI {
	return app.Ul().Class("list-group list-group-flush").Body(app.Range(list).Slice(func(i int) app.UI {
		r := list[i]
		open := !state.Over(r.State)
		when := r.CreatedAt
		if r.EndedAt != nil {
			when = *r.EndedAt
		}
		facts := counts(r)
		if t := took(r); t != "" && facts != "" {
			facts += ", " + t
		}
		return app.Li().Class("list-group-item px-0 py-0").Body(
			app.A().Href("/runs/"+r.Id).Class("hf-item").Body(
				app.Span().Class("hf-item-icon text-"+tint(r.State)).Body(ui.Icon(kindIcon(r.Kind))),
				app.Span().Class("hf-item-main").Body(
					app.Span().Class("d-flex align-items-center gap-2").Body(
						app.Span().Class("fw-medium hf-name-lines").Text(title(r)),
						ui.Badge(runColor(r.State), runWord(r.State)),
					),
					app.If(open, func() app.UI {
						return app.Span().Class("d-block").Body(
							app.Span().Class("d-block small text-body-secondary text-truncate mb-1").Text(join(phaseWord(r), counts(r))),
							app.If(r.State == api.RunStateRunning, func() app.UI { return runProgress(r) }))
					}).ElseIf(why(r) != "", func() app.UI {
						return app.Span().Class("small text-body-secondary hf-name-lines").Title(why(r)).Text(why(r))
					}).ElseIf(facts != "", func() app.UI {
						return app.Span().Class("d-block small text-body-secondary text-truncate").Text(facts)
					}),
				),
				app.Span().Class("small text-body-secondary text-nowrap align-self-start").Body(ago(&when)),
			),
		)
	}))
}

// join joins two phrases of which the second may be missing.
func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

// healthWords says how a device is doing, and what to do about it.
func healthWords(d *api.DeviceFields) string {
	h := d.Health
	switch h.State {
	case api.HealthStateGood:
		return "All is well."
	case api.HealthStateWorking:
		return "A backup is due or under way."
	case api.HealthStateWarning:
		return "The last backup left some files out."
	case api.HealthStateRevoked:
		return "It can no longer connect. What it saved stays."
	case api.HealthStateNew:
		return "Nothing was saved yet."
	}
	if h.StaleDays > 0 {
		return "No backup for " + state.Count(int64(h.StaleDays), "day", "days") + ": switch it on and connect it."
	}
	return "The last backup did not succeed."
}

// light is a device's health as a dot.
func light(h api.HealthState) app.UI {
	color := map[api.HealthState]string{
		api.HealthStateGood: "success", api.HealthStateWorking: "info", api.HealthStateWarning: "warning", api.HealthStateBad: "danger", api.HealthStateRevoked: "dark",
	}[h]
	if color == "" {
		color = "secondary"
	}
	return app.Span().Class("hf-light bg-"+color).Aria("hidden", "true")
}

// systemIcon is the picture of a system.
func systemIcon(os string) string {
	switch os {
	case "windows":
		return "windows"
	case "darwin":
		return "apple"
	case "linux":
		return "ubuntu"
	}
	return "pc-display"
}

// foreign warns of a device that the account's keys do not know.
func foreign() app.UI {
	return app.Div().Class("alert alert-danger mb-3").Attr("role", "alert").Body(
		app.Strong().Text("Not yours. "),
		app.Text("This device was not enrolled with your keys. It cannot read your backups, but it should not be here: revoke it and tell an administrator."))
}
