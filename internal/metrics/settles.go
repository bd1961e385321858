package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Settles is a histogram of how long changes took from their commit until they were settled. Postgres measures and sorts them, so they come in numbers. It is
// for any number of goroutines.
type Settles struct {
	desc   *prometheus.Desc
	bounds []float64 // upper ones, in seconds

	mu      sync.Mutex // guards what follows
	counts  []int64    // by bound, and the rest
	seconds float64    // all together
}

// NewSettles returns the histogram of what a writer or a relay has settled; by is its label.
func NewSettles(by string, bounds []float64) *Settles {
	return &Settles{bounds: bounds, counts: make([]int64, len(bounds)+1), desc: prometheus.NewDesc("tidelock_settle_seconds",
		"How long it took from about the commit of a change until Postgres heard that it is settled, by Postgres's clock.", nil, prometheus.Labels{"by": by})}
}

// Add counts changes that took this long: some below each bound and not below the one before it, some beyond the last, and all of them together.
func (s *Settles) Add(counts []int64, seconds float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range counts {
		s.counts[i] += n
	}
	s.seconds += seconds
}

// Describe implements prometheus.Collector.
func (s *Settles) Describe(to chan<- *prometheus.Desc) { to <- s.desc }

// Collect implements prometheus.Collector.
func (s *Settles) Collect(to chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	below, all := make(map[float64]uint64), uint64(0)
	for i, n := range s.counts {
		all += uint64(n)
		if i < len(s.bounds) {
			below[s.bounds[i]] = all
		}
	}
	to <- prometheus.MustNewConstHistogram(s.desc, all, s.seconds, below)
}
