package policy

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-backup/holdfast/depot/named"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/plan/pattern"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// Bounds of what is written.
const (
	MaxName    = 100
	MaxRoots   = 100
	MaxWords   = 500  // extensions, or excludes; of presets there are fewer
	MaxTargets = 1000 // of each kind

	maxExclude      = 1000 // bytes
	leastDeadline   = 10   // minutes
	mostDeadline    = 30 * 24 * 60
	mostSpread      = 720
	leastUpload     = 16 << 10 // bytes a second: with less, packs time out
	minDeadline     = time.Hour
	maxAutoDeadline = 24 * time.Hour
	lookahead       = 60 // slots that are looked at for a deadline before the window
)

// Input is what an administrator says of a policy. See [Policy] for the fields.
type Input struct {
	Name            string
	Enabled         bool
	Targets         Targets
	Roots           []string
	Presets         []string
	Extensions      []string
	ExcludePresets  []string
	Excludes        []string
	MaxFileSize     int64
	Schedule        plan.Schedule // its zone is not looked at
	Zone            string
	Window          *plan.Window
	DeadlineMinutes int
	SpreadMinutes   int
	UploadLimit     int64
	Level           Level
	Retention       plan.Retention
}

// policy checks the input, as far as that needs no database, and returns it in its one spelling.
func (in Input) policy(now time.Time) (*Policy, error) {
	p := &Policy{
		Enabled: in.Enabled, MaxFileSize: in.MaxFileSize, Schedule: in.Schedule, Zone: in.Zone, Window: in.Window, DeadlineMinutes: in.DeadlineMinutes,
		SpreadMinutes: in.SpreadMinutes, UploadLimit: in.UploadLimit, Level: in.Level, Retention: in.Retention, asOf: now,
	}
	var err error
	if p.Name, err = named.Clean("name", in.Name, MaxName); err != nil {
		return nil, err
	}
	if p.Targets, err = in.Targets.clean(in.Enabled); err != nil {
		return nil, err
	}
	if err := p.setWhat(in); err != nil {
		return nil, err
	}
	if err := p.setWhen(); err != nil {
		return nil, err
	}
	if err := p.Level.Check(); err != nil {
		return nil, err
	}
	if p.UploadLimit != 0 && p.UploadLimit < leastUpload {
		return nil, fault.New(fault.Invalid, "uploadLimit: want 0 for no limit, or at least %d bytes a second", leastUpload)
	}
	if err := p.Retention.Validate(); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "retention.%s", err)
	}
	return p, nil
}

// setWhat checks what is saved.
func (p *Policy) setWhat(in Input) error {
	if n := len(in.Roots); n < 1 || n > MaxRoots {
		return fault.New(fault.Invalid, "roots: name 1 to %d folders, such as ~documents; there are %d", MaxRoots, n)
	}
	for _, root := range in.Roots {
		if err := plan.CheckRoot(root); err != nil {
			return fault.Wrap(err, fault.Invalid, "roots: %s", err)
		}
	}
	for what, words := range map[string][]string{"presets": in.Presets, "extensions": in.Extensions, "excludePresets": in.ExcludePresets, "excludes": in.Excludes} {
		if len(words) > MaxWords {
			return fault.New(fault.Invalid, "%s: at most %d; there are %d", what, MaxWords, len(words))
		}
	}
	if _, err := plan.Extensions(in.Presets, in.Extensions); err != nil {
		return fault.Wrap(err, fault.Invalid, "extensions: %s", err)
	}
	if _, err := plan.Excludes(in.ExcludePresets, in.Excludes); err != nil {
		return fault.Wrap(err, fault.Invalid, "excludes: %s", err)
	}
	for _, text := range in.Excludes {
		if len(text) > maxExclude || !utf8.ValidString(text) {
			return fault.New(fault.Invalid, "excludes: the pattern %.40q is not text of at most %d bytes", text, maxExclude)
		}
		if _, err := pattern.Parse(text, true); err != nil {
			return fault.Wrap(err, fault.Invalid, "excludes: %s", err)
		}
	}
	if in.MaxFileSize < 0 {
		return fault.New(fault.Invalid, "maxFileSize: want 0 for no limit, or a number of bytes")
	}
	p.Roots, p.Presets, p.ExcludePresets = once(in.Roots), once(in.Presets), once(in.ExcludePresets)
	p.Extensions = []string{}
	for _, text := range in.Extensions {
		extension, _ := plan.NormalizeExtension(text) // was checked
		p.Extensions = append(p.Extensions, extension)
	}
	slices.Sort(p.Extensions)
	p.Extensions = slices.Compact(p.Extensions)
	p.Excludes = []string{} // their order counts
	for _, text := range in.Excludes {
		if strings.TrimSpace(text) != "" {
			p.Excludes = append(p.Excludes, text)
		}
	}
	return nil
}

