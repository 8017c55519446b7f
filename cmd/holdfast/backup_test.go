//go:build unix

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	runs "github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// shop registers an application of the device.
func (m *made) shop(t *testing.T, name string) *application.Application {
	t.Helper()
	engine := application.SQLite
	app, err := m.depot.Applications.Register(t.Context(), m.device, application.RegisterInput{Name: name, Engine: &engine})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// save makes a snapshot of an application.
func (m *made) save(t *testing.T, app *application.Application, origin catalog.Origin, title string) id.Snapshot {
	t.Helper()
	b, err := m.depot.Catalog.Begin(t.Context(), m.device, nil)
	if err != nil {
		t.Fatal(err)
	}
	sn, err := m.depot.Catalog.Commit(t.Context(), m.device, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: id.Object{1}, Manifest: []byte("sealed"), Bytes: 7,
		Label: &catalog.Label{Application: app.ID, Part: catalog.Full, Origin: origin, Title: title}})
	if err != nil {
		t.Fatal(err)
	}
	return sn.ID
}

// obey does what the device is told next, as soon as it is told, and says how it ended.
func (m *made) obey(t *testing.T, end func(w *runs.Work) runs.EndInput) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
			w, err := m.depot.Runs.Take(t.Context(), m.device)
			if err != nil {
				t.Error(err)
				return
			}
			if len(w.Runs) == 0 {
				continue
			}
			in := end(w)
			in.Runs, in.Lease = []id.Run{w.Runs[0].ID}, w.Lease
			if _, err := m.depot.Runs.End(t.Context(), m.device, in); err != nil {
				t.Error(err)
			}
			return
		}
		t.Error("the device was told nothing")
	}()
	return done
}

func (m *made) once(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return once(t, append(args, m.place...)...)
}

