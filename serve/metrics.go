package serve

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// counts count requests, those for health apart.
type counts struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newCounts() counts {
	return counts{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidelock_http_requests_total", Help: "Requests answered, by status."},
			[]string{"method", "entity", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tidelock_http_request_seconds", Help: "How long it took until a request was answered.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}, []string{"method", "entity"}),
	}
}

// methodsCounted are told by name. A client may invent others without end.
var methodsCounted = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodPost, http.MethodDelete}

// answered counts a request that came at a time.
func (c *counts) answered(q *request, status int, came time.Time) {
	method := q.Method
	if !slices.Contains(methodsCounted, method) {
		method = "other"
	}
	c.requests.WithLabelValues(method, q.entity, strconv.Itoa(status)).Inc()
	c.took.WithLabelValues(method, q.entity).Observe(time.Since(came).Seconds())
}

type collector []prometheus.Collector

// Collector returns the server's metrics, to be registered with Prometheus: of its requests, of its writers with the label allocate, and of its readers with the
// label entity. Those of the cache and of the leases are not among them: who made these has them. docs/metrics.md lists all.
func (s *Server) Collector() prometheus.Collector {
	all := collector{s.counts.requests, s.counts.took,
		prometheus.WrapCollectorWith(prometheus.Labels{"allocate": "write"}, s.onWrite.Collector()),
		prometheus.WrapCollectorWith(prometheus.Labels{"allocate": "read"}, s.onRead.Collector())}
	for _, name := range s.order {
		all = append(all, prometheus.WrapCollectorWith(prometheus.Labels{"entity": name}, s.entities[name].reader.Collector()))
	}
	return all
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, one := range c {
		one.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for _, one := range c {
		one.Collect(to)
	}
}
