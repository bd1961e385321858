package relay_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
)

// start runs a relay until its context is cancelled; done bears what Run returned.
func (s *site) start(cfg relay.Config) (r *relay.Relay, cancel func(), done <-chan error) {
	s.t.Helper()
	r, err := relay.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- r.Run(ctx) }()
	return r, cancel, result
}

// stopped waits for a relay's Run, which must return nil, and within a time that is far below any lease.
func stopped(t testing.TB, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Run did not return")
	}
}

// TestStopsInTheMiddle stops a relay amid a backlog. Whatever it has not settled is another's at the latest when its lease ends.
func TestStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	const records, keys = 4000, 2000
	s := newSite(t)
	s.insertBacklog(records, keys)
	r, cancel, done := s.start(s.config(shortLease, func(cfg *relay.Config) {
		cfg.Log, cfg.Batch, cfg.ChunkRecords = zap.NewNop(), 100, 10
	}))
	stacktest.Eventually(t, patience, func() bool { return r.Stats().Settled > 0 }, "the relay is at work")
	cancel()
	stopped(t, done)
	var held int
	const later = "SELECT count(*) FROM tidelock.outbox WHERE due_at > clock_timestamp() + $1::interval"
	if err := s.db.QueryRow(t.Context(), later, recordLease).Scan(&held); err != nil {
		t.Fatal(err)
	}
	if held != 0 {
		t.Errorf("%d records are held for longer than a lease", held)
	}
	before := r.Stats()
	s.run(func(cfg *relay.Config) { cfg.Log = zap.NewNop() })
	s.drained()
	s.allNewest(keys)
	if after := r.Stats(); after != before {
		t.Errorf("the relay that was stopped went on from %+v to %+v", before, after)
	}
}

// TestStopsWithAChunkInHand stops a relay that is about to read a chunk's records. It finishes that chunk first.
func TestStopsWithAChunkInHand(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recordMany(10)
	db, gate := rig.Gated(t, s.db, rig.Before, readSQL)
	_, cancel, done := s.start(s.config(func(cfg *relay.Config) { cfg.DB = db }))
	await(t, gate.Reached(), "the relay has a chunk")
	cancel()
	select {
	case <-done:
		t.Error("Run returned with a chunk in hand")
	case <-time.After(100 * time.Millisecond): // as long as it would take to return
	}
	gate.Open()
	stopped(t, done)
	s.holdsMany(10)
	if n := len(s.pending()); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

// TestStopsWhileAllIsDown stops a relay that can reach neither server.
func TestStopsWhileAllIsDown(t *testing.T) {
	t.Parallel()
	valkey, conn := rig.Proxy(t, stacktest.Valkey(t).Addr()), rig.Proxy(t, stacktest.NATS(t).Addr())
	for _, p := range []interface{ Cut() error }{valkey, conn} {
		if err := p.Cut(); err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t)
	s.recordMany(10)
	cfg := s.config()
	cfg.Cache, cfg.NATS = rig.Cache(t, "valkey://"+valkey.Addr()), rig.NATS(t, "nats://"+conn.Addr())
	r, cancel, done := s.start(cfg)
	quiet(t, func() bool { return r.Stats() == relay.Stats{} }, "the relay can do nothing")
	cancel()
	stopped(t, done)
}

// TestRefusesOldSnapshots: what a relay reads in one statement must not be older than the locks which that statement has.
func TestRefusesOldSnapshots(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r, err := relay.New(s.config(func(cfg *relay.Config) {
		cfg.DB = rig.Pool(t, s.db.Config().ConnString()+"&default_transaction_isolation=repeatable%20read")
	}))
	must(t, err)
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "repeatable read") {
		t.Errorf("the relay ended with %v", err)
	}
}

// TestRotates has a relay go on to another part of the outbox, and empty the one before, while it works.
func TestRotates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(func(cfg *relay.Config) { cfg.PartBytes = 1 << 10 })
	s.recordMany(20)
	behind := 0
	stacktest.Eventually(t, patience, func() bool {
		var now int
		must(t, s.db.QueryRow(t.Context(), "SELECT last_value FROM tidelock.part").Scan(&now))
		var bytes int64
		must(t, s.db.QueryRow(t.Context(), "SELECT pg_relation_size('tidelock.outbox') + sum(pg_relation_size(format('tidelock.outbox_%s', n)::regclass)) FROM generate_series(0, 2) n WHERE n <> $1", now).Scan(&bytes))
		if now != behind && bytes == 0 {
			behind = -1
		}
		return behind < 0
	}, "the outbox has moved on, and left nothing behind")
	s.recordMany(20)
	s.drained()
	s.holdsMany(20)
}

// TestPrunes has a relay forget the versions of keys that were last written longer ago than entries live.
func TestPrunes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recordMany(20)
	r, _ := s.run(func(cfg *relay.Config) { cfg.PruneEvery, cfg.KeepVersions = 20*time.Millisecond, time.Millisecond })
	s.drained()
	stacktest.Eventually(t, patience, func() bool { return r.Stats().Pruned == 20 }, "the versions are forgotten")
	var n int
	if err := s.db.QueryRow(t.Context(), "SELECT count(*) FROM tidelock.versions").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d versions are left, %v", n, err)
	}
	s.recordMany(20) // what is written afterwards still wins
	s.drained()
	s.holdsMany(20)
}
