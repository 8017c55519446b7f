package depot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/application"
	"github.com/holdfast-backup/holdfast/depot/catalog"
	"github.com/holdfast-backup/holdfast/depot/policy"
	"github.com/holdfast-backup/holdfast/plan"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
	"github.com/holdfast-backup/holdfast/wire/pack"
)

// TestCareOfApplications: schedules are ticked and settled before a change, and retention and cleaning see to what they made.
func TestCareOfApplications(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := open(t, config(t))
	ann := someone(t, d, "ann@example.org", actor.Staff)
	device := laptop(t, d, ann)
	engine := application.MySQL
	shop, err := d.Applications.Register(ctx, device, application.RegisterInput{Name: "Shop", Engine: &engine})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Applications.CreateSchedule(ctx, ann, shop.ID, application.Input{Name: "daily", Enabled: true, Part: catalog.Full, Zone: "UTC",
		Schedule: plan.Schedule{Kind: plan.Cron, Cron: "* * * * *"}, Options: application.Options{Level: policy.Default}, Retention: plan.Retention{Days: 1}})
	if err != nil {
		t.Fatal(err)
	}
	slots := func() (n int) {
		t.Helper()
		if err := d.DB.Get(&n, `SELECT count(*) FROM runs WHERE schedule_id = $1`, s.ID); err != nil {
			t.Fatal(err)
		}
		return n
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := d.DB.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`UPDATE application_schedules SET ticked_at = ticked_at - interval '3 minutes'`)
	if err := d.TickSchedules(ctx); err != nil {
		t.Fatal(err)
	}
	before := slots()
	exec(`UPDATE application_schedules SET ticked_at = ticked_at - interval '10 minutes'`)
	if _, err := d.Applications.EnableSchedule(ctx, ann, s.ID, false); err != nil || before < 3 || slots() < before+6 {
		t.Errorf("%d slots, then %d: %v", before, slots(), err)
	}

	save := func(n byte, origin catalog.Origin, days int) id.Snapshot {
		t.Helper()
		b, err := d.Catalog.Begin(ctx, device, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := pack.NewWriter(nil)
		w.AddNode(id.Object{n}, nil, nil, func(dst []byte) []byte { return append(dst, n) })
		body, name := w.Finish()
		if _, err := d.Catalog.Upload(ctx, device, catalog.UploadInput{Backup: b.ID, Fence: b.Fence, Name: name, Size: int64(len(body))}, strings.NewReader(string(body))); err != nil {
			t.Fatal(err)
		}
		sn, err := d.Catalog.Commit(ctx, device, catalog.CommitInput{Backup: b.ID, Fence: b.Fence, Root: id.Object{n}, Manifest: []byte("sealed"),
			Label: &catalog.Label{Application: shop.ID, Part: catalog.Full, Origin: origin, Schedule: &s.ID}})
		if err != nil {
			t.Fatal(err)
		}
		exec(`UPDATE snapshots SET created_at = created_at - make_interval(days => $2), schedule_id = CASE WHEN origin = 'backup' THEN $3::uuid END WHERE id = $1`, sn.ID, days, s.ID) // as the end of a run does
		return sn.ID
	}
	one := 1
	if _, err := d.Applications.Update(ctx, ann, shop.ID, application.Change{KeepSafety: &one}); err != nil {
		t.Fatal(err)
	}
	gone := []id.Snapshot{save(1, catalog.MadeByBackup, 9), save(2, catalog.MadeForUndo, 9)}
	stay := []id.Snapshot{save(3, catalog.MadeByBackup, 3), save(4, catalog.MadeForUndo, 3), save(5, catalog.Imported, 90)}
	if err := d.RetainSnapshots(ctx); err != nil {
		t.Fatal(err)
	}
	for i, list := range [][]id.Snapshot{gone, stay} {
		found, err := d.Catalog.SnapshotsByID(ctx, ann, list)
		if want := i * len(stay); err != nil || len(found) != want {
			t.Errorf("%d are there, want %d: %v", len(found), want, err)
		}
	}
	jobs, err := d.Jobs(ctx, actor.System(), "retention", 10, "")
	if err != nil || len(jobs.Entries) != 1 {
		t.Fatalf("%+v, %v", jobs, err)
	}
	exec(`UPDATE snapshots SET purge_after = now() WHERE deleted_at IS NOT NULL`)
	c, err := d.CleanUp(ctx)
	if err != nil || c.Deleted != 0 || c.Spaces != 1 {
		t.Errorf("%+v, %v", c, err)
	}

	// A token of an import is one of the depot's; without a store there is nothing to import into.
	b, text, err := d.Catalog.BeginImport(ctx, ann, shop.ID)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := d.Authenticate(ctx, text); err != nil || a.Import != b.ID {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := (&depot.Depot{}).Authenticate(ctx, text); !errors.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
}
