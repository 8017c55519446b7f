//go:build linux

package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-backup/holdfast/agent"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// careFor is the rest of what workers do, twice a day, and what comes of it.
func (s *sim) careFor(now time.Time) {
	s.t.Helper()
	if now.Before(s.awayUntil) || now.Sub(s.last["care"]) < 12*time.Hour {
		return
	}
	s.last["care"] = now
	ctx := context.Background()
	for _, t := range care {
		if now.Sub(s.last[t.name]) >= t.every {
			s.last[t.name] = now
			s.ok(t.do(s.workers[0], ctx))
		}
	}
	s.retain()
	// Not each time: backups shall find what is about to be cleaned away.
	if now.After(s.cleanAt) {
		s.cleanAt = now.Add(time.Duration(s.rng.IntN(72)) * time.Hour)
		if s.rng.IntN(4) == 0 {
			s.met["cleaner killed"]++
			dead, cancel := context.WithTimeout(ctx, time.Duration(s.rng.IntN(60))*time.Millisecond)
			_ = collect(dead, s.workers[1])
			cancel()
		}
		s.ok(collect(ctx, s.workers[0]))
	}
	if now.Sub(s.last["bound"]) >= 7*24*time.Hour {
		s.last["bound"] = now
		s.ok(squeeze(ctx, s.workers[0]))
		s.bounded(now, 9*24*time.Hour)
	}
	s.missing(now)
}

// missing notes which snapshots have been purged since it was called last. None is before it could be taken back for a week.
func (s *sim) missing(now time.Time) {
	s.t.Helper()
	rows := s.rows()
	for sn := range s.made {
		if _, known := s.gone[sn]; !known && !rows[sn] {
			s.gone[sn] = now
			if at, known := s.deleted[sn]; !known || now.Sub(at) < 7*24*time.Hour-time.Hour {
				s.t.Errorf("at %s the snapshot %s is gone, which was deleted at %s", now.Format(stamp), sn, at.Format(stamp))
			}
		}
	}
}

// rows is the snapshots that the server knows of, deleted ones included.
func (s *sim) rows() map[id.Snapshot]bool {
	s.t.Helper()
	var list []id.Snapshot
	s.ok(s.depot.DB.Select(&list, `SELECT id FROM snapshots`))
	rows := map[id.Snapshot]bool{}
	for _, sn := range list {
		rows[sn] = true
	}
	return rows
}

// copies returns a device's live snapshots that policies made.
func (s *sim) copies(d *device) (list []copyOf) {
	s.t.Helper()
	s.ok(s.depot.DB.Select(&list, `SELECT id, created_at, pinned_at IS NOT NULL AS pinned, problems = 0 AS good, false AS trashed
		FROM snapshots WHERE device_id = $1 AND scheduled AND deleted_at IS NULL`, d.id))
	return list
}

// retain lets the server delete what no policy keeps, and compares what is left with the reference. Now and then a worker is killed while it deletes.
func (s *sim) retain() {
	s.t.Helper()
	ctx := context.Background()
	had := map[*device][]copyOf{}
	for _, d := range s.devices {
		had[d] = s.copies(d)
	}
	made := map[*timetable][]copyOf{}
	for _, t := range s.tables {
		made[t] = s.shopCopies(t)
	}
	before := s.now()
	if s.rng.IntN(4) == 0 {
		s.met["retention killed"]++
		dead, cancel := s.killed()
		_ = s.workers[1].RetainSnapshots(dead)
		cancel()
	}
	s.ok(s.workers[0].RetainSnapshots(ctx))
	after := s.now()
	for _, d := range s.devices {
		var rules []zoned
		for _, r := range s.effective(d) {
			rules = append(rules, zoned{r.keep, r.zone})
		}
		s.retained(d.name, moment{before, after}, rules, had[d], s.copies(d))
	}
	for _, t := range s.tables {
		s.retained(t.name+" of "+t.shop.name, moment{before, after}, []zoned{{t.keep, t.zone}}, made[t], s.shopCopies(t))
	}
}

