package lease

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelock-cache/tidelock/internal/metrics"
)

var heldDesc = metrics.Desc("lease", "1 for the lease that this process holds, 0 for the others: of trust in the cache, of knowing that nobody trusts it, or none.", "kind")

type collector struct{ *Client }

// Collector returns the metrics of the process's lease, to be registered with Prometheus. docs/metrics.md lists them.
func (c *Client) Collector() prometheus.Collector { return collector{c} }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) { metrics.Describe(to, heldDesc) }

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	metrics.State(to, heldDesc, c.Held().kind(Now()), "trusted", "suspended", "none")
}

// kind names what is held at a time.
func (h *Held) kind(now time.Duration) string {
	switch {
	case now < h.TrustedUntil:
		return "trusted"
	case h.Suspended(now):
		return "suspended"
	default:
		return "none"
	}
}
