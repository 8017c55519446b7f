package state

import (
	"errors"
	"fmt"
	"testing"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// aPolicy is one as the server writes it.
func aPolicy(name string, revision int) obj {
	return obj{
		"id": "pol_1", "name": name, "enabled": true, "revision": revision, "zone": "Europe/Athens", "deviceCount": 3,
		"targets":   obj{"everyone": false, "groups": []any{obj{"id": "grp_1", "name": "Research"}}, "devices": []any{}, "exceptGroups": []any{}, "exceptDevices": []any{obj{"id": "dev_1", "name": "old"}}},
		"schedule":  obj{"kind": "MONTHLY", "times": []any{"02:00"}, "days": []any{}, "dates": []any{1, 31}, "cron": "", "text": "monthly"},
		"retention": obj{"days": 30, "last": 0, "daily": 0, "weekly": 0, "monthly": 12, "yearly": 0, "text": "t"},
		"roots":     []any{"~documents"}, "presets": []any{}, "extensions": []any{".dwg"}, "excludePresets": []any{}, "excludes": []any{},
		"maxFileSize": 1610612736, "uploadLimit": 512 << 10, "window": obj{"from": "20:00", "to": "06:00"}, "deadlineMinutes": 60, "spreadMinutes": 5, "level": "BETTER",
	}
}

func editorDesk(t *testing.T) *desk {
	d := newDesk(t)
	d.on("PolicyChoices", obj{"groups": []any{}})
	d.on("PreviewSchedule", obj{"schedulePreview": obj{"text": "so", "next": []any{"2026-12-01T00:00:00Z"}}})
	d.on("AdminPolicy", obj{"policy": aPolicy("Plans", 7)})
	return d
}

func openEditor(t *testing.T, d *desk, id, like string) *PolicyEditor {
	e := NewPolicyEditor(d.client(), id, like, "UTC")
	until(t, e, func() bool { v := e.View(); return v.Status == Ready && v.Schedule.Status == Ready })
	return e
}

func TestDraftKeepsEverythingOfAPolicy(t *testing.T) {
	t.Parallel()
	d := editorDesk(t)
	e := openEditor(t, d, "pol_1", "")
	if e.View().Changed || e.View().Draft.MaxFile != "1536" || e.View().Draft.Upload != "512" {
		t.Errorf("%+v", e.View().Draft)
	}
	d.on("UpdatePolicy", obj{"updatePolicy": obj{"policy": aPolicy("Plans 2", 8)}})
	e.Edit(func(d *Draft) { d.Name = " Plans 2 " })
	e.Save()
	until(t, e, func() bool { return e.View().Saved != "" && e.View().Busy == "" })
	in := d.last("UpdatePolicy")["input"].(map[string]any)
	p := in["policy"].(map[string]any)
	want := aPolicy("Plans 2", 0)
	if in["revision"] != 7.0 || p["name"] != "Plans 2" {
		t.Errorf("sent %v", in)
	}
	for _, k := range []string{"enabled", "zone", "roots", "presets", "extensions", "excludePresets", "excludes", "maxFileSize", "uploadLimit", "window", "deadlineMinutes", "spreadMinutes", "level"} {
		if got, want := fmt.Sprint(p[k]), fmt.Sprint(want[k]); got != want && k != "maxFileSize" || k == "maxFileSize" && p[k] != 1610612736.0 {
			if fmt.Sprintf("%.0f", p[k]) != want {
				t.Errorf("%s: sent %s, had %s", k, got, want)
			}
		}
	}
	s := p["schedule"].(map[string]any)
	if s["kind"] != "MONTHLY" || fmt.Sprint(s["dates"], s["times"], s["days"]) != "[1 31] [02:00] []" {
		t.Errorf("schedule: sent %v", s)
	}
	to := p["targets"].(map[string]any)
	if fmt.Sprint(to["groups"], to["devices"], to["exceptGroups"], to["exceptDevices"]) != "[grp_1] [] [] [dev_1]" {
		t.Errorf("targets: sent %v", to)
	}
	if r := p["retention"].(map[string]any); r["days"] != 30.0 || r["monthly"] != 12.0 || r["last"] != 0.0 {
		t.Errorf("retention: sent %v", r)
	}
	e.Edit(func(d *Draft) { d.Name = "Plans 3" })
	e.Save()
	until(t, e, func() bool { return d.count("UpdatePolicy") == 2 && e.View().Busy == "" })
	if got := d.last("UpdatePolicy")["input"].(map[string]any)["revision"]; got != 8.0 {
		t.Errorf("revision %v after one that the server made 8", got)
	}
}

func TestDraftProblemsStandAtTheirFields(t *testing.T) {
	t.Parallel()
	e := openEditor(t, editorDesk(t), "", "")
	for field, spoil := range map[string]func(*Draft){
		"name": func(d *Draft) { d.Name = " " }, "roots": func(d *Draft) { d.Roots = []string{"documents"} }, "targets": func(d *Draft) { d.Everyone = false },
		"maxFileSize": func(d *Draft) { d.MaxFile = "much" }, "uploadLimit": func(d *Draft) { d.Upload = "-1" }, "deadlineMinutes": func(d *Draft) { d.Deadline = "soon" },
		"spreadMinutes": func(d *Draft) { d.Spread = "1.5" }, "retention": func(d *Draft) { d.Keep[0] = "99999999" }, "schedule": func(d *Draft) { d.Times = nil },
	} {
		d := NewDraft("UTC")
		d.Name, d.Everyone = "x", true
		if _, bad := d.input(); len(bad) != 0 {
			t.Fatalf("a good one: %v", bad)
		}
		spoil(&d)
		if _, bad := d.input(); len(bad) != 1 || bad[field] == "" {
			t.Errorf("%s: %v", field, bad)
		}
	}
	for _, kind := range []api.ScheduleKind{api.ScheduleKindWeekly, api.ScheduleKindMonthly} {
		d := NewDraft("UTC")
		d.Kind, d.Days, d.Dates = kind, nil, nil
		bad := map[string]string{}
		if d.schedule(bad); bad["schedule"] == "" {
			t.Errorf("%s without a day passes", kind)
		}
	}
	e.Save() // nothing is sent
	if v := e.View(); v.Problems["name"] == "" || v.Problems["targets"] == "" || v.Work.Err == nil {
		t.Errorf("%+v", v.Problems)
	}
	e.Edit(func(d *Draft) { d.Name = "x" })
	if v := e.View(); v.Problems["name"] != "" || v.Problems["targets"] == "" {
		t.Errorf("after mending one: %+v", v.Problems)
	}
	e.Edit(func(d *Draft) { d.Everyone = true })
	if v := e.View(); len(v.Problems) != 0 || v.Work.Err != nil {
		t.Errorf("after mending all: %+v, %v", v.Problems, v.Work.Err)
	}
}

func TestEditorTellsRefusalsApart(t *testing.T) {
	t.Parallel()
	d := editorDesk(t)
	e := openEditor(t, d, "pol_1", "")
	d.fails("UpdatePolicy", fault.Invalid, "window: the slot could begin too late")
	e.Edit(func(d *Draft) { d.From = "21:00" })
	e.Save()
	until(t, e, func() bool { return e.View().Work.Err != nil })
	if v := e.View(); v.Problems["window"] != "The slot could begin too late" || v.Conflict || !v.Changed {
		t.Errorf("%+v", v)
	}
	d.fails("UpdatePolicy", fault.Conflict, "somebody else changed it")
	e.Save()
	until(t, e, func() bool { return e.View().Conflict && e.View().Busy == "" })
	d.on("AdminPolicy", obj{"policy": aPolicy("Theirs", 9)})
	e.Reload()
	until(t, e, func() bool { return e.View().Status == Ready })
	if v := e.View(); v.Draft.Name != "Theirs" || v.Conflict || v.Changed {
		t.Errorf("after loading it again: %+v", v)
	}
	d.on("AdminPolicy", obj{"policy": nil})
	e.Reload()
	until(t, e, func() bool { return e.View().Status == Failed })
	if !errors.Is(e.View().Trouble, fault.NotFound) {
		t.Error(e.View().Trouble)
	}
}

func TestDuplicateIsNewAndOff(t *testing.T) {
	t.Parallel()
	d := editorDesk(t)
	d.on("CreatePolicy", obj{"createPolicy": obj{"policy": aPolicy("Plans (copy)", 1)}})
	e := openEditor(t, d, "", "pol_1")
	if v := e.View(); !v.New || v.Draft.Enabled || v.Draft.Name != "Plans (copy)" {
		t.Errorf("%+v", v.Draft)
	}
	e.Save()
	until(t, e, func() bool { return e.View().Saved == "pol_1" })
	if d.count("UpdatePolicy") != 0 || e.View().New {
		t.Error("it was not made as a new one")
	}
}

func TestPreviewsFollowTheDraft(t *testing.T) {
	t.Parallel()
	d := editorDesk(t)
	d.on("PreviewRetention", obj{"retentionPreview": obj{"keep": 2, "delete": 1}})
	d.on("AdminDevices", page("fleetDevices", "", obj{"id": "dev_9", "name": "box", "owner": obj{"name": "Ada"}}))
	e := openEditor(t, d, "", "")
	before := d.count("PreviewSchedule")
	e.Edit(func(d *Draft) { d.Kind, d.Cron = api.ScheduleKindCron, "0 3 * * *" })
	until(t, e, func() bool { return d.count("PreviewSchedule") > before && e.View().Schedule.Status == Ready })
	if s := d.last("PreviewSchedule")["schedule"].(map[string]any); s["cron"] != "0 3 * * *" || fmt.Sprint(s["times"]) != "[]" {
		t.Errorf("asked for %v", s)
	}
	e.Find("b")
	until(t, e, func() bool { return len(e.View().Found.Value) == 1 })
	e.TryRetention(e.View().Found.Value[0])
	until(t, e, func() bool { return e.View().Keep.Status == Ready })
	if v := e.View(); v.Keep.Value.Keep != 2 || v.Device.Name != "box (Ada)" {
		t.Errorf("%+v %+v", v.Keep.Value, v.Device)
	}
	e.Edit(func(d *Draft) { d.Keep[1] = "5" })
	if e.View().Keep.Status != Idle {
		t.Error("the verdict on older numbers is still shown")
	}
	e.Edit(func(d *Draft) { d.Keep[1] = "x" })
	e.TryRetention(Named{"dev_9", "box"})
	if e.View().Problems["retention"] == "" || d.count("PreviewRetention") != 1 {
		t.Error("numbers that are none were sent")
	}
}
