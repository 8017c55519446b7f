package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// What cannot be followed is refused, with a sentence that names the field and says what is wanted.
func TestBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.policy(daily("p"))
	many := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = "." + strings.Repeat("a", 1+i%20)
		}
		return list
	}
	manyDevices := make([]id.Device, policy.MaxTargets+1)
	for name, c := range map[string]struct {
		spoil func(*policy.Input)
		words string
	}{
		"no name":            {func(in *policy.Input) { in.Name = " \t" }, "name: must not be empty"},
		"long name":          {func(in *policy.Input) { in.Name = strings.Repeat("ü", 101) }, "name: at most 100 characters"},
		"huge name":          {func(in *policy.Input) { in.Name = strings.Repeat("x", 500) }, "name: at most 100"},
		"broken name":        {func(in *policy.Input) { in.Name = "a\xff" }, "name: "},
		"name with controls": {func(in *policy.Input) { in.Name = "a\x07b" }, "name: holds characters"},
		"no roots":           {func(in *policy.Input) { in.Roots = nil }, "roots: name 1 to 100"},
		"many roots":         {func(in *policy.Input) { in.Roots = slices.Repeat([]string{"~"}, 101) }, "roots: name 1 to 100"},
		"relative root":      {func(in *policy.Input) { in.Roots = []string{"docs"} }, `roots: the folder "docs" is relative`},
		"unknown preset":     {func(in *policy.Input) { in.Presets = []string{"poems"} }, `"poems" is not known`},
		"bad extension":      {func(in *policy.Input) { in.Extensions = []string{"a/b"} }, "extensions: "},
		"many extensions":    {func(in *policy.Input) { in.Extensions = many(501) }, "extensions: at most 500"},
		"unknown excludes":   {func(in *policy.Input) { in.ExcludePresets = []string{"poems"} }, `excludes: the kind of excludes "poems"`},
		"two lines":          {func(in *policy.Input) { in.Excludes = []string{"a\nb"} }, "excludes: "},
		"bad pattern":        {func(in *policy.Input) { in.Excludes = []string{"[a"} }, `excludes: the pattern "[a" has a "["`},
		"many excludes":      {func(in *policy.Input) { in.Excludes = many(501) }, "excludes: at most 500"},
		"negative size":      {func(in *policy.Input) { in.MaxFileSize = -1 }, "maxFileSize: "},
		"no times":           {func(in *policy.Input) { in.Schedule.Times = nil }, "schedule.times: "},
		"bad cron":           {func(in *policy.Input) { in.Schedule = plan.Schedule{Kind: plan.Cron, Cron: "x"} }, "schedule.cron: "},
		"unknown zone":       {func(in *policy.Input) { in.Zone = "Mars/Base" }, `zone: "Mars/Base" is not known`},
		"bad window":         {func(in *policy.Input) { in.Window = &plan.Window{From: -1} }, "window: "},
		"negative spread":    {func(in *policy.Input) { in.SpreadMinutes = -1 }, "spreadMinutes: want 0 to 720"},
		"wide spread":        {func(in *policy.Input) { in.SpreadMinutes = 721 }, "spreadMinutes: want 0 to 720"},
		"short deadline":     {func(in *policy.Input) { in.DeadlineMinutes, in.SpreadMinutes = 9, 0 }, "deadlineMinutes: want 0 for the next slot, or 10 to 43200"},
		"negative deadline":  {func(in *policy.Input) { in.DeadlineMinutes = -1 }, "deadlineMinutes: "},
		"long deadline":      {func(in *policy.Input) { in.DeadlineMinutes = 43201 }, "deadlineMinutes: "},
		"spread to deadline": {func(in *policy.Input) { in.DeadlineMinutes, in.SpreadMinutes = 60, 60 }, "spreadMinutes: the last devices would begin 60 minutes"},
		"window after deadline": {func(in *policy.Input) {
			in.DeadlineMinutes, in.Window = 120, &plan.Window{From: 8 * 60, To: 18 * 60}
		}, "02:00 could begin at "},
		"window shorter than the spread": {func(in *policy.Input) {
			in.DeadlineMinutes, in.SpreadMinutes, in.Window = 600, 120, &plan.Window{From: 2 * 60, To: 3 * 60}
		}, "window: the slot of"},
		"slow upload":     {func(in *policy.Input) { in.UploadLimit = 16<<10 - 1 }, "uploadLimit: want 0 for no limit, or at least 16384"},
		"negative upload": {func(in *policy.Input) { in.UploadLimit = -1 }, "uploadLimit: "},
		"unknown level":   {func(in *policy.Input) { in.Level = "extreme" }, "level: want none, fast, default or better"},
		"retention":       {func(in *policy.Input) { in.Retention.Weekly = -1 }, "retention.weekly: -1"},
		"nobody":          {func(in *policy.Input) { in.Targets = policy.Targets{ExceptDevices: []id.Device{w.box}} }, "targets: name everyone"},
		"many targets":    {func(in *policy.Input) { in.Targets.Devices = manyDevices }, "targets: at most 1000"},
		"device twice": {func(in *policy.Input) {
			in.Targets.Devices, in.Targets.ExceptDevices = []id.Device{w.box}, []id.Device{w.box}
		}, "both meant and excepted"},
		"group twice": {func(in *policy.Input) {
			g := []id.Group{id.Group{}.New()}
			in.Targets.Groups, in.Targets.ExceptGroups = g, g
		}, "both meant and excepted"},
		"unknown group":           {func(in *policy.Input) { in.Targets.Groups = []id.Group{{1}} }, "there is no group " + (id.Group{1}).String()},
		"unknown excepted group":  {func(in *policy.Input) { in.Targets.ExceptGroups = []id.Group{{2}} }, "there is no group " + (id.Group{2}).String()},
		"unknown device":          {func(in *policy.Input) { in.Targets.Devices = []id.Device{w.box, {3}} }, "there is no device " + (id.Device{3}).String()},
		"unknown excepted device": {func(in *policy.Input) { in.Targets.ExceptDevices = []id.Device{{4}} }, "there is no device " + (id.Device{4}).String()},
	} {
		in := daily("new")
		c.spoil(&in)
		if _, err := w.Create(t.Context(), w.boss, in); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want BAD_INPUT with %q", name, err, c.words)
		}
		if _, err := w.Update(t.Context(), w.boss, p.ID, 1, in); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s, as a change: %v, want BAD_INPUT with %q", name, err, c.words)
		}
	}
	list, err := w.List(t.Context(), w.boss)
	w.ok(err)
	if len(list) != 1 || list[0].Revision != 1 {
		t.Errorf("something refused was written: %+v", list)
	}
}

func TestGoodInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		adjust func(*policy.Input)
		check  func(*policy.Policy) bool
	}{
		"no zone is UTC":               {func(in *policy.Input) { in.Zone = "" }, func(p *policy.Policy) bool { return p.Zone == "UTC" && p.Schedule.Zone == "UTC" }},
		"the schedule's zone is moot":  {func(in *policy.Input) { in.Schedule.Zone = "nowhere" }, func(p *policy.Policy) bool { return p.Schedule.Zone == "Europe/Athens" }},
		"a window of all day is none":  {func(in *policy.Input) { in.Window = &plan.Window{From: 5, To: 5} }, func(p *policy.Policy) bool { return p.Window == nil }},
		"the window's opening in time": {func(in *policy.Input) { in.Window, in.DeadlineMinutes = &plan.Window{From: 180, To: 240}, 90 }, func(p *policy.Policy) bool { return p.Window.From == 180 }},
		"a late window without a deadline": {func(in *policy.Input) { in.Window = &plan.Window{From: 23 * 60, To: 23*60 + 30} }, func(p *policy.Policy) bool {
			slot := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC) // 02:00 in Athens
			return p.DeadlineAt(slot).Equal(slot.Add(24 * time.Hour))
		}},
		"everything is a kind": {func(in *policy.Input) { in.Presets = []string{"everything"} }, func(p *policy.Policy) bool { return p.Presets[0] == "everything" }},
		"comments":             {func(in *policy.Input) { in.Excludes = []string{"# mine", "!x", "a/**/b"} }, func(p *policy.Policy) bool { return len(p.Excludes) == 3 }},
	} {
		in := daily(name)
		c.adjust(&in)
		p, err := w.Create(t.Context(), w.boss, in)
		if err != nil || !c.check(p) {
			t.Errorf("%s: %v, %+v", name, err, p)
		}
	}
}

// The list is the agent's: what is refused there is refused here.
func TestPatterns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := daily("p")
	in.Excludes = []string{
		"*.tmp", "build/", "docs/old", "/home/*/cache", "a/**/b", "a/**", "**", "!keep.tmp", "# comment", "[a-z]", "[!a-z]", "[^a]", "[]]", "[]-a]", "[a-]", `\[`, "x?",
		`[\]]`, "/?:/Windows/",
	}
	p := w.policy(in)
	for _, bad := range []string{"[a", "[", "[z-a]", `x\`, "/", "!", "!/", "a//b", "../x", "a/./b", "[a-", `[a\`, `a\/`, strings.Repeat("x", 1001), "\xff"} {
		in.Excludes = []string{bad}
		_, err := w.Update(t.Context(), w.boss, p.ID, 1, in)
		w.want(err, fault.Invalid, "excludes: the pattern")
	}
}
