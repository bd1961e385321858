package relay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
)

// backlog has the relay's consumers stand at a gate while the stream fills behind them.
func (s *site) backlog(records, chunks int) *rig.Gate {
	s.t.Helper()
	db, gate := rig.Gated(s.t, s.db, rig.Before, readSQL)
	s.recordMany(records)
	s.run(shortLease, func(cfg *relay.Config) { cfg.DB, cfg.ChunkRecords = db, records/chunks })
	stacktest.Eventually(s.t, patience, func() bool { return s.messages() >= chunks }, "the stream fills")
	return gate
}

// TestNATSLosesItsStore kills NATS with chunks in the stream and brings it back empty.
func TestNATSLosesItsStore(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnNATS(t)
	s := siteOn(t, rig.DB(t), stacktest.Valkey(t).URL(), server.URL())
	gate := s.backlog(50, 10)
	if err := errors.Join(server.Kill(), server.Wipe(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	gate.Open()
	s.drained()
	s.holdsMany(50)
}

// TestStreamDeleted takes the stream, or its consumer, from under a relay that has chunks in it.
func TestStreamDeleted(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(s *site, js jetstream.JetStream) error{
		"stream": func(s *site, js jetstream.JetStream) error { return js.DeleteStream(s.t.Context(), s.stream) },
		"consumer": func(s *site, js jetstream.JetStream) error {
			return js.DeleteConsumer(s.t.Context(), s.stream, "relay")
		},
		"messages": func(s *site, js jetstream.JetStream) error {
			stream, err := js.Stream(s.t.Context(), s.stream)
			if err != nil {
				return err
			}
			return stream.Purge(s.t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			gate := s.backlog(50, 10)
			if err := remove(s, s.jetstream()); err != nil {
				t.Fatal(err)
			}
			gate.Open()
			s.drained()
			s.holdsMany(50)
		})
	}
}

// TestStreamDeletedWhileIdle has consumers wait for chunks when their stream goes.
func TestStreamDeletedWhileIdle(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(shortLease)
	s.recordMany(1)
	s.drained()
	for range 3 {
		if err := s.jetstream().DeleteStream(t.Context(), s.stream); err != nil {
			t.Fatal(err)
		}
		s.recordMany(10)
		s.drained()
	}
	s.holdsMany(10)
}

// TestNATSDownAtStart starts a relay that finds no NATS, and cuts the connection once more later on.
func TestNATSDownAtStart(t *testing.T) {
	t.Parallel()
	proxy := rig.Proxy(t, stacktest.NATS(t).Addr())
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	s := siteOn(t, rig.DB(t), stacktest.Valkey(t).URL(), "nats://"+proxy.Addr())
	r, _ := s.run(shortLease)
	s.recordMany(10)
	quiet(t, func() bool { return r.Stats().Taken == 0 && len(s.pending()) == 10 }, "without NATS nothing is claimed")
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.drained()
	s.holdsMany(10)

	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	s.recordMany(20)
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	s.drained()
	s.holdsMany(20)
}

// TestFullStream leaves room for a single record in the stream.
func TestFullStream(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recordMany(30)
	s.run(func(cfg *relay.Config) { cfg.StreamChunks, cfg.ChunkRecords, cfg.Poll = 1, 1, 5*time.Millisecond })
	s.drained()
	s.holdsMany(30)
}

// quiet checks that something holds and goes on holding, for several rounds of whatever polls.
func quiet(t testing.TB, holds func() bool, what string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if !holds() {
			t.Fatalf("does not hold: %s", what)
		}
	}
}
