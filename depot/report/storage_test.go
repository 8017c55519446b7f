package report_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-backup/holdfast/depot/notice"
	"github.com/holdfast-backup/holdfast/depot/report"
	"github.com/holdfast-backup/holdfast/depot/setting"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// fill makes two spaces with packs and snapshots, and one that nobody owns any more.
func (w *world) fill() (ann, bob int) {
	ann, bob = w.space(&w.ann.User), w.space(&w.bob.User)
	orphan := w.space(nil)
	now := w.now()
	w.pack(ann, "a1", 1000, 10)
	w.pack(ann, "a2", 500, 5)
	w.pack(bob, "b1", 3000, 30)
	w.pack(orphan, "o1", 7, 1)
	w.exec(`UPDATE packs SET shadowed = 1, dead = 2 WHERE name = 'a1'`)
	w.pack(bob, "b2", 200, 2)
	w.exec(`UPDATE packs SET swept_at = now() WHERE name = 'b2'`)
	w.pack(bob, "b3", 400, 4)
	w.exec(`UPDATE packs SET lost = true WHERE name = 'b3'`)
	w.snapshot(ann, w.laptop, now.Add(-2*time.Hour), 100, 0)
	w.snapshot(ann, w.laptop, now.Add(-time.Hour), 150, 0)
	w.snapshot(ann, w.desk, now, 30, 0)
	w.snapshot(bob, w.box, now, 70, 0)
	w.exec(`UPDATE snapshots SET deleted_at = now(), purge_after = now() WHERE id = $1`, w.snapshot(bob, w.box, now.Add(time.Minute), 9000, 0))
	return ann, bob
}

func TestStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	empty, err := w.Storage(ctx, w.boss, 90)
	w.ok(err)
	if empty.StoredBytes != 0 || empty.Snapshots != 0 || len(empty.Days)+len(empty.Spaces) != 0 || empty.GrowthPerDay != nil || empty.FullAt != nil || *empty.FreeBytes != 1000 || *empty.TotalBytes != 5000 {
		t.Errorf("%+v", empty)
	}
	w.fill()
	w.ok(setting.New(setting.Config{DB: w.db}).SetQuota(ctx, w.boss, w.ann.User, ptr(int64(2000))))
	r, err := w.Storage(ctx, w.boss, 90)
	w.ok(err)
	if r.StoredBytes != 4507 || r.QuarantinedBytes != 200 || r.LogicalBytes != 350 || r.ProtectedBytes != 250 || r.Objects != 43 || r.Snapshots != 4 {
		t.Errorf("%+v", r)
	}
	if len(r.Spaces) != 3 || *r.Spaces[0].OwnerID != w.bob.User || r.Spaces[0].StoredBytes != 3000 || r.Spaces[0].LogicalBytes != 70 || r.Spaces[0].QuotaBytes != nil ||
		*r.Spaces[1].OwnerID != w.ann.User || *r.Spaces[1].QuotaBytes != 2000 || r.Spaces[2].OwnerID != nil {
		t.Errorf("%+v %+v %+v", r.Spaces[0], r.Spaces[1], r.Spaces[2])
	}
	_, err = w.settings.Update(ctx, w.boss, setting.Change{DefaultQuota: ptr(int64(9000))})
	w.ok(err)
	if r, err = w.Storage(ctx, w.boss, 90); err != nil || *r.Spaces[0].QuotaBytes != 9000 || *r.Spaces[1].QuotaBytes != 2000 {
		t.Errorf("%+v, %v", r.Spaces[0], err)
	}
	silent := report.New(report.Config{DB: w.db, Settings: w.settings})
	if r, err := silent.Storage(ctx, w.boss, 90); err != nil || r.FreeBytes != nil || r.TotalBytes != nil {
		t.Errorf("a store that cannot say: %+v, %v", r, err)
	}
	w.ok(silent.Sample(ctx))
	w.room.err = errNoRoom
	if _, err := w.Storage(ctx, w.boss, 90); !errors.Is(err, errNoRoom) {
		t.Error(err)
	}
	if err := w.Sample(ctx); !errors.Is(err, errNoRoom) {
		t.Error(err)
	}
	for _, days := range []int{0, -1, report.MaxDays + 1} {
		_, err := w.Storage(ctx, w.boss, days)
		w.want(err, fault.Invalid, "days: ask for 1 to 800")
		_, err = w.MyUsage(ctx, w.ann, days)
		w.want(err, fault.Invalid, "days")
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	noon := w.now().Truncate(24 * time.Hour).Add(36 * time.Hour)
	w.shift(noon.Sub(w.now())) // so that no hour of the test is another day
	ann, bob := w.fill()
	upload := func(space int, d id.Device, at time.Time, bytes int) {
		w.exec(`INSERT INTO backups (id, space_id, device_id, state, ended_at, uploaded_bytes) VALUES (gen_random_uuid(), $1, $2, 'committed', $3, $4)`, space, d, at, bytes)
	}
	show := func(list []*report.Day, err error) string {
		t.Helper()
		w.ok(err)
		var got []string
		for _, d := range list {
			free := "-"
			if d.FreeBytes != nil {
				free = fmt.Sprint(*d.FreeBytes)
			}
			got = append(got, fmt.Sprintf("%s %d %d %d up %d free %s", d.Day[8:], d.StoredBytes, d.LogicalBytes, d.ProtectedBytes, d.UploadedBytes, free))
		}
		return strings.Join(got, "; ")
	}
	first := noon.Format("02")
	w.ok(w.Sample(ctx))
	w.pack(ann, "a3", 100, 1)
	w.room.free = 900
	w.shift(time.Hour)
	w.ok(w.Sample(ctx)) // of the same day: the later one counts
	upload(ann, w.laptop, noon, 60)
	upload(ann, w.desk, noon.Add(time.Hour), 5)
	upload(bob, w.box, noon, 900)
	w.shift(24 * time.Hour)
	second := noon.Add(24 * time.Hour).Format("02")
	w.pack(ann, "a4", 1, 1)
	w.ok(w.Sample(ctx))
	whole := fmt.Sprintf("%s 4607 350 250 up 965 free 900; %s 4608 350 250 up 0 free 900", first, second)
	r, err := w.Storage(ctx, w.boss, 30)
	if got := show(r.Days, err); got != whole {
		t.Errorf("%s\nwant %s", got, whole)
	}
	r, err = w.Storage(ctx, w.boss, 1)
	if got := show(r.Days, err); got != second+" 4608 350 250 up 0 free 900" {
		t.Errorf("of one day: %s", got)
	}
	hers := fmt.Sprintf("%s 1600 280 180 up 65 free -; %s 1601 280 180 up 0 free -", first, second)
	if got := show(w.MyUsage(ctx, w.ann, 30)); got != hers {
		t.Errorf("%s\nwant %s", got, hers)
	}
	if got := show(w.MyUsage(ctx, w.boss, 30)); got != "" { // who has no space has no samples, and not those of the whole
		t.Error(got)
	}
	var n int
	w.ok(w.db.Get(&n, `SELECT count(*) FROM usage_samples`))
	if n != 8 { // three spaces and the whole, two days
		t.Errorf("%d rows", n)
	}
	// Single spaces are forgotten when nobody can ask for them any more, the whole is not.
	w.shift((report.MaxDays + 10) * 24 * time.Hour)
	w.ok(w.Sample(ctx))
	w.ok(w.db.Get(&n, `SELECT count(*) FROM usage_samples`))
	if n != 2+4 {
		t.Errorf("%d rows", n)
	}
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stored map[int]int64 // by days ago
		growth float64       // NaN: none
		full   int           // days from now; -1: never
	}{
		"too few":      {map[int]int64{1: 10, 2: 20, 3: 30, 4: 40, 5: 50, 6: 60}, math.NaN(), -1},
		"a line":       {map[int]int64{0: 700, 1: 600, 2: 500, 3: 400, 4: 300, 5: 200, 6: 100}, 100, 10},
		"with gaps":    {map[int]int64{0: 3000, 5: 2500, 9: 2100, 10: 2000, 15: 1500, 20: 1000, 29: 100}, 100, 10},
		"shrinking":    {map[int]int64{0: 100, 1: 200, 2: 300, 3: 400, 4: 500, 5: 600, 6: 700}, -100, -1},
		"level":        {map[int]int64{0: 5, 1: 5, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5}, 0, -1},
		"too old":      {map[int]int64{0: 700, 1: 600, 2: 500, 3: 400, 30: 9, 40: 9, 50: 9}, math.NaN(), -1},
		"very slowly":  {map[int]int64{0: 1, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0}, 3. / 28, 9333},
		"huge numbers": {map[int]int64{0: 1<<60 + 6, 1: 1<<60 + 5, 2: 1<<60 + 4, 3: 1<<60 + 3, 4: 1<<60 + 2, 5: 1<<60 + 1, 6: 1 << 60}, 1, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for ago, n := range c.stored {
				w.exec(`INSERT INTO usage_samples (day, stored, logical, protected, objects, snapshots)
					VALUES ((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int, $2, 0, 0, 0, 0)`, ago, n)
			}
			for _, days := range []int{1, 30, 800} { // what is shown does not matter
				r, err := w.Storage(t.Context(), w.boss, days)
				w.ok(err)
				switch {
				case math.IsNaN(c.growth) != (r.GrowthPerDay == nil):
					t.Errorf("grows %v", r.GrowthPerDay)
				case r.GrowthPerDay != nil && math.Abs(*r.GrowthPerDay-c.growth) > 1e-6:
					t.Errorf("grows %v, want %v", *r.GrowthPerDay, c.growth)
				}
				if (c.full >= 0) != (r.FullAt != nil) {
					t.Fatalf("full %v", r.FullAt)
				}
				if r.FullAt != nil {
					if d := r.FullAt.Sub(w.now()).Hours() / 24; math.Abs(d-float64(c.full)) > 0.5 {
						t.Errorf("full in %v days, want %d", d, c.full)
					}
				}
			}
		})
	}
}

