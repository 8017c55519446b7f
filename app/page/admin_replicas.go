package page

import (
	"time"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// replicas is the card of the other stores to which everything is copied.
func (s *Storage) replicas(list []*api.ReplicaFields) app.UI {
	if len(list) == 0 {
		return ui.Panel("Replicas", nil, ui.Empty("copy", "There is no replica", "Should this store be lost, all backups are lost with it. Name another place, on another disk or with another provider, in HOLDFAST_REPLICAS: docs/operations.md says how.", nil))
	}
	tools := ui.Button("outline-secondary", "copy", "Copy now", "Copy what the replicas lack now", func() { s.m.Run("replicate") })
	return ui.Panel("Replicas", tools, ui.Table("Replicas", []ui.Column{{Title: "Replica"}, {Title: "State"}, {Title: "In it", Class: "text-end"}, {Title: "Lacks", Class: "text-end"}, {Title: "Last complete", Class: "text-end"}, {Title: "Compared", Class: "text-end"}}, len(list), func(i int) []app.UI {
		r := list[i]
		color, word := state.ReplicaState(r)
		return []app.UI{
			app.Div().Body(
				app.Div().Class("fw-semibold text-break").Text(r.Url),
				app.If(state.ReplicaNote(r) != "", func() app.UI {
					return app.Div().Class("small text-body-secondary text-break").Text(state.ReplicaNote(r))
				}),
			),
			ui.Badge(color, word),
			packsCell(r.Packs, r.Bytes),
			lackCell(r),
			timeCell(r.ReachedAt),
			timeCell(r.CheckedAt),
		}
	}))
}

// packsCell is a number of packs, and their bytes below it.
func packsCell(packs, bytes int64) app.UI {
	return app.Div().Body(app.Div().Class("text-nowrap").Text(state.Size(bytes)), app.Div().Class("small text-body-secondary text-nowrap").Text(state.Count(packs, "pack", "packs")))
}

func lackCell(r *api.ReplicaFields) app.UI {
	switch {
	case r.LagPacks > 0:
		return packsCell(r.LagPacks, r.LagBytes)
	case r.LagSince != nil:
		return app.Text("records")
	}
	return app.Text("nothing")
}

// timeCell is a time, or a dash for never.
func timeCell(t *time.Time) app.UI {
	if t == nil {
		return app.Text("–")
	}
	return app.Span().Class("text-nowrap").Body(ago(t))
}
