package report_test

import (
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/wire/id"
)

// Applications count beside files: what is protected is the newest of each, and a probe that fails is no failure of a backup.
func TestApplicationsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	ann, _ := w.fill()
	app := id.Application{}.New()
	w.exec(`INSERT INTO applications (id, device_id, name, name_key, engine, media_folders) VALUES ($1, $2, 'Shop', 'shop', 'mysql', 0)`, app, w.laptop)
	for i, bytes := range []int{1000, 2000} {
		w.exec(`UPDATE snapshots SET application_id = $2, part = 'full', origin = 'backup' WHERE id = $1`, w.snapshot(ann, w.laptop, w.now().Add(time.Duration(i)*time.Minute), bytes, 0), app)
	}
	r, err := w.Storage(ctx, w.boss, 90)
	w.ok(err)
	if r.LogicalBytes != 3350 || r.ProtectedBytes != 2250 || r.Snapshots != 6 {
		t.Errorf("%+v", r)
	}
	for _, kind := range []string{"probe", "backup"} {
		w.exec(`INSERT INTO runs (id, device_id, kind, trigger, state, due_at, deadline_at, ended_at, application_id, part, title)
			VALUES (gen_random_uuid(), $1, $2, 'owner', 'failed', now(), now(), clock_timestamp(), $3, 'full', '')`, w.laptop, kind, app)
	}
	o, err := w.Overview(ctx, w.boss)
	w.ok(err)
	if len(o.RecentFailures) != 1 || o.Bad != 0 {
		t.Errorf("%+v", o)
	}
}
