package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-backup/holdfast/depot"
)

var depotUp = prometheus.NewDesc("holdfast_depot_up", "Whether the database could be read at the last look.", nil, nil)

// gauges collects gauges when somebody scrapes. Which there are is not known beforehand, so it is an unchecked collector.
type gauges struct {
	read func(context.Context) ([]depot.Gauge, error)
	log  *slog.Logger

	mu   sync.Mutex
	at   time.Time
	last []depot.Gauge
	up   float64
}

// Describe implements prometheus.Collector.
func (d *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (d *gauges) Collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || time.Since(d.at) > readEvery {
		ctx, cancel := context.WithTimeout(context.Background(), readTime)
		defer cancel()
		gauges, err := d.read(ctx)
		d.at, d.last, d.up = time.Now(), gauges, 1
		if err != nil {
			d.up = 0
			d.log.Warn("metrics: the depot cannot be read", "error", err)
		}
	}
	out <- prometheus.MustNewConstMetric(depotUp, prometheus.GaugeValue, d.up)
	for _, g := range d.last {
		var labels []string
		if g.Label != "" {
			labels = []string{g.Label}
		}
		desc := prometheus.NewDesc("holdfast_"+g.Name, g.Help, labels, nil)
		for value, n := range g.Values {
			if g.Label == "" {
				out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, n)
				continue
			}
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, n, value)
		}
	}
}
