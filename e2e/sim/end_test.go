//go:build linux

package sim

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/depot/actor"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// epilogue lets everything come to its end and looks at what there is.
func (s *sim) epilogue() {
	s.t.Helper()
	ctx := context.Background()
	s.awayUntil, s.deafUntil, s.downUntil = time.Time{}, time.Time{}, time.Time{}
	if s.redis == nil {
		s.redisUp()
	}
	if s.stop == nil {
		s.up()
	}
	s.retain()
	for _, r := range s.rules {
		s.close(r)
		if r.on {
			_, err := s.depot.Policies.Enable(ctx, actor.System(), r.id, false)
			s.ok(err)
		}
	}
	for _, t := range s.tables {
		s.closeTable(t)
		if t.on {
			_, err := s.depot.Applications.EnableSchedule(ctx, actor.System(), t.schedule, false)
			s.ok(err)
		}
	}
	s.compare("when the policies were switched off", moment{s.now().Add(-time.Minute), s.now()})
	s.slots()

	// Nobody comes any more: whatever waits ends by itself.
	s.devicesAsleep()
	for range 9 {
		s.jump(s.now().Add(24 * time.Hour))
		s.compare("at the end", s.turn(s.now()))
		s.ok(s.workers[0].AlarmStale(ctx))
	}
	for _, e := range s.live {
		s.t.Errorf("does not end: %s", e)
	}
	s.told()
	s.closeShops()
	s.untoldShops()
	s.credited()

	// All that was deleted is beyond taking back, and what nothing needs has been in quarantine for long enough.
	for range 3 {
		s.jump(s.now().Add(10 * 24 * time.Hour))
		s.ok(s.workers[0].ExpireSessions(ctx))
		s.ok(squeeze(ctx, s.workers[0]))
		s.missing(s.now())
	}
	s.bounded(s.now(), 0)
	s.cleaned()
	s.restoreAll()
}

// cleaned checks that there was something to clean, and that all of it was done: otherwise it proves nothing that all survivors come back.
func (s *sim) cleaned() {
	s.t.Helper()
	var sum struct{ Purged, Objects, Swept, Compacted, Unlinked, Damaged int64 }
	s.ok(s.depot.DB.Get(&sum, `SELECT coalesce(sum((report->>'purged')::int), 0) AS purged, coalesce(sum((report->>'objects')::int), 0) AS objects,
		coalesce(sum((report->>'swept')::int), 0) AS swept, coalesce(sum((report->>'compacted')::int), 0) AS compacted,
		coalesce(sum((report->>'unlinked')::int), 0) AS unlinked, coalesce(sum((report->>'damaged')::int), 0) AS damaged FROM care_log WHERE kind = 'gc'`))
	s.t.Logf("cleaned: %+v", sum)
	if sum.Damaged > 0 || s.days >= 60 && min(sum.Purged, sum.Objects, sum.Swept, sum.Compacted, sum.Unlinked) == 0 {
		s.t.Errorf("what was cleaned: %+v", sum)
	}
}

func (s *sim) devicesAsleep() {
	for _, d := range slices.Concat(s.devices, s.hosts) {
		d.on = nil
	}
}

// told checks that people were told: of each run that was missed or failed when that happened, and of each week without a backup.
func (s *sim) told() {
	s.t.Helper()
	var untold []struct {
		ID    id.Run
		State string
		Ended time.Time `db:"ended_at"`
	}
	s.ok(s.depot.DB.Select(&untold, `
		SELECT r.id, r.state, r.ended_at FROM runs r JOIN devices d ON d.id = r.device_id WHERE r.application_id IS NULL AND r.state IN ('missed', 'failed') AND NOT EXISTS (
			SELECT FROM notifications n WHERE n.kind = 'run.' || r.state AND n.user_id = d.user_id AND n.device_id = r.device_id
				AND n.created_at BETWEEN r.ended_at - interval '10 s' AND r.ended_at + interval '10 s')`))
	for _, r := range untold {
		s.t.Errorf("nobody was told that a run of %s was %s at %s", s.all[r.ID].dev.name, r.State, r.Ended.Format(stamp))
	}
	week, slack := 7*24*time.Hour, 72*time.Hour // the workers may be away for two days
	alarms := 0
	for _, d := range s.devices {
		var told []time.Time
		s.ok(s.depot.DB.Select(&told, `SELECT created_at FROM notifications WHERE kind = 'device.stale' AND device_id = $1 ORDER BY created_at`, d.id))
		alarms += len(told)
		end := s.now()
		if !d.revoked.IsZero() {
			end = d.revoked
		}
		times := slices.Concat([]time.Time{d.born}, d.times, []time.Time{end})
		for i, from := range times[:len(times)-1] {
			to := times[i+1]
			n := 0
			for _, at := range told {
				if at.After(from) && !at.After(to) {
					n++
				}
			}
			if gap := to.Sub(from); gap < week && n > 0 || gap > week+slack && n != 1 || n > 1 {
				s.t.Errorf("%d alarms about %s, which had no backup from %s to %s", n, d.name, from.Format(stamp), to.Format(stamp))
			}
		}
	}
	var count []struct {
		Kind string
		N    int
	}
	s.ok(s.depot.DB.Select(&count, `SELECT kind, count(*) AS n FROM notifications GROUP BY kind ORDER BY kind`))
	s.t.Logf("notifications: %v", count)
	if alarms == 0 && s.days >= 60 {
		s.t.Error("a device slept for three weeks, and there was no alarm")
	}
}

