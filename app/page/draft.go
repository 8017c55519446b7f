package page

import (
	"fmt"

	"github.com/maxence-charriere/go-app/v10/pkg/app"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/state"
	"github.com/holdfast-backup/holdfast/app/ui"
)

// draftForm is the fields of a draft: of a policy, or of a schedule of an application.
type draftForm struct {
	id   string // before the ids of its inputs
	d    *state.Draft
	bad  map[string]string // what is wrong, by field
	edit func(func(*state.Draft))
}

// text is a field that is typed.
func (f draftForm) text(field, label, help string, of func(*state.Draft) *string) ui.Field {
	return ui.Field{ID: f.id + "-" + field, Label: label, Help: help, Type: "text", Autocomplete: "off", Value: *of(f.d), Problem: f.bad[field],
		OnInput: func(s string) { f.edit(func(d *state.Draft) { *of(d) = s }) }}
}

// tags is a field that is a list.
func (f draftForm) tags(field, label, help, placeholder string, clean func(string) string, of func(*state.Draft) *[]string) app.UI {
	return &ui.Tags{ID: f.id + "-" + field, Label: label, Help: help, Placeholder: placeholder, Clean: clean, Values: *of(f.d), Problem: f.bad[field],
		OnChange: func(l []string) { f.edit(func(d *state.Draft) { *of(d) = l }) }}
}

var weekdays = []ui.Choice{
	{Value: "MONDAY", Title: "Mon"}, {Value: "TUESDAY", Title: "Tue"}, {Value: "WEDNESDAY", Title: "Wed"}, {Value: "THURSDAY", Title: "Thu"},
	{Value: "FRIDAY", Title: "Fri"}, {Value: "SATURDAY", Title: "Sat"}, {Value: "SUNDAY", Title: "Sun"},
}

// times is when it is due.
func (f draftForm) times(zoneHelp string) app.UI {
	d := f.d
	days := []string{}
	for _, day := range d.Days {
		days = append(days, string(day))
	}
	return app.Div().Body(
		problem(f.bad["schedule"]),
		app.Div().Class("mb-3").Body(ui.OneOf("Schedule", string(d.Kind), []ui.Choice{{Value: "DAILY", Title: "Daily"}, {Value: "WEEKLY", Title: "Weekly"}, {Value: "MONTHLY", Title: "Monthly"}, {Value: "CRON", Title: "Cron"}},
			func(s string) { f.edit(func(d *state.Draft) { d.Kind = api.ScheduleKind(s) }) })),
		app.If(d.Kind == api.ScheduleKindWeekly, func() app.UI {
			return app.Div().Class("mb-3").Body(ui.Chips("Days of the week", weekdays, days, func(l []string) {
				f.edit(func(d *state.Draft) {
					d.Days = nil
					for _, s := range l {
						d.Days = append(d.Days, api.Weekday(s))
					}
				})
			}))
		}),
		app.If(d.Kind == api.ScheduleKindMonthly, func() app.UI {
			return f.tags("dates", "Days of the month", "1 to 31; a day that a month does not have means its last one.", "15", nil, func(d *state.Draft) *[]string { return &d.Dates })
		}),
		app.If(d.Kind == api.ScheduleKindCron, func() app.UI {
			field := f.text("cron", "Cron", "Minute, hour, day of month, month, day of week.", func(d *state.Draft) *string { return &d.Cron })
			field.Mono = true
			return field.UI()
		}).Else(func() app.UI {
			return f.tags("times", "Times of day", "Such as 02:00, or several.", "18:30", nil, func(d *state.Draft) *[]string { return &d.Times })
		}),
		f.text("zone", "Time zone", zoneHelp, func(d *state.Draft) *string { return &d.Zone }).UI(),
	)
}

// level is how hard it is compressed.
func (f draftForm) level() app.UI {
	return ui.Select{ID: f.id + "-level", Label: "Compression", Value: string(f.d.Level), Choices: levels,
		OnChange: func(s string) { f.edit(func(d *state.Draft) { d.Level = api.CompressionLevel(s) }) }}.UI()
}

var levels = []ui.Choice{{Value: "NONE", Title: "None"}, {Value: "FAST", Title: "Fast"}, {Value: "DEFAULT", Title: "Default"}, {Value: "BETTER", Title: "Better, slower"}}

// keep is how long it is kept.
func (f draftForm) keep() app.UI {
	return app.Div().Body(
		problem(f.bad["retention"]),
		app.Div().Class("row").Body(app.Range(state.KeepNames[:]).Slice(func(i int) app.UI {
			field := f.text(fmt.Sprint("keep-", i), state.KeepNames[i], "", func(d *state.Draft) *string { return &d.Keep[i] })
			field.Type = "number"
			return app.Div().Class("col-6 col-md-4").Body(field.UI())
		})),
		app.If(f.d.KeepText() != "", func() app.UI {
			return app.P().Body(app.Text("Kept: "), app.Strong().Text(f.d.KeepText()), app.Text("."))
		}),
	)
}

// nextTimes says when a schedule is due next, or what is wrong with it.
func nextTimes(l state.Load[*api.PreviewScheduleSchedulePreview], of string) app.UI {
	switch {
	case l.Err != nil:
		return app.Div().Class("text-danger").Attr("role", "status").Text(scheduleError(l.Err))
	case l.Value == nil:
		return ui.Skeleton(4)
	}
	s := l.Value
	return app.Div().Body(
		app.P().Class("fw-semibold").Text(state.Capital(s.Text)),
		app.Ul().Class("list-unstyled mb-0").Body(app.Range(s.Next).Slice(func(i int) app.UI {
			return app.Li().Class("d-flex justify-content-between gap-2").Body(
				app.Span().Text(s.Next[i].Local().Format("Mon 2 Jan, 15:04")),
				app.Span().Class("text-body-secondary").Body(ago(&s.Next[i])))
		})),
		app.If(of != zone(), func() app.UI { return app.Div().Class("form-text").Text("In your own time, " + zone() + ".") }),
	)
}

// scheduleError is what is wrong with a schedule, without the field's name before it.
func scheduleError(err error) string {
	_, text := state.FieldOf(err, "schedule", "zone", "count")
	return text
}
