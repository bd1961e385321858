package cache

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelock-cache/tidelock/internal/metrics"
)

var breakerDesc = metrics.Desc("cache_breaker", "1 for the state of the circuit breaker before the cache, 0 for the others.", "state")

type collector struct{ *Cache }

// Collector returns the metrics of the connection to the cache, to be registered with Prometheus. docs/metrics.md lists them.
func (c *Cache) Collector() prometheus.Collector { return collector{c} }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) { metrics.Describe(to, breakerDesc) }

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	metrics.State(to, breakerDesc, c.Breaker().String(), Closed.String(), HalfOpen.String(), Open.String())
}
