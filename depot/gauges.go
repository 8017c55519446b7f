package depot

import (
	"context"

	"github.com/holdfast-backup/holdfast/depot/actor"
)

// Gauge is a number about the installation at this moment, for monitoring. No label names a person, a device or a file.
type Gauge struct {
	Name, Help string             // the name as Prometheus has it, without a prefix
	Label      string             // the name of its one label; "": it has none
	Values     map[string]float64 // by label; without one, under ""
}

// Gauges reads how the installation is doing. While Redis is away the queue's numbers are left out.
func (d *Depot) Gauges(ctx context.Context) ([]Gauge, error) {
	gauges := make([]Gauge, 0, len(gaugeQueries)+1)
	for _, q := range gaugeQueries {
		values, err := readGauge(ctx, d.DB, q.query)
		if err != nil {
			return nil, err
		}
		g := q.Gauge
		g.Values = values
		gauges = append(gauges, g)
	}
	if d.Inspector == nil {
		return gauges, nil
	}
	queues, err := d.Inspector.Queues(ctx, actor.System())
	if err != nil {
		return gauges, nil //nolint:nilerr // holdfast_queue_tasks that is gone says that Redis is
	}
	tasks := map[string]float64{}
	for _, q := range queues {
		for state, n := range map[string]int{"pending": q.Pending, "active": q.Active, "scheduled": q.Scheduled, "retry": q.Retry, "archived": q.Archived} {
			tasks[state] += float64(n)
		}
	}
	return append(gauges, Gauge{"queue_tasks", "Tasks in the queue by state; archived ones have failed for good.", "state", tasks}), nil
}
