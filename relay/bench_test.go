package relay_test

import (
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// BenchmarkDrain measures how fast a relay gets through records that are all due: each of a key of its own, or four of each key.
func BenchmarkDrain(b *testing.B) {
	const records = 20_000
	for name, keys := range map[string]int{"one a key": records, "four a key": records / 4} {
		b.Run(name, func(b *testing.B) {
			s := siteOn(b, rig.DB(b), stacktest.Valkey(b).URL(), stacktest.NATS(b).URL(), func(cfg *cache.Config) { cfg.Log = zap.NewNop() })
			_, stop := s.run(func(cfg *relay.Config) { cfg.Log = zap.NewNop() })
			defer stop()
			var draining time.Duration
			for b.Loop() {
				s.insertBacklog(records, keys)
				began := time.Now()
				for s.count() > 0 {
					time.Sleep(5 * time.Millisecond)
				}
				draining += time.Since(began)
			}
			b.ReportMetric(records*float64(b.N)/draining.Seconds(), "records/s")
		})
	}
}

func (s *site) count() int64 {
	s.t.Helper()
	stats, err := outbox.Count(s.t.Context(), s.db)
	if err != nil {
		s.t.Fatal(err)
	}
	return stats.Pending
}
