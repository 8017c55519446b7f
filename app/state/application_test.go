package state

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

func applicationJSON(id, name string, more ...string) string {
	return `{"id":"` + id + `","name":"` + name + `","device":{"id":"dev_1","name":"web-host","publicKey":"cHVi","mac":"bWFj","lastSeenAt":null,"revokedAt":null,"os":"linux","owner":{"id":"usr_1","name":"Ada"}},` +
		`"engine":"POSTGRES","mediaFolders":1,"createdAt":"2026-11-01T00:00:00Z","removedAt":null,"keepSafety":5,"notify":"FAILURES",` +
		`"stats":{"backups":4,"failed":1,"restores":2,"snapshots":3,"bytes":100,"lastSuccessAt":null,"lastRun":null,"trend":[]},"nextDueAt":null,"schedules":[]` + strings.Join(more, "") + `}`
}

func labelled(snapshot, part, origin, title string) string {
	return strings.TrimSuffix(snapshot, "}") + `,"label":{"part":"` + part + `","origin":"` + origin + `","title":"` + title + `"}}`
}

func ofApplication(run, kind string) string {
	return strings.Replace(strings.TrimSuffix(run, "}"), `"kind":"BACKUP"`, `"kind":"`+kind+`"`, 1) + `,"application":{"id":"app_1","name":"Shop"},"part":"FULL"}`
}

// newShop returns a world with an application that has two backups and a restore.
func newShop(t *testing.T) (*works, *Application) {
	w := newWorks(t)
	w.server["Application"] = say(`{"application":` + applicationJSON("app_1", "Shop") + `}`)
	w.server["ApplicationSnapshots"] = say(`{"application":{"snapshots":{"edges":[{"node":` + labelled(snapshotJSON("snp_2", 2), "FULL", "BACKUP", "before the upgrade") + `},{"node":` + labelled(snapshotJSON("snp_1", 1), "DATABASE", "IMPORT", "") +
		`}],"pageInfo":{"hasNextPage":true,"endCursor":"cur"},"totalCount":9}}}`)
	w.server["ApplicationRuns"] = func(in map[string]any) (string, error) {
		return `{"application":{"runs":{"edges":[{"node":` + ofApplication(runJSON("run_"+strings.ToLower(in["kind"].(string)), "dev_1", "SUCCEEDED", 1), in["kind"].(string)) + `}],"pageInfo":{"hasNextPage":false,"endCursor":null},"totalCount":1}}}`, nil
	}
	w.server["BackUpApplication"] = say(`{"backUpApplication":{"run":` + ofApplication(runJSON("run_7", "dev_1", "WAITING", 5), "BACKUP") + `}}`)
	w.server["RestoreApplication"] = say(`{"restoreApplication":{"run":` + ofApplication(runJSON("run_8", "dev_1", "WAITING", 5), "RESTORE") + `}}`)
	w.server["PinSnapshot"] = say(`{"pinSnapshot":{"snapshot":{"id":"snp_2"}}}`)
	w.server["DeleteSnapshot"] = say(`{"deleteSnapshot":{"snapshot":{"id":"snp_2"}}}`)
	w.server["RestoreDeletedSnapshot"] = say(`{"restoreDeletedSnapshot":{"snapshot":{"id":"snp_2"}}}`)
	w.server["UpdateApplication"] = say(`{"updateApplication":{"application":{"id":"app_1"}}}`)
	w.server["CancelRun"] = say(`{"cancelRun":{"run":` + ofApplication(runJSON("run_7", "dev_1", "WAITING", 5), "BACKUP") + `}}`)
	w.worker[talk.MethodOpenManifests] = say(`[{"id":"snp_2","deviceName":"web-host"}]`)
	w.worker[talk.MethodOrderApplication] = say(`{"order":"ord_1","sealed":"c2VhbGVk"}`)
	m := NewApplication(w.sources(), "app_1")
	m.Open()
	t.Cleanup(m.Close)
	await(t, m, func() bool {
		v := m.View()
		return v.App.Status == Ready && v.Snapshots.Status == Ready && v.Restores.Status == Ready && v.Backups.Status == Ready
	})
	return w, m
}

// idle waits until what was asked for is done, and returns what is said of it.
func idle(t *testing.T, m *Application) Work {
	t.Helper()
	await(t, m, func() bool { return m.View().Busy == "" })
	return m.View().Work
}

