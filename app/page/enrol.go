package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// enrolment is the dialog in which a device is added.
func (d *Devices) enrolment(e *state.Enrolment) app.UI {
	return &ui.Modal{
		Title: "Add a device", Size: "lg",
		OnClose: func() { d.leave("/devices") },
		Body: func() []app.UI {
			switch {
			case e.Connected != nil:
				return []app.UI{connected(e)}
			case e.Err != nil:
				return []app.UI{ui.Trouble(e.Err, d.m.Enrol)}
			case e.Code == "":
				return []app.UI{ui.Skeleton(6)}
			}
			return d.steps(e)
		},
	}
}

// connected says that the device is there.
func connected(e *state.Enrolment) app.UI {
	return app.Div().Class("text-center py-4").Attr("role", "status").Body(
		app.I().Class("bi bi-check-circle-fill text-success hf-empty-icon").Aria("hidden", "true"),
		app.P().Class("h4 mt-3").Text("Connected!"),
		app.P().Class("text-body-secondary mb-4").Text(e.Connected.Name+" is one of your devices now. Its first backup begins when a policy says so, or when you start one."),
		app.A().Class("btn btn-primary").Href("/devices/"+e.Connected.Id).Text("To the device"),
	)
}

// steps are what to do on the new device.
func (d *Devices) steps(e *state.Enrolment) []app.UI {
	system := state.FindSystem(d.system)
	if d.system == "" {
		system = state.FindSystem(guess(app.Window().Get("navigator").Get("userAgent").String()))
	}
	left := time.Until(e.ExpiresAt)
	if left <= 0 {
		return []app.UI{ui.Empty("hourglass-bottom", "The code has expired", "A code is valid for 15 minutes. Make a new one when you are at the device.",
			app.Button().Type("button").Class("btn btn-primary").Text("Make a new code").OnClick(func(app.Context, app.Event) { d.m.Enrol() }))}
	}
	choices := make([]ui.Choice, 0, len(state.Systems))
	for _, s := range state.Systems {
		choices = append(choices, ui.Choice{Value: s.Key(), Title: s.Title})
	}
	origin := strings.TrimSuffix(app.Window().Get("location").Get("origin").String(), "/")
	text := state.Install(system, origin, e.Code, e.Fingerprint != "")
	where := "Open a terminal on it and paste this. The last line makes the program start by itself."
	if system.OS == "windows" {
		where = "Open PowerShell as administrator on it and paste this. The last line makes the program start by itself."
	}
	return []app.UI{
		ui.Select{ID: "enrol-system", Label: "What does the device run?", Value: system.Key(), Choices: choices, OnChange: func(s string) { d.system = s }}.UI(),
		app.P().Class("mb-2").Text(where),
		app.Div().Class("position-relative mb-3").Body(
			app.Pre().Class("hf-command").TabIndex(0).Text(text),
			app.Div().Class("hf-command-copy").Body(ui.Button("secondary", "clipboard", "Copy", "Copy the commands", func() { copied(text, "The command") })),
		),
		app.If(e.Fingerprint != "", func() app.UI {
			return app.P().Class("small text-body-secondary").Text("This server has a certificate of its own, which curl does not know: -k skips the check of the download. The code carries the server's fingerprint, so that the agent trusts only this server: " + e.Fingerprint[:16] + "…")
		}),
		app.Div().Class("d-flex align-items-center gap-3 border rounded p-3").Body(
			ui.QR(e.Code, "The code, for a camera"),
			app.Div().Class("flex-grow-1 hf-shrink").Body(
				app.Div().Class("small text-body-secondary").Text("One-time code"),
				app.Div().Class("fs-5 font-monospace text-break").Text(e.Code),
				app.Div().Class("small text-body-secondary").Attr("role", "timer").Text(fmt.Sprintf("Valid for %d:%02d, for one device", int(left.Minutes()), int(left.Seconds())%60)),
			),
		),
		app.Div().Class("d-flex align-items-center gap-2 mt-3 text-body-secondary").Attr("role", "status").Body(ui.Spinner(), app.Text("Waiting for the device. You can leave this open: it says when the device is there.")),
		app.P().Class("small text-body-secondary mt-3 mb-0").Body(
			app.Text("No way to download there? "),
			app.A().Href("/download/agent/"+system.Key()).Attr("download", "").Text("Get the program here"),
			app.Text(" and carry it over."),
		),
	}
}

// guess is the system of whoever uses this browser.
func guess(agent string) string {
	switch {
	case strings.Contains(agent, "Windows"):
		return "windows/amd64"
	case strings.Contains(agent, "Mac OS"):
		return "darwin/arm64"
	}
	return "linux/amd64"
}
