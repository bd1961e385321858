package relay_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// cutOff returns a writer that cannot reach the cache, and whose records come due by themselves only after an hour.
func (s *site) cutOff() *writer.Writer {
	s.t.Helper()
	proxy := rig.Proxy(s.t, stacktest.Valkey(s.t).Addr())
	if err := proxy.Cut(); err != nil {
		s.t.Fatal(err)
	}
	return s.writer(rig.Cache(s.t, "valkey://"+proxy.Addr()))
}

// TestNudge has a deferred write settled long before its grace ends. Databases that share a NATS do not take each other's nudges.
func TestNudge(t *testing.T) {
	t.Parallel()
	first, second := newSite(t), newSite(t)
	for _, s := range []*site{first, second} {
		s.run()
		stacktest.Eventually(t, patience, func() bool { return s.messages() >= 0 }, "the relay is up")
	}
	for _, s := range []*site{first, second} {
		w := s.cutOff()
		for _, name := range []string{"a", "b", "c", "d", "e"} { // one by one, and each by a nudge of its own
			key := s.key(name)
			if result := s.put(w, key, name); !result.Deferred() {
				t.Fatalf("the write is %+v, want it deferred", result)
			}
			s.drained()
			s.holds(key, name)
		}
	}
}

// TestBadNudges sends what no writer would; the relay goes on hearing the good ones.
func TestBadNudges(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run()
	stacktest.Eventually(t, patience, func() bool { return s.messages() >= 0 }, "the relay is up")
	for _, hint := range []string{"", "hello", `{"a":1}`, "[]", "[-1,0]", "[9223372036854775807]", "[1e99]"} {
		if err := s.nats.Publish(outbox.NudgeSubject, []byte(hint)); err != nil {
			t.Fatal(err)
		}
	}
	s.put(s.cutOff(), s.key("a"), "one")
	s.drained()
	s.holds(s.key("a"), "one")
}

// TestGrace leaves a record alone that is its writer's, until it comes due.
func TestGrace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r, _ := s.run()
	const grace = 2 * time.Second
	began := time.Now()
	s.recordWithin(grace, set(s.key("a"), "one"))
	s.drained()
	if took := time.Since(began); took < grace {
		t.Errorf("a record within its grace was taken after %v", took)
	}
	if got := r.Stats(); got.Taken != 1 || got.Settled != 1 {
		t.Errorf("the counters are %+v", got)
	}
}
