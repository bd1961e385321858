package reader

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelock-cache/tidelock/internal/metrics"
)

// level is what a read asks for, as metrics tell it.
type level int

const (
	byDefault level = iota
	atLeast
	inSession
	within
	strict
	levels
)

var levelNames = [levels]string{"default", "at_least", "session", "within", "strict"}

// level returns the strongest of what is asked for.
func (d *demand) level() level {
	switch {
	case d.strict:
		return strict
	case d.within > 0:
		return within
	case d.session != nil:
		return inSession
	case len(d.tokens) > 0:
		return atLeast
	default:
		return byDefault
	}
}

// counts count what a reader does.
type counts struct {
	hits, misses  [levels]atomic.Int64
	loads, loaded atomic.Int64
	loading       atomic.Int64 // loads under way
	changed, late atomic.Int64 // fills that were not offered, for the row was changed meanwhile, or refused, for they came too late
}

func sum(of *[levels]atomic.Int64) (n int64) {
	for i := range of {
		n += of[i].Load()
	}
	return n
}

var (
	readsDesc   = metrics.Desc("reads_total", "Keys read, by what the read asked for and where the answer came from.", "level", "source")
	loadsDesc   = metrics.Desc("loads_total", "Queries for rows that the cache could not answer.")
	loadedDesc  = metrics.Desc("loaded_keys_total", "Keys that those queries asked for.")
	loadingDesc = metrics.Desc("loads_in_flight", "Queries under way.")
	refusedDesc = metrics.Desc("fills_refused_total", "Rows read that were not put into the cache: they had changed while they were read, or came too late.", "reason")
)

type collector struct{ *Raw }

// Collector returns the reader's metrics, to be registered with Prometheus once for each reader, with a label of its own if there are several:
// prometheus.WrapRegistererWith. docs/metrics.md lists them.
func (r *Raw) Collector() prometheus.Collector { return collector{r} }

// Collector is as that of Raw.
func (r *Reader[T]) Collector() prometheus.Collector { return r.raw.Collector() }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	metrics.Describe(to, readsDesc, loadsDesc, loadedDesc, loadingDesc, refusedDesc)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	for l, name := range levelNames {
		metrics.Count(to, readsDesc, c.counts.hits[l].Load(), name, "cache")
		metrics.Count(to, readsDesc, c.counts.misses[l].Load(), name, "postgres")
	}
	metrics.Count(to, loadsDesc, c.counts.loads.Load())
	metrics.Count(to, loadedDesc, c.counts.loaded.Load())
	metrics.Count(to, refusedDesc, c.counts.changed.Load(), "changed")
	metrics.Count(to, refusedDesc, c.counts.late.Load(), "late")
	metrics.Gauge(to, loadingDesc, float64(c.counts.loading.Load()))
}
