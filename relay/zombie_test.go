package relay_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// writer returns a writer whose records are the relay's only when it cannot settle them itself.
func (s *site) writer(c *cache.Cache) *writer.Writer {
	return rig.Writer(s.t, writer.Config{DB: s.db, Cache: c, Grace: time.Hour, NATS: s.nats})
}

// put writes a change without a row.
func (s *site) put(w *writer.Writer, key, payload string) writer.Result {
	s.t.Helper()
	result, err := w.Put(s.t.Context(), writer.Put{Key: key, SQL: "SELECT $1::text", Args: []any{payload}})
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// TestPausedRelayInstallsNothingOld stops a relay when it has read a record. Meanwhile a newer write lands in the cache and is lost
// from it. What the relay holds may not come back.
func TestPausedRelayInstallsNothingOld(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(s *site, key string){
		"deleted": func(s *site, key string) { s.del(key) },
		"flushed": func(s *site, _ string) { s.do(s.valkey.B().Flushall().Build()) },
		"lost, and being loaded": func(s *site, key string) {
			s.del(key)
			s.cache.Ticket(s.t.Context(), []string{key})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := siteOn(t, rig.DB(t), stacktest.OwnValkey(t).URL(), stacktest.NATS(t).URL())
			db, gate := rig.Gated(t, s.db, rig.After, readSQL)
			s.run(func(cfg *relay.Config) { cfg.DB = db })
			key := s.key("a")
			s.record(set(key, "old"))
			await(t, gate.Reached(), "the relay has read the record")
			s.put(s.writer(s.cache), key, "new")
			s.holds(key, "new")
			lose(s, key)
			gate.Open()
			s.drained()
			if e := s.entry(key); e.Hit() {
				t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
			}
		})
	}
}

// TestTicketInVain has the entry lost, or invalidated by a neighbour, between a relay's ticket and its apply. The value is stored all the same, for its version
// is still the latest.
func TestTicketInVain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(s *site, key string, version int64){
		"lost": func(s *site, key string, _ int64) { s.del(key) },
		"invalidated": func(s *site, key string, version int64) {
			reply := s.cache.Apply(s.t.Context(), cache.Change{Key: key, Version: version, Kind: cache.Placeholder})[0]
			if !reply.Outcome.Done() {
				s.t.Errorf("invalidating: %v, %v", reply.Outcome, reply.Err)
			}
		},
	} {
		for before, seed := range map[string]bool{"held": true, "not held": false} {
			t.Run(name+", "+before, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				key := s.key("a")
				if seed {
					s.seed(key, 1, "old")
				}
				db, gate := rig.Gated(t, s.db, rig.After, readSQL)
				s.run(func(cfg *relay.Config) { cfg.DB = db })
				version := s.record(set(key, "new"))[0]
				await(t, gate.Reached(), "the relay has read the record")
				spoil(s, key, version)
				gate.Open()
				s.drained()
				s.holds(key, "new")
			})
		}
	}
}

// TestLateChunk hands the relay a chunk that names a record whose key has had a newer version since, settled and then lost
// from the cache: a chunk may be as late as it likes.
func TestLateChunk(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run()
	key := s.key("a")
	old := s.recordWithin(time.Hour, set(key, "old"))[0]
	s.put(s.writer(s.cache), key, "new")
	s.holds(key, "new")
	s.del(key)
	s.publish(relay.EncodeChunk([]outbox.Claim{{Version: old, Key: key, Allocate: true}}))
	s.drained()
	if e := s.entry(key); e.Hit() {
		t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
	}
}

// publish puts a message into the stream once the relay has made it.
func (s *site) publish(data []byte) {
	s.t.Helper()
	js := s.jetstream()
	stacktest.Eventually(s.t, patience, func() bool { return s.messages() >= 0 }, "the relay makes its stream")
	if _, err := js.Publish(s.t.Context(), s.stream, data); err != nil {
		s.t.Fatal(err)
	}
}

// TestChunkTwice delivers a chunk again after its record is settled and retired.
func TestChunkTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run()
	key := s.key("a")
	version := s.record(set(key, "one"))[0]
	s.drained()
	s.publish(relay.EncodeChunk([]outbox.Claim{{Version: version, Key: key, Allocate: true}}))
	stacktest.Eventually(t, patience, func() bool { return s.messages() == 0 }, "the chunk is acknowledged")
	s.holds(key, "one")
}