// retained compares what retention left of some snapshots with the reference.
func (s *sim) retained(of string, at moment, rules []zoned, had, has []copyOf) {
	s.t.Helper()
	first, second := survivors(at.from, rules, had), survivors(at.to, rules, had)
	left := map[id.Snapshot]bool{}
	for _, c := range has {
		left[c.ID] = true
	}
	for _, c := range had {
		switch {
		case first[c.ID] && second[c.ID] && !left[c.ID]:
			s.t.Errorf("retention at %s deleted the snapshot of %s of %s, which some rule keeps", at.from.Format(stamp), c.At.Format(stamp), of)
		case !first[c.ID] && !second[c.ID] && left[c.ID]:
			s.t.Errorf("retention at %s kept the snapshot of %s of %s, which no rule keeps", at.from.Format(stamp), c.At.Format(stamp), of)
		case !left[c.ID]:
			s.retired++
			s.deleted[c.ID] = at.from
		}
	}
}

// Overheads of what is stored, generously: of a snapshot, its tree, record and indexes; of a space, its first record.
const (
	overSnapshot = 24 << 10
	overSpace    = 4 << 10
	leastFill    = 0.6
)

// bounded checks that the store does not grow beyond what it has to hold: the different contents of the snapshots that are there, of deleted ones that can
// still be taken back, and of those that are young or were purged a short while ago, whose pieces wait for the next try of a backup or in quarantine.
// Packs may be emptied to 60 % before they are copied.
func (s *sim) bounded(now time.Time, young time.Duration) {
	s.t.Helper()
	s.missing(now)
	rows := s.rows()
	spaces := map[*person]map[[32]byte]int64{}
	n := 0
	for _, d := range slices.Concat(s.devices, s.hosts) {
		for sn, files := range d.snapshots {
			if !rows[sn] && s.made[sn].Before(now.Add(-young)) && s.gone[sn].Before(now.Add(-young/3)) {
				continue
			}
			n++
			if spaces[d.owner] == nil {
				spaces[d.owner] = map[[32]byte]int64{}
			}
			for _, f := range files {
				spaces[d.owner][f.hash] = f.size
			}
		}
	}
	var content int64
	for _, files := range spaces {
		for _, size := range files {
			content += size
		}
	}
	bound := int64(float64(content+int64(n)*overSnapshot)/leastFill) + int64(len(s.people))*overSpace
	stored := s.stored()
	if stored > bound {
		s.t.Errorf("at %s %d bytes are stored; %d snapshots with %d bytes of different contents must not need more than %d", now.Format(stamp), stored, n, content, bound)
	}
	s.t.Logf("%s: %.1f MB stored, at most %.1f would be right: %d snapshots with %.1f MB of different contents; %.1f MB were written so far",
		now.Format("2 Jan"), mb(stored), mb(bound), n, mb(content), mb(s.written))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// evening is what a person does now and then: pins a snapshot, lets go of another, deletes one, takes one back, cancels a run and wants a
// backup now.
func (s *sim) evening(p *person) {
	s.t.Helper()
	ctx, a := context.Background(), p.a
	var list []*agent.Snapshot
	s.ok(a.Snapshots(ctx, id.Device{}, func(v *agent.Snapshot) (bool, error) {
		list = append(list, v)
		return true, nil
	}))
	if len(list) > 4 {
		rand.New(rand.NewPCG(s.rng.Uint64(), 1)).Shuffle(len(list)-1, func(i, j int) { list[i+1], list[j+1] = list[j+1], list[i+1] })
		_, err := a.Client.PinSnapshot(ctx, list[1].ID, true)
		s.ok(err)
		s.pinned[list[1].ID] = true
		if v := list[2]; s.pinned[v.ID] {
			_, err = a.Client.PinSnapshot(ctx, v.ID, false)
			s.ok(err)
			delete(s.pinned, v.ID)
		} else {
			s.ok(a.Client.DeleteSnapshot(ctx, v.ID))
			s.deleted[v.ID] = s.now()
		}
	}
	deleted, err := a.Client.DeletedSnapshots(ctx)
	s.ok(err)
	if len(deleted) > 1 {
		v := deleted[s.rng.IntN(len(deleted))].ID
		_, err := a.Client.RestoreDeletedSnapshot(ctx, v)
		s.ok(err)
		delete(s.deleted, v)
	}
	for _, e := range s.live {
		if e.dev.owner == p && e.state == "waiting" && e.dev.revoked.IsZero() {
			if _, err := a.Client.CancelRun(ctx, e.id); err == nil {
				e.state = "cancelled"
				s.met["cancelled"]++
			}
			break
		}
	}
	for _, d := range s.devices {
		if d.owner == p && d.revoked.IsZero() {
			_, err := a.Client.BackUpNow(ctx, d.id)
			s.ok(err)
			s.met["asked for"]++
			break
		}
	}
}
