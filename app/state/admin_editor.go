package state

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// previewDelay is how long the editor waits for more typing before it asks what the server makes of a schedule.
const previewDelay = 250 * time.Millisecond

// PolicyEditor is one policy as it is written. Make it with [NewPolicyEditor].
type PolicyEditor struct {
	Desk
	id       string // "": a new one
	revision int
	delay    time.Duration
	timer    *time.Timer

	choicesF, previewF, keepF, findF fetch
	v                                EditorView
}

// EditorView is what pages show of a [PolicyEditor].
type EditorView struct {
	Work
	New      bool
	Status   Status // of the policy
	Trouble  error  // why it could not be loaded
	Draft    Draft
	Changed  bool
	Problems map[string]string // by field
	Conflict bool              // somebody else saved it meanwhile
	Saved    string            // the id of what was saved, until the next change

	Choices  Load[*api.PolicyChoicesResponse]
	Schedule Load[*api.PreviewScheduleSchedulePreview]
	Device   Named // whose snapshots the retention is tried on
	Keep     Load[*api.PreviewRetentionRetentionPreview]
	Found    Load[[]Named] // devices
}

// NewPolicyEditor returns an editor. id is the policy's; "" makes a new one, like the policy copy if that is not "".
func NewPolicyEditor(client *api.Client, id, duplicate, zone string) *PolicyEditor {
	e := &PolicyEditor{Desk: Desk{api: client}, id: id, delay: previewDelay}
	e.v.New = id == ""
	e.v.Draft = NewDraft(zone)
	e.v.Status = Ready
	fresh := id == "" && duplicate == ""
	fetchInto(&e.Model, &e.choicesF, &e.v.Choices, func(ctx context.Context) (*api.PolicyChoicesResponse, error) {
		r, err := api.PolicyChoices(ctx, e.api)
		if err == nil && r.Settings != nil && fresh {
			e.change(func() {
				if !e.v.Changed {
					e.v.Draft.keepDays(r.Settings.RetentionDays)
				}
			})
		}
		return r, err
	})
	switch {
	case id != "":
		e.open(id, false)
	case duplicate != "":
		e.open(duplicate, true)
	default:
		e.Preview()
	}
	return e
}

// View returns what to show.
func (e *PolicyEditor) View() (v EditorView) {
	e.read(func() {
		v = e.v
		v.Work = e.work
		v.Problems = maps.Clone(e.v.Problems)
	})
	return v
}

// Reload drops what was changed and loads the policy as it is now.
func (e *PolicyEditor) Reload() { e.open(e.id, false) }

func (e *PolicyEditor) open(id string, duplicate bool) {
	e.change(func() {
		e.v.Status, e.v.Conflict, e.v.Problems, e.work = Loading, false, nil, Work{}
	})
	go func() {
		r, err := api.AdminPolicy(context.Background(), e.api, id)
		if err == nil && r.Policy == nil {
			err = fault.New(fault.NotFound, "there is no such policy: it may have been deleted")
		}
		e.change(func() {
			if err != nil {
				e.v.Status, e.v.Trouble = Failed, err
				return
			}
			e.revision = r.Policy.Revision
			e.v.Status, e.v.Trouble, e.v.Draft, e.v.Changed, e.v.Saved = Ready, nil, draftOf(r.Policy), duplicate, ""
			if duplicate {
				e.v.Draft.Name += " (copy)"
				e.v.Draft.Enabled = false
			}
		})
		if err == nil {
			e.Preview()
		}
	}()
}

// Edit changes the draft.
func (e *PolicyEditor) Edit(fn func(*Draft)) {
	again := false
	e.change(func() {
		before := e.v.Draft
		fn(&e.v.Draft)
		d := e.v.Draft
		e.v.Changed, e.v.Saved = true, ""
		again = before.Kind != d.Kind || !slices.Equal(before.Times, d.Times) || !slices.Equal(before.Days, d.Days) || !slices.Equal(before.Dates, d.Dates) ||
			before.Cron != d.Cron || before.Zone != d.Zone
		if before.Keep != d.Keep || before.Zone != d.Zone {
			e.v.Keep = Load[*api.PreviewRetentionRetentionPreview]{}
		}
		if len(e.v.Problems) > 0 { // they were shown: they go as soon as they are mended
			_, bad := d.input()
			maps.DeleteFunc(e.v.Problems, func(field, _ string) bool { return bad[field] == "" })
			if len(e.v.Problems) == 0 {
				e.work.Err = nil
			}
		}
		if again {
			if e.timer != nil {
				e.timer.Stop()
			}
			e.timer = time.AfterFunc(e.delay, e.Preview)
		}
	})
}