func TestApplication(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	v := m.View()
	if v.App.Value.Name != "Shop" || len(v.Snapshots.Value) != 2 || v.Snapshots.Total != 9 || !v.Snapshots.More || v.Restores.Value[0].Id != "run_restore" || v.Backups.Value[0].Id != "run_backup" {
		t.Errorf("%+v", v)
	}
	m.Choose(api.SnapshotOriginImport, api.ApplicationPartDatabase)
	await(t, m, func() bool { return m.View().Snapshots.Status == Ready })
	if sent := w.last("ApplicationSnapshots"); !strings.Contains(sent, `"origin":"IMPORT"`) || !strings.Contains(sent, `"part":"DATABASE"`) || strings.Contains(sent, `"after":"`) {
		t.Errorf("filtered by %s", sent)
	}
	m.MoreSnapshots()
	await(t, m, func() bool { return len(m.View().Snapshots.Value) == 4 })
	if sent := w.last("ApplicationSnapshots"); !strings.Contains(sent, `"after":"cur"`) || !strings.Contains(sent, `"origin":"IMPORT"`) {
		t.Errorf("more by %s", sent)
	}
}

func TestApplicationOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	for _, name := range []string{"Application", "ApplicationSnapshots", "ApplicationRuns"} {
		w.server[name] = say(`{"application":null}`)
	}
	m := NewApplication(w.sources(), "app_9")
	m.Open()
	defer m.Close()
	await(t, m, func() bool { v := m.View(); return v.App.Status == Ready && v.Snapshots.Status == Ready })
	if v := m.View(); v.App.Value != nil || len(v.Snapshots.Value) != 0 {
		t.Errorf("%+v", v)
	}
}

// TestApplicationRuns follows what is under way, of this application only.
func TestApplicationRuns(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	change := func(run string) { w.tell(`{"runChanges":`+run+`}`, nil) }
	change(ofApplication(runJSON("run_7", "dev_1", "WAITING", 5), "BACKUP"))
	change(strings.ReplaceAll(ofApplication(runJSON("run_x", "dev_1", "RUNNING", 5), "BACKUP"), "app_1", "app_2"))
	change(runJSON("run_y", "dev_1", "RUNNING", 5))
	if v := m.View(); len(v.Open) != 1 || v.Open[0].Id != "run_7" {
		t.Errorf("%+v", v.Open)
	}
	change(ofApplication(runJSON("run_7", "dev_1", "RUNNING", 5), "BACKUP"))
	if v := m.View(); len(v.Open) != 1 || v.Open[0].State != api.RunStateRunning {
		t.Errorf("%+v", v.Open)
	}
	m.Stop("run_7")
	if got := idle(t, m); got.Err != nil || !strings.Contains(w.last("CancelRun"), `"run_7"`) {
		t.Errorf("%+v", got)
	}
	w.set(w.server, "Application", say(`{"application":`+applicationJSON("app_1", "Renamed")+`}`))
	change(ofApplication(runJSON("run_7", "dev_1", "CANCELLED", 5), "BACKUP"))
	await(t, m, func() bool { return m.View().App.Value.Name == "Renamed" }) // all is loaded again
	if v := m.View(); len(v.Open) != 0 {
		t.Errorf("%+v", v.Open)
	}
	m.BackUp(api.BackUpApplicationInput{Part: api.ApplicationPartMedia, Title: "  before the fair ", Level: api.CompressionLevelDefault})
	if got := idle(t, m); got.Err != nil || !strings.Contains(got.Done, "The device was told") {
		t.Errorf("%+v", got)
	}
	change(ofApplication(runJSON("run_7", "dev_1", "WAITING", 5), "BACKUP"))
	if done := m.View().Done; done == "" {
		t.Error("what was said is gone before the device was heard of")
	}
	change(ofApplication(runJSON("run_7", "dev_1", "RUNNING", 5), "BACKUP"))
	if done := m.View().Done; done != "" {
		t.Errorf("the device is at work, and it still says %q", done)
	}
	if sent := w.last("BackUpApplication"); !strings.Contains(sent, `"application":"app_1"`) || !strings.Contains(sent, `"title":"before the fair"`) {
		t.Errorf("asked for %s", sent)
	}
}