func asRun(t *testing.T, text string) (n id.Run) {
	t.Helper()
	if err := n.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBackupCreate(t *testing.T) {
	t.Parallel()
	m := madeBackup(t)
	shop := m.shop(t, "Shop")
	var o ordered
	must(t, &o, append([]string{"backup", "create", "--application", "shop", "--type", "database", "--name", "Before", "--portable", "--compression", "better"}, m.place...)...)
	if o.Application != "d/Shop" || o.Part != "database" || o.Name != "Before" || o.State != runs.Waiting || o.Snapshot != "" {
		t.Errorf("%+v", o)
	}
	if _, err := m.depot.Runs.Cancel(t.Context(), actor.System(), asRun(t, o.ID)); err != nil {
		t.Fatal(err)
	}
	done := m.obey(t, func(w *runs.Work) runs.EndInput {
		if *w.Options != (application.Options{Level: policy.Better, Portable: true}) {
			t.Errorf("%+v", w.Options)
		}
		sn := m.save(t, shop, catalog.MadeByBackup, "Before")
		return runs.EndInput{Outcome: runs.OutcomeSucceeded, Snapshot: &sn}
	})
	code, out, errs := m.once(t, "backup", "create", "--application", "d/Shop", "--type", "database", "--name", "Before", "--portable", "--compression", "better", "--wait")
	<-done
	if code != 0 || !strings.HasPrefix(out, "d/Shop: succeeded, as snp_") || errs != "" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	done = m.obey(t, func(*runs.Work) runs.EndInput { return runs.EndInput{Outcome: runs.OutcomeFailed, Code: "DISK_FULL"} })
	code, out, _ = m.once(t, "backup", "create", "--application", shop.ID.String(), "--wait")
	<-done
	if code != 1 || out != "d/Shop: failed. The disk of the device is full.\n" {
		t.Errorf("%d %s", code, out)
	}
	if code, out, _ := m.once(t, "backup", "create", "--application", "Shop"); code != 0 || !strings.HasPrefix(out, "d/Shop: waiting (run_") {
		t.Errorf("%d %s", code, out)
	}
	// Who stops waiting stops nothing, and nobody need be there to end what nobody speaks for.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	args := append([]string{"backup", "create", "--application", "Shop", "--wait"}, m.place...)
	if code := run(ctx, args, func(string) string { return "" }, strings.NewReader(""), &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "it goes on without being waited for: it is the run run_") {
		t.Errorf("%d %s", code, stderr.String())
	}

	m.exec(t, `INSERT INTO devices (id, user_id, name, hostname, os, arch, agent_version, public_key, mac, token_hash)
		VALUES ('00000000-0000-7000-8000-000000000001', $1, 'e', 'h', 'linux', 'amd64', '1', '', '', 'x')`, m.owner.User)
	m.exec(t, `INSERT INTO applications (id, device_id, name, name_key, engine, media_folders) VALUES (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'shop', 'shop', 'mysql', 0)`)
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"backup", "create"}, 2, "--application is needed"},
		{[]string{"backup", "create", "--application", "Shop"}, 2, "name one of d/Shop (" + shop.ID.String() + "), e/shop (app_"},
		{[]string{"backup", "create", "--application", "Library"}, 1, "there is no application “Library”"},
		{[]string{"backup", "create", "--application", "d/Shop", "--type", "half"}, 2, "part: want"},
		{[]string{"backup", "create", "--application", "d/Shop", "--type", "media"}, 2, "no media folders"},
		{[]string{"backup", "create", "--application", "d/Shop", "--compression", "hard"}, 2, "level: want"},
		{[]string{"backup", "list", "--application", "shop"}, 2, "name one of"},
		{[]string{"backup", "list", "--limit", "0"}, 2, "--limit 0"},
		{[]string{"backup", "delete", "x"}, 2, "holdfast backup list shows them"},
		{[]string{"backup", "delete", id.Snapshot{}.New().String()}, 1, "no such backup of an application"},
		{[]string{"backup", "delete", m.snapshot.String()}, 1, "no such backup of an application"}, // of files
		{[]string{"schedule", "run", "nightly"}, 1, "there is no schedule “nightly”"},
		{[]string{"schedule", "run"}, 2, "something is missing"},
	} {
		if code, _, errs := m.once(t, tt.args...); code != tt.code || !strings.Contains(errs, tt.says) {
			t.Errorf("%v: exit code %d, %s", tt.args, code, errs)
		}
	}
	for _, args := range [][]string{{"backup", "list"}, {"backup", "delete", m.snapshot.String()}, {"cleanup"}} {
		if code, _, errs := once(t, append(args, m.place[:2]...)...); code != 2 || !strings.Contains(errs, "--store") {
			t.Errorf("%v without a store: %d %s", args, code, errs)
		}
	}
	m.exec(t, `UPDATE goose_db_version SET is_applied = false WHERE version_id > 5`)
	for _, args := range [][]string{{"backup", "list"}, {"backup", "create", "--application", "d/Shop"}, {"backup", "delete", m.snapshot.String()}, {"schedule", "list"}, {"schedule", "run", "x"}, {"cleanup"}} {
		if code, _, errs := m.once(t, args...); code != 1 || !strings.Contains(errs, "holdfast migrate") {
			t.Errorf("%v on an old database: %d %s", args, code, errs)
		}
	}
}

