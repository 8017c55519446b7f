package state

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/app/api"
	"github.com/holdfast-backup/holdfast/app/talk"
	"github.com/holdfast-backup/holdfast/wire/fault"
)

// works is a world whose worker also opens manifests, says how far it is, and saves.
type works struct {
	*world
	save func(ctx context.Context, plan talk.Plan, what talk.Selection, progress func(talk.Progress)) (talk.Downloaded, error)
}

func newWorks(t *testing.T) *works {
	w := &works{world: newWorld(t)}
	w.server["Devices"] = say(`{"devices":[` + deviceJSON("dev_1", "Laptop", "GOOD", "") + `,` + deviceJSON("dev_2", "Desk", "BAD", "snp_9") + `]}`)
	w.server["ServerInfo"] = say(`{"server":{"version":"1","time":"2026-11-25T00:00:00Z","fingerprint":"ab12"}}`)
	w.server["Usage"] = say(`{"myUsage":[{"day":"2026-11-24","storedBytes":1,"protectedBytes":2,"uploadedBytes":3}]}`)
	w.server["Runs"] = say(runsJSON(false, runJSON("run_2", "dev_1", "SUCCEEDED", 2), runJSON("run_1", "dev_1", "FAILED", 1)))
	w.server["Snapshots"] = say(`{"snapshots":{"edges":[{"node":` + snapshotJSON("snp_2", 2) + `},{"node":` + snapshotJSON("snp_1", 1) + `}],"pageInfo":{"hasNextPage":true,"endCursor":"cur"},"totalCount":3}}`)
	w.worker[talk.MethodVerifyDevice] = func(in map[string]any) (string, error) {
		return fmt.Sprintf(`{"genuine":%v}`, in["id"] == "dev_1"), nil
	}
	w.worker[talk.MethodEnrolCode] = say(`{"code":"AAAA-BBBB","tokenHash":"aGFzaA==","sealed":"c2VhbGVk"}`)
	w.worker[talk.MethodOpenManifests] = say(`[{"id":"snp_2","deviceName":"Laptop"},{"id":"snp_1","error":"damaged"}]`)
	return w
}

// Call implements Keys: what the world cannot take as an object it takes in a field.
func (w *works) Call(ctx context.Context, method string, in, out any) error {
	if method == talk.MethodOpenManifests {
		in = map[string]any{"list": in}
	}
	return w.world.Call(ctx, method, in, out)
}

// Follow implements Listener.
func (w *works) Follow(ctx context.Context, method string, in, out any, event func(json.RawMessage)) error {
	event(json.RawMessage(`{"files":1,"totalFiles":2}`))
	event(json.RawMessage(`nonsense`))
	return w.Call(ctx, method, in, out)
}

// Save implements Saver.
func (w *works) Save(ctx context.Context, plan talk.Plan, what talk.Selection, progress func(talk.Progress)) (talk.Downloaded, error) {
	return w.save(ctx, plan, what, progress)
}

func (w *works) sources() Sources { return Sources{API: w.client(), Keys: w, Live: w} }

func deviceJSON(id, name, health, snapshot string) string {
	latest := "null"
	if snapshot != "" {
		latest = `{"id":"` + snapshot + `","createdAt":"2026-11-25T00:00:00Z","files":10,"bytes":1000}`
	}
	return `{"id":"` + id + `","name":"` + name + `","hostname":"h","os":"linux","arch":"amd64","agentVersion":"1","publicKey":"cHVi","mac":"bWFj","createdAt":"2026-11-01T00:00:00Z","lastSeenAt":null,"revokedAt":null,` +
		`"health":{"state":"` + health + `","lastSuccessAt":"2026-11-2` + id[4:] + `T00:00:00Z","nextDueAt":"2026-11-2` + id[4:] + `T12:00:00Z","staleDays":0,"lastRun":null},"latestSnapshot":` + latest + `}`
}

func runJSON(id, device, state string, minute int) string {
	return fmt.Sprintf(`{"id":%q,"device":{"id":%q,"name":"x"},"kind":"BACKUP","trigger":"OWNER","state":%q,"createdAt":"2026-11-25T00:%02d:00Z","dueAt":"2026-11-25T00:00:00Z","deadlineAt":"2026-11-26T00:00:00Z","attempts":1,"cancelling":false,`+
		`"progress":{"phase":"scan","files":1,"bytes":2,"totalFiles":0,"totalBytes":0,"uploadedBytes":0,"problems":0},"rate":0,"causes":[]}`, id, device, state, minute)
}

func runsJSON(more bool, runs ...string) string {
	edges := make([]string, len(runs))
	for i, r := range runs {
		edges[i] = `{"node":` + r + `}`
	}
	return fmt.Sprintf(`{"runs":{"edges":[%s],"pageInfo":{"hasNextPage":%v,"endCursor":"cur"},"totalCount":%d}}`, strings.Join(edges, ","), more, len(runs))
}