// A forecast beyond a century says nothing.
func TestFarForecast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.room.free = math.MaxInt64 // which also must not overflow
	for ago := range 7 {
		w.exec(`INSERT INTO usage_samples (day, stored, logical, protected, objects, snapshots) VALUES ((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int, $2, 0, 0, 0, 0)`, ago, 10-ago)
	}
	r, err := w.Storage(t.Context(), w.boss, 30)
	w.ok(err)
	if r.GrowthPerDay == nil || r.FullAt != nil {
		t.Errorf("%v, %v", r.GrowthPerDay, r.FullAt)
	}
}

func TestQuotaWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	space := w.space(&w.ann.User)
	type row struct{ Kind, Severity, Title, Body string }
	told := func() []row {
		t.Helper()
		w.ok(w.WarnQuotas(ctx))
		var rows []row
		w.ok(w.db.Select(&rows, `SELECT kind, severity, title, body FROM notifications WHERE user_id = $1 ORDER BY created_at`, w.ann.User))
		return rows
	}
	set := func(quota int64) { w.ok(w.settings.SetQuota(ctx, w.boss, w.ann.User, &quota)) }
	w.pack(space, "1", 900_000, 1)
	if n := told(); len(n) != 0 {
		t.Errorf("without a quota: %v", n)
	}
	set(1_000_010)
	if n := told(); len(n) != 0 {
		t.Errorf("not quite near: %v", n)
	}
	set(1_000_000)
	if n := told(); len(n) != 1 || n[0].Kind != "quota.near" || n[0].Severity != "warning" || !strings.Contains(n[0].Body, "900 kB of the 1 MB") || !strings.Contains(n[0].Body, "delete old snapshots") {
		t.Errorf("%v", n)
	}
	if len(w.topics) != 1 || w.topics[0] != notice.Topic(w.ann.User) {
		t.Errorf("%v", w.topics)
	}
	if n := told(); len(n) != 1 {
		t.Errorf("told again: %v", n)
	}
	set(1_030_000) // 87 %: not near, not far
	if n := told(); len(n) != 1 {
		t.Errorf("%v", n)
	}
	set(1_000_000)
	if n := told(); len(n) != 1 {
		t.Errorf("told again after little: %v", n)
	}
	set(2_000_000)
	told()
	set(900_000)
	if n := told(); len(n) != 2 || len(w.topics) != 2 {
		t.Errorf("not told again after there was room: %v", n)
	}
	set(0)
	told()
	var kept int
	w.ok(w.db.Get(&kept, `SELECT count(*) FROM notifications WHERE key IS NOT NULL`))
	if kept != 0 {
		t.Error("no limit any more, but it counts as near")
	}
	set(math.MaxInt64)
	if n := told(); len(n) != 2 {
		t.Errorf("the largest quota: %v", n)
	}
	w.exec(`DROP TABLE notifications CASCADE`)
	if err := w.WarnQuotas(ctx); err == nil {
		t.Error("no notifications, no error")
	}
}
