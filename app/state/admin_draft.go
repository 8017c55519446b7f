package state

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/plan"
)

// Named is a thing with an id and a name.
type Named struct{ ID, Name string }

// Draft is a policy as it stands in the editor: numbers are texts, as they were typed.
type Draft struct {
	Name    string
	Enabled bool

	Everyone                    bool
	Groups, Devices             []Named
	ExceptGroups, ExceptDevices []Named

	Roots, Presets, Extensions, ExcludePresets, Excludes []string
	MaxFile                                              string // MiB; "": no limit

	Kind  api.ScheduleKind
	Times []string
	Days  []api.Weekday
	Dates []string
	Cron  string
	Zone  string

	Windowed         bool
	From, To         string
	Deadline, Spread string // minutes
	Upload           string // KiB a second; "": no limit
	Level            api.CompressionLevel
	Keep             [6]string // as keepNames
}

// KeepNames are the numbers of a retention, in the order of [Draft].Keep.
var KeepNames = [6]string{"Days of everything", "Newest", "Daily", "Weekly", "Monthly", "Yearly"}

// NewDraft is a policy that most offices could save as it is.
func NewDraft(zone string) Draft {
	return Draft{
		Enabled: true, Roots: []string{"~documents", "~desktop", "~pictures"}, Kind: api.ScheduleKindDaily, Times: []string{"12:00"},
		Days: []api.Weekday{api.WeekdayMonday}, Dates: []string{"1"}, Cron: "0 12 * * *", Zone: zone, From: "08:00", To: "20:00", Deadline: "0", Spread: "10",
		Level: api.CompressionLevelDefault, Keep: [6]string{"30", "", "", "", "12", ""},
	}
}

// keepDays makes the draft keep everything for so many days; 0: for ever.
func (d *Draft) keepDays(n int) {
	if n == 0 {
		d.Keep = [6]string{}
		return
	}
	d.Keep[0] = strconv.Itoa(n)
}

// draftOf is a policy that was saved.
func draftOf(p *api.PolicyFull) Draft {
	d := NewDraft(p.Zone)
	d.Name, d.Enabled, d.Everyone = p.Name, p.Enabled, p.Targets.Everyone
	for _, g := range p.Targets.Groups {
		d.Groups = append(d.Groups, Named{g.Id, g.Name})
	}
	for _, g := range p.Targets.ExceptGroups {
		d.ExceptGroups = append(d.ExceptGroups, Named{g.Id, g.Name})
	}
	for _, v := range p.Targets.Devices {
		d.Devices = append(d.Devices, Named{v.Id, v.Name})
	}
	for _, v := range p.Targets.ExceptDevices {
		d.ExceptDevices = append(d.ExceptDevices, Named{v.Id, v.Name})
	}
	d.Roots, d.Presets, d.Extensions, d.ExcludePresets, d.Excludes = p.Roots, p.Presets, p.Extensions, p.ExcludePresets, p.Excludes
	d.MaxFile, d.Upload = inUnits(p.MaxFileSize, 1<<20), inUnits(p.UploadLimit, 1<<10)
	d.Kind = p.Schedule.Kind
	if len(p.Schedule.Times) > 0 {
		d.Times = p.Schedule.Times
	}
	if len(p.Schedule.Days) > 0 {
		d.Days = p.Schedule.Days
	}
	if len(p.Schedule.Dates) > 0 {
		d.Dates = nil
		for _, n := range p.Schedule.Dates {
			d.Dates = append(d.Dates, strconv.Itoa(n))
		}
	}
	if p.Schedule.Cron != "" {
		d.Cron = p.Schedule.Cron
	}
	if p.Window != nil {
		d.Windowed, d.From, d.To = true, p.Window.From, p.Window.To
	}
	d.Deadline, d.Spread, d.Level = strconv.Itoa(p.DeadlineMinutes), strconv.Itoa(p.SpreadMinutes), p.Level
	k := p.Retention
	d.Keep = keepTexts(k.Days, k.Last, k.Daily, k.Weekly, k.Monthly, k.Yearly)
	return d
}

// keepTexts are the numbers of a retention as they stand in the fields: nothing for 0.
func keepTexts(numbers ...int) (texts [6]string) {
	for i, n := range numbers {
		if n > 0 {
			texts[i] = strconv.Itoa(n)
		}
	}
	return texts
}

// inUnits writes a number of bytes in a unit, exactly; "" for 0.
func inUnits(n, unit int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(n)/float64(unit), 'f', -1, 64)
}

// The fields of a draft at which a problem can stand, as the server names them.
var draftFields = []string{"name", "targets", "roots", "presets", "extensions", "excludePresets", "excludes", "maxFileSize", "schedule", "zone", "window", "deadlineMinutes", "spreadMinutes", "uploadLimit", "level", "retention"}