func TestApplicationIsPutBack(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	s := &m.View().Snapshots.Value[0].SnapshotFields
	m.Restore(s, RestoreInput{Part: api.ApplicationPartFull, Database: " shop_copy ", Folder: "/srv/copy", Keep: true})
	if got := idle(t, m); got.Err != nil || m.View().Ordered != "run_8" {
		t.Errorf("%+v, ordered %q", got, m.View().Ordered)
	}
	order := w.last(talk.MethodOrderApplication)
	for _, has := range []string{`"snapshot":"snp_2"`, `"application":"app_1"`, `"part":"full"`, `"database":"shop_copy"`, `"folder":"/srv/copy"`, `"conflict":"skip"`, `"publicKey":"cHVi"`, `"mac":"bWFj"`} {
		if !strings.Contains(order, has) {
			t.Errorf("the order %s lacks %s", order, has)
		}
	}
	// Where it goes is for the device alone.
	if sent := w.last("RestoreApplication"); strings.Contains(sent, "copy") || !strings.Contains(sent, "c2VhbGVk") {
		t.Errorf("the server was told %s", sent)
	}
	m.DismissOrder()
	w.set(w.worker, talk.MethodOrderApplication, refuse(fault.Forbidden, "the device's key is not the one that you enrolled"))
	m.Restore(s, RestoreInput{Part: api.ApplicationPartFull})
	fails(t, idle(t, m).Err, fault.Forbidden, "not the one")
	if o := m.View().Ordered; o != "" {
		t.Errorf("ordered %q", o)
	}
	w.set(w.worker, talk.MethodOpenManifests, say(`[{"id":"snp_2","error":"this backup is damaged"}]`))
	m.Restore(s, RestoreInput{Part: api.ApplicationPartFull})
	fails(t, idle(t, m).Err, fault.Internal, "damaged")
}

func TestApplicationBackupsAreKept(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	s := m.View().Snapshots.Value[0]
	m.Pin(s, true)
	if got := idle(t, m); got.Err != nil || !strings.Contains(w.last("PinSnapshot"), `"pinned":true`) {
		t.Errorf("%+v", got)
	}
	w.set(w.server, "DeleteSnapshot", refuse(fault.Conflict, "this snapshot is pinned: unpin it first"))
	m.Delete(s)
	fails(t, idle(t, m).Err, fault.Conflict, "pinned")
	if m.View().Deleted != nil {
		t.Error("what was refused counts as deleted")
	}
	w.set(w.server, "DeleteSnapshot", say(`{"deleteSnapshot":{"snapshot":{"id":"snp_2"}}}`))
	m.Delete(s)
	if got := idle(t, m); got.Err != nil || m.View().Deleted != s {
		t.Errorf("%+v", got)
	}
	m.Undelete()
	if got := idle(t, m); got.Err != nil || m.View().Deleted != nil || !strings.Contains(w.last("RestoreDeletedSnapshot"), `"snp_2"`) {
		t.Errorf("%+v", got)
	}
	m.Undelete() // there is nothing
	m.Set(3, api.ApplicationNotifyAlways)
	if got := idle(t, m); got.Done != "Saved." || !strings.Contains(w.last("UpdateApplication"), `"keepSafety":3`) {
		t.Errorf("%+v", got)
	}
}

