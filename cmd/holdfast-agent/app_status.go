package main

import (
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/agent/application"
	"github.com/holdfast-backup/holdfast/agent/state"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// namesOf gives the names of applications by their ids, without those of which the server was never told.
func namesOf(apps []*application.App) map[id.Application]string {
	names := map[id.Application]string{}
	for _, a := range apps {
		if !a.ID.IsZero() {
			names[a.ID] = a.Name
		}
	}
	return names
}

// applicationsAt does so for a state directory; none if it cannot be read, of which others complain.
func applicationsAt(path string) map[id.Application]string {
	dir, err := state.Find(path)
	if err != nil {
		return nil
	}
	apps, err := application.In(dir).All()
	if err != nil {
		return nil
	}
	return namesOf(apps)
}

// standing says how an application of this device is doing: its last backup, and when the next is due.
func standing(st *agent.Status, app id.Application) string {
	if st.Applications == nil && !app.IsZero() {
		return "the server did not say when it was backed up"
	}
	h, known := st.Applications[app]
	if !known {
		return "the server does not know it: holdfast-agent app add tells it again"
	}
	text := "no backup yet"
	if !h.LastSuccessAt.IsZero() {
		text = "last backup " + stamp(h.LastSuccessAt)
	}
	switch h.LastState {
	case "WAITING", "RUNNING":
		text += ", one is " + strings.ToLower(h.LastState) + " now"
	case "FAILED", "MISSED", "CANCELLED":
		text += ", the last one " + map[string]string{"FAILED": "failed", "MISSED": "was missed", "CANCELLED": "was cancelled"}[h.LastState] + " " + stamp(h.LastEndedAt)
	}
	if h.NextDueAt.IsZero() {
		return text + "; no schedule asks for the next"
	}
	return text + "; next due " + stamp(h.NextDueAt)
}

// applicationJSON is how an application of this device is doing.
type applicationJSON struct {
	ID        id.Application `json:"id"`
	Name      string         `json:"name"`
	Known     bool           `json:"known"` // to the server; false, too, if it did not answer
	LastState string         `json:"lastState,omitempty"`
	LastGood  time.Time      `json:"lastSuccessAt,omitzero"`
	NextDue   time.Time      `json:"nextDueAt,omitzero"`
}

func applicationsOf(apps []*application.App, st *agent.Status) []applicationJSON {
	list := make([]applicationJSON, len(apps))
	for i, a := range apps {
		h, known := st.Applications[a.ID]
		list[i] = applicationJSON{ID: a.ID, Name: a.Name, Known: known, LastState: strings.ToLower(h.LastState), LastGood: h.LastSuccessAt, NextDue: h.NextDueAt}
	}
	return list
}