// credited checks that retention looked at what policies made, and at nothing else: a snapshot belongs to a policy if a run ended with it.
func (s *sim) credited() {
	s.t.Helper()
	var wrong []id.Snapshot
	s.ok(s.depot.DB.Select(&wrong, `SELECT id FROM snapshots sn WHERE application_id IS NULL AND scheduled <> EXISTS (SELECT FROM runs r WHERE r.snapshot_id = sn.id AND r.kind = 'backup')
		OR deleted_by = 'retention' AND (NOT scheduled AND schedule_id IS NULL OR pinned_at IS NOT NULL)`))
	if len(wrong) > 0 {
		s.t.Errorf("snapshots that are taken for a policy's and are none, or the other way about: %v", wrong)
	}
	var orphans int
	s.ok(s.depot.DB.Get(&orphans, `SELECT count(*) FROM snapshots WHERE NOT scheduled AND schedule_id IS NULL AND deleted_at IS NULL`))
	s.t.Logf("%d snapshots were retired, %d are nobody's: they were committed by devices that were killed before the server knew for what", s.retired, orphans)
}

// restoreAll brings every surviving snapshot back and compares each file with what was saved.
func (s *sim) restoreAll() {
	s.t.Helper()
	n, files := 0, 0
	for _, p := range s.people {
		s.ok(p.a.Snapshots(context.Background(), id.Device{}, func(v *agent.Snapshot) (bool, error) {
			n++
			files += s.restore(context.Background(), p.a, v)
			return true, nil
		}))
	}
	apps, media := s.restoreShops()
	n, files = n+apps, files+media
	var live int
	s.ok(s.depot.DB.Get(&live, `SELECT count(*) FROM snapshots WHERE deleted_at IS NULL`))
	if n != live {
		s.t.Errorf("%d snapshots are listed to their owners, %d are there", n, live)
	}
	for sn := range s.pinned {
		var there bool
		s.ok(s.depot.DB.Get(&there, `SELECT EXISTS (SELECT FROM snapshots WHERE id = $1 AND deleted_at IS NULL)`, sn))
		if !there {
			s.t.Errorf("the snapshot %s was pinned and is gone", sn)
		}
	}
	s.t.Logf("%d surviving snapshots came back, %d files", n, files)
}

func (s *sim) restore(ctx context.Context, a *agent.Account, v *agent.Snapshot) int {
	s.t.Helper()
	s.ok(v.Err)
	i := slices.IndexFunc(s.devices, func(d *device) bool { return d.id == v.Device })
	d := s.devices[i]
	dir := filepath.Join(s.dir, "restored")
	defer os.RemoveAll(dir)
	r, err := a.Restore(ctx, v, agent.ReadInput{To: dir})
	if err != nil || r.FailureCount > 0 {
		s.t.Errorf("the snapshot of %s of %s: %v, %+v", v.CreatedAt.Format(stamp), d.name, err, r.Failures)
		return 0
	}
	got, err := contentOf(filepath.Join(dir, d.folder.path))
	s.ok(err)
	want := d.snapshots[v.ID]
	if want == nil {
		s.t.Errorf("nobody knows of a snapshot of %s of %s", v.CreatedAt.Format(stamp), d.name)
	}
	if text := differ(want, got); text != "" {
		s.t.Errorf("the snapshot of %s of %s:\n%s", v.CreatedAt.Format(stamp), d.name, text)
	}
	return len(got)
}
