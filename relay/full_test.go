package relay_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/relay"
)

// TestFullStreamIsNotClaimedFor has far more chunks than the stream takes. A claim of what finds no room is a write to Postgres for
// nothing, and again at the next try.
func TestFullStreamIsNotClaimedFor(t *testing.T) {
	t.Parallel()
	const records = 1500
	s := newSite(t)
	s.recordMany(records)
	r, _ := s.run(func(cfg *relay.Config) {
		cfg.Batch, cfg.StreamChunks, cfg.ChunkRecords, cfg.Consumers, cfg.Poll = records/3, 16, 1, 4, 10*time.Millisecond
	})
	s.drained()
	if stats := r.Stats(); stats.Taken >= 3*records {
		t.Errorf("%d records were claimed %d times and given back %d times", records, stats.Taken, stats.Released)
	}
	t.Log(r.Stats())
	s.holdsMany(records)
}
