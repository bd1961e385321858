package relay_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

// TestValkeyDown takes the cache away under a relay. While it is away records stay as they are, and no work piles up
// anywhere else. When it is back they are settled within convergence.
func TestValkeyDown(t *testing.T) {
	t.Parallel()
	const convergence = 2 * time.Second
	for name, c := range map[string]struct{ leave, comeBack func(*stack.Valkey) error }{
		"killed": {
			func(v *stack.Valkey) error { return v.Kill() },
			func(v *stack.Valkey) error { return v.Start(t.Context()) },
		},
		"paused": {
			func(v *stack.Valkey) error { return v.Pause() },
			func(v *stack.Valkey) error { return v.Resume() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := stacktest.OwnValkey(t)
			s := siteOn(t, rig.DB(t), server.URL(), stacktest.NATS(t).URL(), func(cfg *cache.Config) { cfg.Timeout = 500 * time.Millisecond })
			s.run(shortLease)
			s.recordMany(1)
			s.drained()
			if err := c.leave(server); err != nil {
				t.Fatal(err)
			}
			s.recordMany(10) // the relay finds out by these
			stacktest.Eventually(t, patience, func() bool { return s.cache.Breaker() != cache.Closed }, "the breaker opens")
			s.calm() // what was on its way when it opened is given back, or waits in the stream

			s.recordMany(50)
			chunks, tries := s.messages(), attempts(s.pending())
			quiet(t, func() bool { return s.messages() == chunks && attempts(s.pending()) == tries }, "nothing is claimed or published")
			if n := len(s.pending()); n != 60 {
				t.Errorf("%d records are pending, want 60", n)
			}
			if err := c.comeBack(server); err != nil {
				t.Fatal(err)
			}
			back := time.Now()
			s.drained()
			took := time.Since(back)
			t.Logf("settled %v after the cache's return", took.Round(time.Millisecond))
			if took > convergence {
				t.Errorf("it took %v from the cache's return until all was settled, want at most %v", took, convergence)
			}
			s.holdsMany(50)
		})
	}
}

// attempts returns how often these records were claimed.
func attempts(items map[int64]outbox.Item) (n int) {
	for _, item := range items {
		n += item.Attempts
	}
	return n
}

// calm waits until nothing is claimed, published or consumed for longer than a relay works on one chunk, which is a record's lease at most.
func (s *site) calm() {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() bool {
		chunks, tries := s.messages(), attempts(s.pending())
		time.Sleep(recordLease + 10*s.config().Poll) // a relay that is not calm does something in this time
		return s.messages() == chunks && attempts(s.pending()) == tries
	}, "the relay is calm")
}