// Preview asks when the schedule would be due.
func (e *PolicyEditor) Preview() {
	var d Draft
	e.read(func() { d = e.v.Draft })
	bad := map[string]string{}
	s := d.schedule(bad)
	if text := bad["schedule"]; text != "" {
		e.change(func() {
			e.previewF.asked++
			e.v.Schedule = Load[*api.PreviewScheduleSchedulePreview]{Status: Failed, Err: fault.New(fault.Invalid, "%s", text)}
		})
		return
	}
	fetchInto(&e.Model, &e.previewF, &e.v.Schedule, func(ctx context.Context) (*api.PreviewScheduleSchedulePreview, error) {
		r, err := api.PreviewSchedule(ctx, e.api, s, d.Zone)
		if err != nil {
			return nil, err
		}
		return r.SchedulePreview, nil
	})
}

// TryRetention asks what the retention would keep of a device's snapshots.
func (e *PolicyEditor) TryRetention(device Named) {
	var d Draft
	e.change(func() {
		d = e.v.Draft
		e.v.Device, e.v.Keep = device, Load[*api.PreviewRetentionRetentionPreview]{}
	})
	bad := map[string]string{}
	r := d.retention(bad)
	if text := bad["retention"]; text != "" {
		e.change(func() { e.v.Problems = map[string]string{"retention": text} })
		return
	}
	fetchInto(&e.Model, &e.keepF, &e.v.Keep, func(ctx context.Context) (*api.PreviewRetentionRetentionPreview, error) {
		p, err := api.PreviewRetention(ctx, e.api, device.ID, r, d.Zone)
		if err != nil {
			return nil, err
		}
		return p.RetentionPreview, nil
	})
}

// foundDevices is how many devices a search shows.
const foundDevices = 8

// Find looks for devices by name; "" lists the first ones.
func (e *PolicyEditor) Find(text string) {
	fetchInto(&e.Model, &e.findF, &e.v.Found, func(ctx context.Context) ([]Named, error) {
		r, err := api.AdminDevices(ctx, e.api, nil, &text, foundDevices, nil)
		if err != nil {
			return nil, err
		}
		var list []Named
		for _, d := range r.FleetDevices.Edges {
			list = append(list, Named{d.Node.Id, fmt.Sprintf("%s (%s)", d.Node.Name, d.Node.Owner.Name)})
		}
		return list, nil
	})
}

// Save writes the policy. What is wrong with it stands at its fields afterwards.
func (e *PolicyEditor) Save() {
	var d Draft
	e.read(func() { d = e.v.Draft })
	in, bad := d.input()
	if len(bad) > 0 {
		e.change(func() {
			e.v.Problems = bad
			e.work = Work{Err: fault.New(fault.Invalid, "something is not right yet: see the fields in red")}
		})
		return
	}
	e.do("save", func(ctx context.Context) (string, error) {
		p, err := e.write(ctx, in)
		field, text := FieldOf(err, draftFields...)
		e.change(func() {
			e.v.Problems, e.v.Conflict = nil, e.id != "" && errors.Is(err, fault.Conflict)
			if field != "" {
				e.v.Problems = map[string]string{field: text}
			}
			if err == nil {
				e.id, e.revision = p.Id, p.Revision
				e.v.New, e.v.Changed, e.v.Saved, e.v.Draft = false, false, p.Id, draftOf(p)
			}
		})
		return "Saved. The devices hear of it at once.", err
	})
}

func (e *PolicyEditor) write(ctx context.Context, in *api.PolicyInput) (*api.PolicyFull, error) {
	if e.id == "" {
		r, err := api.CreatePolicy(ctx, e.api, in)
		if err != nil {
			return nil, err
		}
		return r.CreatePolicy.Policy, nil
	}
	r, err := api.UpdatePolicy(ctx, e.api, &api.UpdatePolicyInput{Id: e.id, Revision: e.revision, Policy: in})
	if err != nil {
		return nil, err
	}
	return r.UpdatePolicy.Policy, nil
}
