package run_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-backup/holdfast/depot/run"
	"github.com/holdfast-backup/holdfast/wire/id"
)

// BenchmarkFleet measures what 2,000 devices with one policy and 400,000 runs behind them cost a worker and a server.
//
//	go test -run '^$' -bench Fleet -benchtime 5x ./depot/run
func BenchmarkFleet(b *testing.B) {
	w := newWorld(b)
	ctx := b.Context()
	const devices = 2000
	machines := make([]machine, devices)
	for i := range machines {
		machines[i] = w.device(w.bob, fmt.Sprint("d", i))
	}
	w.exec(`INSERT INTO runs (id, device_id, kind, trigger, state, created_at, due_at, deadline_at, ended_at)
		SELECT gen_random_uuid(), d.id, 'backup', 'schedule', 'succeeded', at, at, at + interval '1 hour', at + interval '1 minute'
		FROM devices d, generate_series(clock_timestamp() - interval '200 days', clock_timestamp() - interval '1 day', interval '1 day') AS at`)
	w.exec(`ANALYZE`)
	w.policy(hourly("Office"))
	b.Run("tick", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			w.exec(`DELETE FROM runs WHERE state = 'waiting'`)
			w.nextHour()
			b.StartTimer()
			w.tick()
		}
	})
	b.Run("sweep", func(b *testing.B) { // all are due, and none comes
		for range b.N {
			w.sweep()
		}
	})
	b.Run("take and end", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			w.nextHour()
			w.tick()
			b.StartTimer()
			for _, m := range machines[:100] {
				work, err := w.Take(ctx, m.actor)
				if err != nil || len(work.Runs) == 0 {
					b.Fatal(work, err)
				}
				if _, err := w.End(ctx, m.actor, run.EndInput{Runs: ids(work.Runs), Lease: work.Lease, Outcome: run.OutcomeFailed, Code: "INTERNAL"}); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N)/100, "ms/backup")
	})
	b.Run("page", func(b *testing.B) {
		for range b.N {
			if _, err := w.Runs(ctx, w.boss, run.Filter{}, true, 50, ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("page of one device", func(b *testing.B) {
		for range b.N {
			if p, err := w.Runs(ctx, w.ann, run.Filter{Device: &w.laptop.id}, false, 50, ""); err != nil || len(p.Runs) != 50 {
				b.Fatal(p, err)
			}
		}
	})
	b.Run("page of one person", func(b *testing.B) {
		for range b.N {
			if p, err := w.Runs(ctx, w.ann, run.Filter{}, false, 50, ""); err != nil || len(p.Runs) != 50 {
				b.Fatal(p, err)
			}
		}
	})
	b.Run("changes of one person", func(b *testing.B) {
		for range b.N {
			if _, _, err := w.Changes(ctx, w.ann, false, w.now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("health of 500", func(b *testing.B) {
		list := make([]id.Device, run.MaxByID)
		for i := range list {
			list[i] = machines[i].id
		}
		for range b.N {
			if m, err := w.Health(ctx, w.boss, list); err != nil || len(m) != len(list) {
				b.Fatal(len(m), err)
			}
		}
	})
	b.Run("missed", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			w.nextHour()
			w.tick()
			w.shift(deadline)
			b.StartTimer()
			w.sweep()
		}
	})
	b.Run("stale", func(b *testing.B) {
		for range b.N {
			if err := w.Stale(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