// setWhen checks when it is due, and that no slot is missed before a device may begin.
func (p *Policy) setWhen() error {
	zone, err := CheckSchedule(&p.Schedule, &p.Zone)
	if err != nil {
		return err
	}
	if p.Window != nil {
		if err := p.Window.Validate(); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s", err)
		}
		if p.Window.From == p.Window.To {
			p.Window = nil
		}
	}
	if p.SpreadMinutes < 0 || p.SpreadMinutes > mostSpread {
		return fault.New(fault.Invalid, "spreadMinutes: want 0 to %d", mostSpread)
	}
	if p.DeadlineMinutes == 0 {
		return nil
	}
	if p.DeadlineMinutes < leastDeadline || p.DeadlineMinutes > mostDeadline {
		return fault.New(fault.Invalid, "deadlineMinutes: want 0 for the next slot, or %d to %d", leastDeadline, mostDeadline)
	}
	if p.SpreadMinutes >= p.DeadlineMinutes {
		return fault.New(fault.Invalid, "spreadMinutes: the last devices would begin %d minutes after a slot, when the deadline of %d minutes is over", p.SpreadMinutes, p.DeadlineMinutes)
	}
	for _, slot := range upcoming(p.Schedule, p.asOf, lookahead) {
		if last := p.lastDue(slot); !last.Before(p.DeadlineAt(slot)) {
			const form = "2006-01-02 15:04"
			return fault.New(fault.Invalid, "window: the slot of %s could begin at %s only, when its deadline of %d minutes is over: give a later deadline, or 0",
				slot.In(zone).Format(form), last.In(zone).Format(form), p.DeadlineMinutes)
		}
	}
	return nil
}

// clean returns the targets without repetitions.
func (t Targets) clean(enabled bool) (*Targets, error) {
	if len(t.Groups) > MaxTargets || len(t.Devices) > MaxTargets || len(t.ExceptGroups) > MaxTargets || len(t.ExceptDevices) > MaxTargets {
		return nil, fault.New(fault.Invalid, "targets: at most %d of each kind: make a group", MaxTargets)
	}
	t.Groups, t.ExceptGroups = onceID(t.Groups), onceID(t.ExceptGroups)
	t.Devices, t.ExceptDevices = onceID(t.Devices), onceID(t.ExceptDevices)
	for _, g := range t.Groups {
		if slices.Contains(t.ExceptGroups, g) {
			return nil, fault.New(fault.Invalid, "targets: the group %s is both meant and excepted", g)
		}
	}
	for _, d := range t.Devices {
		if slices.Contains(t.ExceptDevices, d) {
			return nil, fault.New(fault.Invalid, "targets: the device %s is both meant and excepted", d)
		}
	}
	if enabled && t.nobody() {
		return nil, fault.New(fault.Invalid, "targets: name everyone, a group or a device, or leave the policy switched off")
	}
	return &t, nil
}

// nobody reports whether no device can be meant.
func (t *Targets) nobody() bool { return !t.Everyone && len(t.Groups) == 0 && len(t.Devices) == 0 }

// once returns the words in their order, without repetitions; never nil.
func once(words []string) []string {
	list := []string{}
	for _, w := range words {
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// onceID returns the ids sorted, without repetitions; never nil.
func onceID[N id.Noun](ids []id.Of[N]) []id.Of[N] {
	list := append([]id.Of[N]{}, ids...)
	slices.SortFunc(list, func(a, b id.Of[N]) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(list)
}
