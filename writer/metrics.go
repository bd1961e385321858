package writer

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelock-cache/tidelock/internal/metrics"
	"github.com/tidelock-cache/tidelock/outbox"
)

var (
	changesDesc = metrics.Desc("writes_total", "Keys changed, by what had become of them in the cache when their writer was answered: a deferred one is brought there by a relay.", "outcome")
	failedDesc  = metrics.Desc("write_failures_total", "Writes that were not committed, or of which it is not known.", "reason")
)

// counts count what a writer does. The histograms are of their own, for there is no other way to have one.
type counts struct {
	outcomes        [4]atomic.Int64 // as allOutcomes has them
	failed, unknown atomic.Int64
	groups, applies prometheus.Histogram
	settles         *metrics.Settles
}

func newCounts() counts {
	return counts{
		settles: metrics.NewSettles("writer", outbox.AgeBounds),
		groups: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tidelock_put_group_size", Help: "Puts that were committed in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8)}),
		applies: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tidelock_apply_seconds", Help: "How long it took, after the commit, until the cache had said what it made of the changes, or not answered.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 14)}),
	}
}

var allOutcomes = []Outcome{Applied, Superseded, Settled, Deferred}

// applied counts what became of changes that were applied from a time on.
func (c *counts) applied(r Result, began time.Time) {
	c.applies.Observe(time.Since(began).Seconds())
	for _, k := range r.Keys {
		c.outcomes[slices.Index(allOutcomes, k.Outcome)].Add(1)
	}
}

// ended counts a write that was not committed, or of which it is not known, and hands its error on.
func (c *counts) ended(err error) error {
	_, committed := errors.AsType[*UnsettledError](err)
	switch {
	case err == nil || committed:
	case errors.Is(err, ErrUnknown):
		c.unknown.Add(1)
	default:
		c.failed.Add(1)
	}
	return err
}

type collector struct{ *Writer }

// Collector returns the writer's metrics, to be registered with Prometheus, with a label of its own for each writer if there are several:
// prometheus.WrapRegistererWith. docs/metrics.md lists them.
func (w *Writer) Collector() prometheus.Collector { return collector{w} }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	metrics.Describe(to, changesDesc, failedDesc)
	c.counts.groups.Describe(to)
	c.counts.applies.Describe(to)
	c.counts.settles.Describe(to)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for i, o := range allOutcomes {
		metrics.Count(to, changesDesc, c.counts.outcomes[i].Load(), string(o))
	}
	metrics.Count(to, failedDesc, c.counts.failed.Load(), "failed")
	metrics.Count(to, failedDesc, c.counts.unknown.Load(), "unknown")
	c.counts.groups.Collect(to)
	c.counts.applies.Collect(to)
	c.counts.settles.Collect(to)
}