func TestWhatABackupHolds(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	w.set(w.worker, talk.MethodPreview, say(`{"text":"{\"application\":\"Shop\",\"engine\":\"postgres\",\"engine_version\":\"15.4\",\"tables\":[{\"name\":\"a\",\"rows\":2},{\"name\":\"b\",\"rows\":40}]}"}`))
	s := m.View().Snapshots.Value[0]
	m.Look(s)
	await(t, m, func() bool { d := m.View().Details; return d != nil && d.About.Status == Ready })
	if a := m.View().Details.About.Value; a.EngineVersion != "15.4" || a.Rows() != 42 {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(w.last(talk.MethodPreview), `"holdfast.json"`) {
		t.Errorf("it looked at %s", w.last(talk.MethodPreview))
	}
	m.EndLook()
	if m.View().Details != nil {
		t.Error("it goes on looking")
	}
	w.set(w.worker, talk.MethodPreview, say(`{"text":"{\"appl","truncated":true}`))
	m.Look(s)
	await(t, m, func() bool { return m.View().Details.About.Status == Failed })
	fails(t, m.View().Details.About.Err, fault.Internal, "can still be restored")
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	w, m := newShop(t)
	w.set(w.server, "PreviewApplicationSchedule", say(`{"applicationSchedulePreview":{"text":"Every day at 02:00","next":["2026-11-26T01:00:00Z"]}}`))
	m.EditSchedule(nil, false, "Europe/Athens")
	await(t, m, func() bool { return m.View().Schedule.Preview.Status == Ready })
	if s := m.View().Schedule; s.Part != api.ApplicationPartFull || s.Zone != "Europe/Athens" || s.Keep[0] != "30" {
		t.Errorf("%+v", s)
	}
	m.SaveSchedule()
	if v := m.View(); v.Schedule.Problems["name"] == "" || v.Work.Err == nil || w.was("CreateApplicationSchedule") {
		t.Errorf("one without a name: %+v", v.Work)
	}
	m.ChangeSchedule(func(d *ScheduleDraft) { d.Name = " Nightly " })
	if m.View().Schedule.Problems["name"] != "" {
		t.Error("it was given a name, and the remark stays")
	}
	w.set(w.server, "CreateApplicationSchedule", refuse(fault.Invalid, "zone: there is no zone Mars"))
	m.SaveSchedule()
	await(t, m, func() bool { return m.View().Schedule.Problems["zone"] != "" })
	idle(t, m)
	w.set(w.server, "CreateApplicationSchedule", say(`{"createApplicationSchedule":{"schedule":{"id":"sch_1"}}}`))
	m.SaveSchedule()
	await(t, m, func() bool { return m.View().Schedule == nil })
	if got := idle(t, m); got.Done != "“Nightly” is saved." || !strings.Contains(w.last("CreateApplicationSchedule"), `"name":"Nightly"`) {
		t.Errorf("%+v, %s", got, w.last("CreateApplicationSchedule"))
	}
	row := &api.ScheduleRow{Id: "sch_1", Name: "Nightly", Revision: 3, Part: api.ApplicationPartDatabase, Zone: "UTC", Schedule: &api.ScheduleWords{Kind: api.ScheduleKindMonthly, Times: []string{"04:00"}, Dates: []int{1, 15}}, Retention: &api.RetentionWords{Days: 7}}
	m.EditSchedule(row, true, "")
	if s := m.View().Schedule; s.ID != "" || s.Name != "Nightly (copy)" || s.Part != api.ApplicationPartDatabase || strings.Join(s.Dates, " ") != "1 15" || s.Keep[0] != "7" {
		t.Errorf("%+v", s)
	}
	m.EndSchedule()
	w.set(w.server, "UpdateApplicationSchedule", say(`{"updateApplicationSchedule":{"schedule":{"id":"sch_1"}}}`))
	m.EditSchedule(row, false, "")
	m.SaveSchedule()
	await(t, m, func() bool { return m.View().Schedule == nil })
	if sent := w.last("UpdateApplicationSchedule"); !strings.Contains(sent, `"revision":3`) || !strings.Contains(sent, `"id":"sch_1"`) {
		t.Errorf("saved as %s", sent)
	}
}

func TestApplications(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	failed := strings.Replace(applicationJSON("app_2", "Wiki"), `"lastRun":null`, `"lastRun":`+runJSON("run_3", "dev_1", "FAILED", 1), 1)
	due := strings.Replace(applicationJSON("app_3", "Inventory"), `"nextDueAt":null`, `"nextDueAt":"2026-11-26T00:00:00Z"`, 1)
	w.server["Applications"] = say(`{"applications":[` + applicationJSON("app_1", "Shop") + `,` + failed + `,` + due + `]}`)
	w.server["BackUpApplication"] = say(`{"backUpApplication":{"run":` + runJSON("run_7", "dev_1", "WAITING", 5) + `}}`)
	m := NewApplications(w.sources())
	m.Open()
	defer m.Close()
	await(t, m, func() bool { return m.View().Status == Ready })
	v := m.View()
	if v.All != 3 || v.Sum.Backups != 12 || v.Sum.Failed != 3 || v.Sum.Restores != 6 || v.Sum.Ailing != 1 || v.Sum.Bytes != 300 || v.Sum.Next.Id != "app_3" || !v.Sum.Next.NextDueAt.Equal(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", v.Sum)
	}
	m.Find(" wIKi")
	if v := m.View(); len(v.Value) != 1 || v.Value[0].Id != "app_2" || v.All != 3 {
		t.Errorf("%+v", v.Value)
	}
	m.Find("web-host")
	if v := m.View(); len(v.Value) != 3 {
		t.Errorf("%+v", v.Value)
	}
	w.tell(`{"runChanges":`+ofApplication(runJSON("run_7", "dev_1", "RUNNING", 5), "BACKUP")+`}`, nil)
	if v := m.View(); v.Runs["app_1"] == nil || len(v.Runs) != 1 {
		t.Errorf("%+v", v.Runs)
	}
	w.tell(`{"runChanges":`+ofApplication(runJSON("run_7", "dev_1", "FAILED", 5), "BACKUP")+`}`, nil)
	if v := m.View(); len(v.Runs) != 0 {
		t.Errorf("%+v", v.Runs)
	}
	m.BackUp(v.Value[0])
	await(t, m, func() bool { return m.View().Done != "" })
	if sent := w.last("BackUpApplication"); !strings.Contains(sent, `"part":"FULL"`) || m.View().Done != "web-host backs up Shop as soon as it hears of it." {
		t.Errorf("%s, %q", sent, m.View().Done)
	}
	m.ShowFleet(true)
	await(t, m, func() bool { v := m.View(); return v.Fleet && v.Status == Ready })
	if sent := w.last("Applications"); !strings.Contains(sent, `"fleet":true`) {
		t.Errorf("asked for %s", sent)
	}
}