// input is the draft for the API, and what is wrong with it as far as that shows here: the server looks at the rest.
func (d Draft) input() (*api.PolicyInput, map[string]string) {
	bad := map[string]string{}
	if strings.TrimSpace(d.Name) == "" {
		bad["name"] = "Give the policy a name."
	}
	if len(d.Roots) == 0 {
		bad["roots"] = "Name at least one folder."
	}
	for _, r := range d.Roots {
		if err := plan.CheckRoot(r); err != nil {
			bad["roots"] = Capital(err.Error()) + "."
		}
	}
	if d.Enabled && !d.Everyone && len(d.Groups) == 0 && len(d.Devices) == 0 {
		bad["targets"] = "Choose everyone, a group or a device, or leave the policy switched off."
	}
	bytes := func(field, s string, unit float64) int64 {
		if s = strings.TrimSpace(s); s == "" {
			return 0
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v < 0 || v > 1<<40 {
			bad[field] = "Type a number, or nothing for no limit."
			return 0
		}
		return int64(v*unit + .5)
	}
	in := &api.PolicyInput{
		Name: strings.TrimSpace(d.Name), Enabled: d.Enabled,
		Targets: &api.PolicyTargetsInput{Everyone: d.Everyone, Groups: ids(d.Groups), Devices: ids(d.Devices), ExceptGroups: ids(d.ExceptGroups), ExceptDevices: ids(d.ExceptDevices)},
		Roots:   list(d.Roots), Presets: list(d.Presets), Extensions: list(d.Extensions), ExcludePresets: list(d.ExcludePresets), Excludes: list(d.Excludes),
		MaxFileSize: bytes("maxFileSize", d.MaxFile, 1<<20), UploadLimit: bytes("uploadLimit", d.Upload, 1<<10),
		Zone: strings.TrimSpace(d.Zone), Level: d.Level,
		DeadlineMinutes: whole(bad, "deadlineMinutes", d.Deadline), SpreadMinutes: whole(bad, "spreadMinutes", d.Spread),
	}
	if d.Windowed {
		in.Window = &api.WindowInput{From: d.From, To: d.To}
	}
	in.Schedule = d.schedule(bad)
	in.Retention = d.retention(bad)
	return in, bad
}

// schedule is the schedule for the API: only what its kind reads.
func (d Draft) schedule(bad map[string]string) *api.ScheduleInput {
	s := &api.ScheduleInput{Kind: d.Kind, Times: []string{}, Days: []api.Weekday{}, Dates: []int{}}
	if d.Kind == api.ScheduleKindCron {
		s.Cron = strings.TrimSpace(d.Cron)
		return s
	}
	s.Times = list(d.Times)
	if len(s.Times) == 0 {
		bad["schedule"] = "Name at least one time of day."
	}
	switch d.Kind {
	case api.ScheduleKindWeekly:
		if s.Days = append(s.Days, d.Days...); len(s.Days) == 0 {
			bad["schedule"] = "Choose at least one day of the week."
		}
	case api.ScheduleKindMonthly:
		for _, t := range d.Dates {
			n, err := strconv.Atoi(t)
			if err != nil || n < 1 || n > 31 {
				bad["schedule"] = fmt.Sprintf("%q is not a day of the month: 1 to 31.", t)
				continue
			}
			s.Dates = append(s.Dates, n)
		}
		if len(d.Dates) == 0 {
			bad["schedule"] = "Name at least one day of the month."
		}
	}
	return s
}

func (d Draft) retention(bad map[string]string) *api.RetentionInput {
	var n [6]int
	for i, s := range d.Keep {
		n[i] = whole(bad, "retention", s)
	}
	r := &api.RetentionInput{Days: n[0], Last: n[1], Daily: n[2], Weekly: n[3], Monthly: n[4], Yearly: n[5]}
	if err := planned(r).Validate(); err != nil {
		bad["retention"] = Capital(err.Error()) + "."
	}
	return r
}

func planned(r *api.RetentionInput) plan.Retention {
	return plan.Retention{Days: r.Days, Last: r.Last, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly}
}

// KeepText says the retention to people.
func (d Draft) KeepText() string {
	bad := map[string]string{}
	r := d.retention(bad)
	if len(bad) > 0 {
		return ""
	}
	return planned(r).String()
}

// whole reads a number that is not below 0; "" is 0.
func whole(bad map[string]string, field, s string) int {
	if s = strings.TrimSpace(s); s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		bad[field] = "Type a whole number."
		return 0
	}
	return n
}

func ids(list []Named) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, n.ID)
	}
	return out
}

// list is a list that is written as one, even if it is empty.
func list(s []string) []string { return append([]string{}, s...) }