func snapshotJSON(id string, day int) string {
	return fmt.Sprintf(`{"id":%q,"device":{"id":"dev_1","name":"Laptop"},"createdAt":"2026-11-%02dT00:00:00Z","root":"cg==","manifest":"bQ==","files":1,"bytes":2,"problems":0,"uploadedBytes":3,"scheduled":true}`, id, day)
}

// A device that the server lost and made again has no key: it is nobody else's.
func TestLostDevice(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["Devices"] = say(`{"devices":[` + deviceJSON("dev_1", "Laptop", "GOOD", "") + `,` + strings.Replace(deviceJSON("dev_2", "recovered device", "REVOKED", "snp_9"), `"cHVi"`, `""`, 1) + `]}`)
	m := NewDevices(w.sources())
	m.Open(true)
	until(t, m, func() bool { return m.View().Trust != nil })
	if v := m.View(); v.Trust["dev_1"] != Genuine || v.Trust["dev_2"] != Unproven {
		t.Errorf("%v", v.Trust)
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	m := NewDevices(w.sources())
	m.Open(true)
	until(t, m, func() bool {
		v := m.View()
		return v.Trust != nil && v.Usage.Status == Ready && v.Recent.Status == Ready
	})
	v := m.View()
	if len(v.Devices.Value) != 2 || v.Devices.Value[0].Name != "Desk" || v.Trust["dev_1"] != Genuine || v.Trust["dev_2"] != Foreign {
		t.Errorf("%+v", v)
	}
	files, bytes := v.Protected()
	last, lastOf := v.Last()
	next, nextOf := v.Next()
	if files != 10 || bytes != 1000 || last.Day() != 22 || lastOf != "Desk" || next.Day() != 21 || nextOf != "Laptop" {
		t.Error(files, bytes, last, lastOf, next, nextOf)
	}
	if v.Find("dev_1").Name != "Laptop" || v.Find("dev_3") != nil {
		t.Error("a device is not found, or found without being there")
	}

	w.tell(`{"runChanges":`+runJSON("run_3", "dev_1", "RUNNING", 3)+`}`, nil)
	if v := m.View(); v.Runs["dev_1"] == nil || v.Recent.Value[0].Id != "run_3" {
		t.Errorf("a run began: %+v", v)
	}
	w.tell(`{"runChanges":`+runJSON("run_4", "dev_1", "WAITING", 4)+`}`, nil)
	if v := m.View(); v.Runs["dev_1"].Id != "run_3" {
		t.Error("a run that waits hides the one that is under way")
	}
	w.set(w.server, "Devices", say(`{"devices":[`+deviceJSON("dev_1", "Laptop", "WARNING", "")+`]}`))
	w.tell(`{"runChanges":`+runJSON("run_3", "dev_1", "SUCCEEDED", 3)+`}`, nil)
	until(t, m, func() bool { return len(m.View().Devices.Value) == 1 })
	if v := m.View(); v.Runs["dev_1"] != nil {
		t.Error("a run that has ended is still under way")
	}
	w.tell(``, fault.New(fault.Internal, "lost")) // changes nothing

	m.Close()
	m.Close()
	if w.ended != 1 {
		t.Error("ended", w.ended)
	}
}

func TestDevicesFail(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	for _, name := range []string{"Devices", "Usage", "Runs"} {
		w.server[name] = refuse(fault.Unavailable, "not now")
	}
	w.worker[talk.MethodVerifyDevice] = refuse(fault.Unauthenticated, "locked")
	m := NewDevices(w.sources())
	m.Open(true)
	defer m.Close()
	until(t, m, func() bool {
		v := m.View()
		return v.Devices.Status == Failed && v.Usage.Status == Failed && v.Recent.Status == Failed
	})
	good := newWorks(t)
	for _, name := range []string{"Devices", "Usage", "Runs"} {
		w.set(w.server, name, good.server[name])
	}
	m.Reload()
	until(t, m, func() bool { v := m.View(); return v.Devices.Status == Ready && v.Recent.Status == Ready })
	until(t, m, func() bool { return m.View().Trust != nil })
	if v := m.View(); v.Trust["dev_1"] != Unproven {
		t.Error("a device is trusted, or not, without an answer")
	}
}

func TestWhatIsDoneWithADevice(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	w.server["RenameDevice"] = say(`{"renameDevice":{"device":{"id":"dev_1","name":"New"}}}`)
	w.server["RevokeDevice"] = say(`{"revokeDevice":{"device":{"id":"dev_1","revokedAt":"2026-11-25T00:00:00Z"}}}`)
	w.server["BackUpNow"] = say(`{"backUpNow":{"run":` + runJSON("run_7", "dev_1", "WAITING", 7) + `}}`)
	m := NewDevices(w.sources())
	m.Open(false)
	defer m.Close()
	idle := func() bool { return !m.View().Busy }
	m.Rename("dev_1", " New ")
	until(t, m, func() bool { return idle() && w.was("RenameDevice") })
	if got := w.last("RenameDevice"); got != `{"input":{"id":"dev_1","name":"New"}}` {
		t.Error(got)
	}
	m.Revoke("dev_1")
	until(t, m, func() bool { return idle() && w.was("RevokeDevice") })
	m.BackUpNow("dev_1")
	until(t, m, func() bool { return idle() && m.View().Runs["dev_1"] != nil })
	m.Rename("dev_1", "  ")
	until(t, m, func() bool { return idle() && m.View().Err != nil })
	fails(t, m.View().Err, fault.Invalid, "name")
	m.Dismiss()
	if m.View().Err != nil {
		t.Error("an error stays")
	}

	wait := make(chan struct{})
	w.set(w.server, "RevokeDevice", func(map[string]any) (string, error) {
		<-wait
		return "", fault.New(fault.Forbidden, "not yours")
	})
	m.Revoke("dev_1")
	m.Rename("dev_1", "two at once")
	close(wait)
	until(t, m, func() bool { return idle() && m.View().Err != nil })
	fails(t, m.View().Err, fault.Forbidden, "yours")
	if strings.Contains(w.last("RenameDevice"), "two") {
		t.Error("two things at once")
	}
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	w := newWorks(t)
	expires := time.Now().Add(15 * time.Minute).UTC().Format(time.RFC3339)
	w.server["CreateEnrolment"] = say(`{"createEnrolment":{"id":"enr_1","expiresAt":"` + expires + `"}}`)
	m := NewDevices(w.sources())
	m.Enrol()
	until(t, m, func() bool { e := m.View().Enrol; return e != nil && e.Code != "" })
	e := m.View().Enrol
	if e.Code != "AAAA-BBBB" || e.Fingerprint != "ab12" || e.ExpiresAt.Format(time.RFC3339) != expires || e.Connected != nil {
		t.Errorf("%+v", e)
	}
	if got := w.last("CreateEnrolment"); got != `{"input":{"sealed":"c2VhbGVk","tokenHash":"aGFzaA=="}}` {
		t.Error(got) // and nothing of the code
	}
	w.set(w.server, "Devices", say(`{"devices":[`+deviceJSON("dev_1", "Laptop", "GOOD", "")+`,`+deviceJSON("dev_2", "Desk", "BAD", "")+`,`+deviceJSON("dev_3", "Third", "NEW", "")+`]}`))
	until(t, m, func() bool { return m.View().Enrol.Connected != nil })
	if v := m.View(); v.Enrol.Connected.Name != "Third" || len(v.Devices.Value) != 3 {
		t.Errorf("%+v", v)
	}
	m.CancelEnrol()
	if m.View().Enrol != nil {
		t.Error("it is still being added")
	}
}

func TestEnrolFails(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"ServerInfo", "Devices", talk.MethodEnrolCode, "CreateEnrolment"} {
		w := newWorks(t)
		w.server["CreateEnrolment"] = say(`{"createEnrolment":{"id":"enr_1","expiresAt":"2026-11-25T00:00:00Z"}}`)
		from := w.server
		if at == talk.MethodEnrolCode {
			from = w.worker
		}
		from[at] = refuse(fault.Unavailable, "wait")
		m := NewDevices(w.sources())
		m.Enrol()
		until(t, m, func() bool { return m.View().Enrol.Err != nil })
		fails(t, m.View().Enrol.Err, fault.Unavailable, "wait")
		m.CancelEnrol()
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"linux/amd64":   "sudo curl -fL -k -o /usr/local/bin/holdfast-agent https://h:1/download/agent/linux/amd64\n",
		"windows/amd64": "curl.exe -fL -k -o $agent https://h:1/download/agent/windows/amd64\n",
	} {
		got := Install(FindSystem(key), "https://h:1", "CODE", true)
		if !strings.Contains(got, want) || !strings.Contains(got, " enroll https://h:1 --code CODE\n") {
			t.Errorf("%s: %s", key, got)
		}
		if strings.Contains(Install(FindSystem(key), "https://h:1", "CODE", false), "-k") {
			t.Errorf("%s: a certificate that everybody knows is not checked", key)
		}
	}
	if FindSystem("plan9/mips") != Systems[0] {
		t.Error("a system that is none")
	}
}

func TestWorstFirst(t *testing.T) {
	t.Parallel()
	var list []*api.DeviceFields
	for _, s := range api.AllHealthState {
		list = append(list, &api.DeviceFields{Name: string(s), Health: &api.Health{State: s}})
	}
	var names []string
	for _, d := range byWorst(list) {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "BAD WARNING NEW WORKING GOOD REVOKED" {
		t.Error(got)
	}
}
