// Package metrics counts what a server or a worker does, and shows it to Prometheus.
//
// Two kinds of numbers: those that this process counts itself (requests, GraphQL operations by name, tasks), and gauges that are
// read from the depot when somebody scrapes (runs, queue, storage, health of devices), at most once in [readEvery], however many scrape.
// Every process of an installation reads the same gauges: a query over several takes their max, not their sum.
//
// Names of GraphQL operations come from clients, so only the first [maxNames] of callers who are known become labels; the rest are "other".
// No label ever holds a person, a device or a file.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-backup/holdfast/depot"
	"github.com/holdfast-backup/holdfast/wire/proto"
)

const (
	maxNames  = 100
	readEvery = 15 * time.Second
	readTime  = 10 * time.Second
)

// Metrics is one process's numbers. It is safe for concurrent use.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	operations *prometheus.HistogramVec
	failures   *prometheus.CounterVec
	tasks      *prometheus.HistogramVec
	taskErrors *prometheus.CounterVec

	mu    sync.Mutex
	names map[string]bool
}

// New returns the numbers of this process. read, which may be nil, gives gauges when somebody scrapes; if it fails the other numbers
// are shown without them, and holdfast_depot_up is 0.
func New(read func(context.Context) ([]depot.Gauge, error), log *slog.Logger) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		names:    map[string]bool{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_http_requests_total",
			Help: "HTTP requests by route and status."}, []string{"route", "status"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_http_response_bytes_total",
			Help: "Bytes of HTTP answers by route."}, []string{"route"}),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_graphql_operation_seconds",
			Help: "Time to answer GraphQL operations, subscriptions left out.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 9)}, []string{"kind", "operation"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_graphql_errors_total",
			Help: "GraphQL operations with at least one error, by its code."}, []string{"operation", "code"}),
		tasks: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_task_seconds",
			Help: "Time that tasks of this worker took.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"task"}),
		taskErrors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_task_failures_total",
			Help: "Tasks of this worker that failed."}, []string{"task"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "holdfast_build_info", Help: "Always 1; the label says which release this is."}, []string{"version"})
	info.WithLabelValues(proto.Version).Set(1)
	m.registry.MustRegister(m.requests, m.bytes, m.operations, m.failures, m.tasks, m.taskErrors, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if read != nil {
		m.registry.MustRegister(&gauges{read: read, log: log})
	}
	return m
}

// Request counts an answer. route is a pattern of ours, never a client's path.
func (m *Metrics) Request(route string, status string, bytes int64) {
	m.requests.WithLabelValues(route, status).Inc()
	m.bytes.WithLabelValues(route).Add(float64(bytes))
}

// Operation counts a GraphQL operation. name is what the client calls it; known says whether the caller showed a credential; code is that of
// the first error, "" for none.
func (m *Metrics) Operation(kind, name string, known bool, took time.Duration, code string) {
	name = m.label(name, known)
	m.operations.WithLabelValues(kind, name).Observe(took.Seconds())
	if code != "" {
		m.failures.WithLabelValues(name, code).Inc()
	}
}

// Task counts a task that this process ran.
func (m *Metrics) Task(name string, took time.Duration, err error) {
	m.tasks.WithLabelValues(name).Observe(took.Seconds())
	if err != nil {
		m.taskErrors.WithLabelValues(name).Inc()
	}
}

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func (m *Metrics) label(name string, known bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case name == "":
		return "unnamed"
	case m.names[name]:
		return name
	case !known || len(m.names) >= maxNames || !word.MatchString(name):
		return "other"
	}
	m.names[name] = true
	return name
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
