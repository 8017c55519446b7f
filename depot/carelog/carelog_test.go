package carelog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/depot/carelog"
	"github.com/holdfast-backup/holdfast/depot/pg/pgtest"
	"github.com/holdfast-backup/holdfast/wire/fault"
	"github.com/holdfast-backup/holdfast/wire/id"
)

func begin(t *testing.T, db *sqlx.DB, kind string, space id.Space) id.Job {
	t.Helper()
	job, err := carelog.Begin(t.Context(), db, kind, space)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func list(t *testing.T, db *sqlx.DB, kind string) []*carelog.Entry {
	t.Helper()
	page, err := carelog.List(t.Context(), db, actor.System(), kind, 50, "")
	if err != nil {
		t.Fatal(err)
	}
	return page.Entries
}

func TestRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	space := id.Space{}.New()
	if _, err := db.Exec(insertSpace, space); err != nil {
		t.Fatal(err)
	}
	good, bad, gone := begin(t, db, "gc", space), begin(t, db, "scrub", id.Space{}), begin(t, db, "gc", space)
	if e := list(t, db, "scrub")[0]; e.ID != bad || e.EndedAt != nil || e.OK != nil || e.Report != nil || e.Error != nil || e.Space != nil {
		t.Errorf("under way: %+v", e)
	}
	if err := carelog.End(t.Context(), db, good, map[string]int{"objects": 7}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := carelog.End(ctx, db, bad, nil, errors.New("the disk is on fire")); err != nil {
		t.Errorf("the end of a cancelled run: %v", err)
	}
	if err := carelog.Drop(ctx, db, gone); err != nil {
		t.Fatal(err)
	}
	if err := carelog.End(t.Context(), db, gone, nil, nil); err != nil {
		t.Error(err)
	}
	if err := carelog.End(t.Context(), db, good, func() {}, nil); err == nil {
		t.Error("a report that is none")
	}
	entries := list(t, db, "")
	if len(entries) != 2 {
		t.Fatalf("%d runs", len(entries))
	}
	if e := entries[0]; e.Kind != "scrub" || *e.OK || *e.Error != "the disk is on fire" || e.EndedAt.Before(e.StartedAt) {
		t.Errorf("%+v", e)
	}
	if e := entries[1]; e.Kind != "gc" || !*e.OK || e.Error != nil || *e.Space != space || !strings.Contains(string(e.Report), `"objects": 7`) {
		t.Errorf("%+v: %s", e, e.Report)
	}
}

// What was killed counts as broken off after a day, and nothing is kept for ever.
func TestTidy(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	old, killed, young := begin(t, db, "gc", id.Space{}), begin(t, db, "gc", id.Space{}), begin(t, db, "gc", id.Space{})
	for job, age := range map[id.Job]time.Duration{old: carelog.Keep + time.Hour, killed: 25 * time.Hour, young: 23 * time.Hour} {
		if _, err := db.Exec(`UPDATE care_log SET started_at = clock_timestamp() - make_interval(secs => $2) WHERE id = $1`, job, age.Seconds()); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, db, "scrub", id.Space{})
	entries := list(t, db, "gc")
	if len(entries) != 2 || entries[0].ID != young || entries[0].EndedAt != nil || entries[1].ID != killed || *entries[1].OK || entries[1].Error == nil {
		t.Errorf("%+v", entries)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const n = 7
	var jobs []id.Job
	for range n {
		jobs = append(jobs, begin(t, db, "gc", id.Space{}))
	}
	for _, size := range []int{1, 3, n - 1, n, n + 1} {
		next, after := n-1, ""
		for {
			page, err := carelog.List(t.Context(), db, actor.System(), "gc", size, after)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				if e.ID != jobs[next] {
					t.Fatalf("size %d: %s is not run %d", size, e.ID, next)
				}
				next--
				after = e.Cursor()
			}
			if !page.HasNext {
				break
			}
		}
		if next != -1 {
			t.Errorf("size %d: %d runs were left out", size, next+1)
		}
	}
	for _, bad := range []struct {
		first int
		after string
	}{{-1, ""}, {carelog.MaxPage + 1, ""}, {1, "x"}, {1, "AAAA"}, {1, "________________________________"}} {
		if _, err := carelog.List(t.Context(), db, actor.System(), "", bad.first, bad.after); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, a := range []actor.Actor{{}, {User: id.User{}.New(), Role: actor.Staff}, {User: id.User{}.New(), Device: id.Device{}.New()}} {
		if _, err := carelog.List(t.Context(), db, a, "", 1, ""); err == nil {
			t.Errorf("%+v may read it", a)
		}
	}
	if _, err := carelog.List(t.Context(), db, actor.Actor{User: id.User{}.New(), Role: actor.Admin}, "", 1, ""); err != nil {
		t.Error(err)
	}
}

func TestWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Exec(`DROP TABLE care_log`); err != nil {
		t.Fatal(err)
	}
	if _, err := carelog.Begin(t.Context(), db, "gc", id.Space{}); err == nil {
		t.Error("a run began nowhere")
	}
	if err := carelog.End(t.Context(), db, id.Job{}, nil, nil); err == nil {
		t.Error("a run ended nowhere")
	}
	if err := carelog.Drop(t.Context(), db, id.Job{}); err == nil {
		t.Error("a run was dropped nowhere")
	}
	if _, err := carelog.List(t.Context(), db, actor.System(), "", 1, ""); err == nil {
		t.Error("a list of nothing")
	}
}
