package state

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// ScheduleDraft is a schedule of an application as it stands in the form. Of the draft inside, the name, whether it is on, the
// times, the zone, the compression and what is kept count.
type ScheduleDraft struct {
	ID       string // "": a new one
	Revision int
	Draft
	Part        api.ApplicationPart
	ExcludeLogs bool
	Portable    bool

	Problems map[string]string // by field
	Preview  Load[*api.PreviewScheduleSchedulePreview]
	fetch    fetch
}

var scheduleFields = []string{"name", "part", "schedule", "zone", "level", "retention"}

// EditSchedule opens the form: of a schedule, or with nil of a new one. With like it is a new one like it.
func (m *Application) EditSchedule(row *api.ScheduleRow, like bool, zone string) {
	d := &ScheduleDraft{Draft: NewDraft(zone)}
	d.Times, d.Keep = []string{"02:00"}, [6]string{"30", "", "", "", "", ""}
	if row != nil {
		d.Draft, d.Part, d.ExcludeLogs, d.Portable = scheduleDraft(row), row.Part, row.ExcludeLogs, row.Portable
		if like {
			d.Name += " (copy)"
		} else {
			d.ID, d.Revision = row.Id, row.Revision
		}
	}
	m.change(func() {
		if a := m.v.App.Value; row == nil && a != nil {
			d.Part = Whole(&a.ApplicationRow)
		}
		m.v.Schedule, m.work = d, Work{}
	})
	m.previewSchedule()
}

// scheduleDraft is a schedule that was saved.
func scheduleDraft(r *api.ScheduleRow) Draft {
	d := NewDraft(r.Zone)
	d.Name, d.Enabled, d.Kind, d.Level = r.Name, r.Enabled, r.Schedule.Kind, r.Level
	if len(r.Schedule.Times) > 0 {
		d.Times = r.Schedule.Times
	}
	if len(r.Schedule.Days) > 0 {
		d.Days = r.Schedule.Days
	}
	if len(r.Schedule.Dates) > 0 {
		d.Dates = nil
		for _, n := range r.Schedule.Dates {
			d.Dates = append(d.Dates, strconv.Itoa(n))
		}
	}
	if r.Schedule.Cron != "" {
		d.Cron = r.Schedule.Cron
	}
	k := r.Retention
	d.Keep = keepTexts(k.Days, k.Last, k.Daily, k.Weekly, k.Monthly, k.Yearly)
	return d
}

// EndSchedule closes the form.
func (m *Application) EndSchedule() { m.change(func() { m.v.Schedule, m.work = nil, Work{} }) }

// ChangeSchedule changes the draft.
func (m *Application) ChangeSchedule(fn func(*ScheduleDraft)) {
	again := false
	m.change(func() {
		d := m.v.Schedule
		if d == nil {
			return
		}
		before := *d
		fn(d)
		again = before.Kind != d.Kind || !slices.Equal(before.Times, d.Times) || !slices.Equal(before.Days, d.Days) || !slices.Equal(before.Dates, d.Dates) ||
			before.Cron != d.Cron || before.Zone != d.Zone
		if len(d.Problems) > 0 {
			_, d.Problems = d.input()
		}
	})
	if again {
		time.AfterFunc(previewDelay, m.previewSchedule)
	}
}

// previewSchedule asks when the schedule would be due.
func (m *Application) previewSchedule() {
	var d *ScheduleDraft
	var in *api.ScheduleInput
	zone, bad := "", map[string]string{}
	m.change(func() {
		if d = m.v.Schedule; d == nil {
			return
		}
		in, zone = d.schedule(bad), d.Zone
		if text := bad["schedule"]; text != "" {
			d.fetch.asked++
			d.Preview = Load[*api.PreviewScheduleSchedulePreview]{Status: Failed, Err: fault.New(fault.Invalid, "%s", text)}
		}
	})
	if d == nil || bad["schedule"] != "" {
		return
	}
	fetchInto(&m.Model, &d.fetch, &d.Preview, func(ctx context.Context) (*api.PreviewScheduleSchedulePreview, error) {
		r, err := api.PreviewApplicationSchedule(ctx, m.API, in, zone)
		if err != nil {
			return nil, err
		}
		return r.ApplicationSchedulePreview, nil
	})
}

// input is the draft for the API, and what is wrong with it as far as that shows here.
func (d *ScheduleDraft) input() (*api.ApplicationScheduleInput, map[string]string) {
	bad := map[string]string{}
	if strings.TrimSpace(d.Name) == "" {
		bad["name"] = "Give the schedule a name."
	}
	return &api.ApplicationScheduleInput{Name: strings.TrimSpace(d.Name), Enabled: d.Enabled, Part: d.Part, Schedule: d.schedule(bad), Zone: strings.TrimSpace(d.Zone),
		Level: d.Level, ExcludeLogs: d.ExcludeLogs, Portable: d.Portable, Retention: d.retention(bad)}, bad
}

// SaveSchedule saves the draft and closes the form.
func (m *Application) SaveSchedule() {
	var in *api.ApplicationScheduleInput
	var draft *ScheduleDraft
	m.change(func() {
		draft = m.v.Schedule
		in, draft.Problems = draft.input()
		if len(draft.Problems) > 0 {
			m.work = Work{Err: fault.New(fault.Invalid, "look at the fields with a remark")}
		}
	})
	if len(draft.Problems) > 0 {
		return
	}
	m.act("schedule", func(ctx context.Context) (string, error) {
		var err error
		if draft.ID == "" {
			_, err = api.CreateApplicationSchedule(ctx, m.API, &api.CreateApplicationScheduleInput{Application: m.id, Schedule: in})
		} else {
			_, err = api.UpdateApplicationSchedule(ctx, m.API, &api.UpdateApplicationScheduleInput{Id: draft.ID, Revision: draft.Revision, Schedule: in})
		}
		if field, text := FieldOf(err, scheduleFields...); field != "" {
			m.change(func() { draft.Problems = map[string]string{field: text} })
			return "", fault.New(fault.Invalid, "look at the fields with a remark")
		}
		if err == nil {
			m.change(func() { m.v.Schedule = nil })
		}
		return fmt.Sprintf("“%s” is saved.", in.Name), err
	})
}

// EnableSchedule switches a schedule on or off.
func (m *Application) EnableSchedule(row *api.ScheduleRow, on bool) {
	m.act("enable", func(ctx context.Context) (string, error) {
		_, err := api.EnableApplicationSchedule(ctx, m.API, &api.EnableApplicationScheduleInput{Id: row.Id, Enabled: on})
		return enabled(row.Name, on), err
	})
}

// DeleteSchedule deletes a schedule.
func (m *Application) DeleteSchedule(row *api.ScheduleRow) {
	m.act("unschedule", func(ctx context.Context) (string, error) {
		_, err := api.DeleteApplicationSchedule(ctx, m.API, row.Id)
		return fmt.Sprintf("“%s” was deleted.", row.Name), err
	})
}

// RunSchedule backs up what a schedule says, now.
func (m *Application) RunSchedule(row *api.ScheduleRow) {
	m.BackUp(api.BackUpApplicationInput{Part: row.Part, Title: row.Name, Level: row.Level, ExcludeLogs: row.ExcludeLogs, Portable: row.Portable})
}