func TestBackupList(t *testing.T) {
	t.Parallel()
	m := madeBackup(t)
	shop, library := m.shop(t, "Shop"), m.shop(t, "Library")
	one, two := m.save(t, shop, catalog.MadeByBackup, "Nightly"), m.save(t, library, catalog.Imported, "")
	var list struct{ Backups []saved }
	must(t, &list, append([]string{"backup", "list"}, m.place...)...)
	if len(list.Backups) != 2 || list.Backups[0].ID != two.String() || list.Backups[0].Origin != "import" || list.Backups[1].Name != "Nightly" || list.Backups[1].Application != "d/Shop" || list.Backups[1].Bytes != 7 {
		t.Errorf("%+v", list)
	}
	code, out, _ := m.once(t, "backup", "list", "--application", "shop", "--limit", "1")
	if lines := strings.Split(out, "\n"); code != 0 || len(lines) != 3 || !strings.Contains(lines[1], one.String()) || !strings.HasPrefix(lines[0], "MADE") {
		t.Errorf("%d %s", code, out)
	}
	code, out, _ = m.once(t, "backup", "delete", one.String())
	if code != 0 || !strings.Contains(out, one.String()+" is deleted. Its owner can take that back until ") {
		t.Errorf("%d %s", code, out)
	}
	must(t, nil, append([]string{"backup", "delete", two.String()}, m.place...)...)
	must(t, &list, append([]string{"backup", "list"}, m.place...)...)
	if len(list.Backups) != 0 {
		t.Errorf("%+v", list)
	}
	if _, err := m.depot.Catalog.RestoreDeleted(t.Context(), m.owner, one); err != nil {
		t.Error(err)
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	m := madeBackup(t)
	shop := m.shop(t, "Shop")
	s, err := m.depot.Applications.CreateSchedule(t.Context(), actor.System(), shop.ID, application.Input{Name: "nightly", Part: catalog.Full, Zone: "UTC",
		Schedule: plan.Schedule{Kind: plan.Daily, Times: []plan.Clock{120}}, Options: application.Options{Level: policy.Fast}, Retention: plan.Retention{Days: 1}})
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Schedules []struct {
			ID, Application, Name string
			Enabled               bool
			Next                  *time.Time
		}
	}
	must(t, &list, append([]string{"schedule", "list"}, m.place...)...)
	if len(list.Schedules) != 1 || list.Schedules[0].ID != s.ID.String() || list.Schedules[0].Application != "d/Shop" || list.Schedules[0].Next != nil {
		t.Errorf("%+v", list)
	}
	if code, out, _ := m.once(t, "schedule", "list"); code != 0 || !strings.Contains(out, "nightly  full  off") {
		t.Errorf("%d %s", code, out)
	}
	if _, err := m.depot.Applications.EnableSchedule(t.Context(), actor.System(), s.ID, true); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := m.once(t, "schedule", "list"); code != 0 || !strings.Contains(out, time.Now().Format("2006-")) {
		t.Errorf("%d %s", code, out)
	}
	var kept []id.Snapshot
	for range 2 {
		done := m.obey(t, func(w *runs.Work) runs.EndInput {
			r := w.Runs[0]
			if *r.ScheduleID != s.ID || *r.Title != "nightly" || w.Options.Level != policy.Fast {
				t.Errorf("%+v", r)
			}
			sn := m.save(t, shop, catalog.MadeByBackup, "nightly")
			kept = append(kept, sn)
			return runs.EndInput{Outcome: runs.OutcomeSucceeded, Snapshot: &sn}
		})
		if code, out, errs := m.once(t, "schedule", "run", "shop/nightly", "--wait"); code != 0 || !strings.Contains(out, "succeeded, as snp_") {
			t.Errorf("%d %s%s", code, out, errs)
		}
		<-done
	}

	// What the rule does not keep goes by hand, where no worker runs; and what waits for a device that is gone ends.
	m.exec(t, `UPDATE snapshots SET created_at = created_at - interval '3 days' WHERE id = $1`, kept[0])
	must(t, nil, append([]string{"backup", "create", "--application", "Shop"}, m.place...)...)
	m.exec(t, `UPDATE runs SET deadline_at = now() WHERE state = 'waiting'`)
	if code, out, errs := m.once(t, "cleanup"); code != 0 || !strings.HasPrefix(out, "1 snapshots were deleted by rule; ") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	var r struct{ Deleted int }
	must(t, &r, append([]string{"cleanup"}, m.place...)...)
	if r.Deleted != 0 {
		t.Errorf("%+v", r)
	}
	var missed int
	if err := m.depot.DB.Get(&missed, `SELECT count(*) FROM runs WHERE state = 'missed'`); err != nil || missed != 1 {
		t.Error(missed, err)
	}
}
