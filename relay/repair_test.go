package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// TestOldSnapshot brings the cache back with the data of a snapshot.
func TestOldSnapshot(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	s.run()
	l := s.newLoss()
	s.marked(s.valkey, s.canaryKey())
	must(t, server.Save(t.Context()))
	l.change()
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	back := time.Now()
	mended := s.mended(server)
	s.told(mended, back)
	l.repaired(mended.Looked)
}

// TestEmptyServer brings the cache back with nothing.
func TestEmptyServer(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	db, gate := rig.Gated(t, s.db, rig.Before, changedSQL)
	s.run(func(cfg *relay.Config) { cfg.DB = db })
	l := s.newLoss()
	s.marked(s.valkey, s.canaryKey())
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	await(t, gate.Reached(), "the repair begins")
	if doubt := s.listed()[runID(t, server)]; doubt.RepairFrom == nil || *doubt.RepairFrom != 0 || doubt.DropAbove != nil {
		t.Errorf("in doubt is %+v, want all that was ever written", doubt)
	}
	key := s.key("while it is repaired")
	s.put(l.w, key, "new")
	gate.Open()
	s.mended(server)
	s.drained()
	s.holds(key, "new")
	for key := range l.kept {
		if e := s.entry(key); e.Kind != 0 {
			t.Errorf("%s: the cache holds %q of version %d", key, string(e.Kind), e.Version)
		}
		s.put(l.w, key, "new")
		s.holds(key, "new")
	}
}

// TestWhatIsNotSettledHoldsTheHorizon takes a snapshot of the cache while a change is committed, or will be, but is not in it. It
// gets there later and is lost again, with the cache back on the snapshot. Its transaction is older than many that were settled by
// the time of the snapshot; the repair covers it all the same.
func TestWhatIsNotSettledHoldsTheHorizon(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(s *site, key string) (finish func()){
		"open transaction": func(s *site, key string) func() {
			tx, err := s.db.Begin(t.Context())
			must(t, err)
			records := []outbox.Record{set(key, "new")}
			var b pgx.Batch
			outbox.Append(&b, records, time.Hour, outbox.Strict{})
			must(t, tx.SendBatch(t.Context(), &b).Close())
			return func() {
				must(t, tx.Commit(t.Context()))
				s.settle(records[0].Version)
			}
		},
		"pending record": func(s *site, key string) func() {
			versions := s.recordWithin(time.Hour, set(key, "new"))
			s.passed()
			return func() { s.settle(versions...) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := stacktest.OwnValkey(t)
			s := siteAt(t, server.Addr())
			s.run()
			w, key := s.writer(s.cache), s.key("a")
			s.put(w, key, "old")
			finish := begin(s, key)
			for i := range 5 {
				s.put(w, s.key(fmt.Sprint("other ", i)), "settled")
			}
			s.marked(s.valkey, s.canaryKey())
			must(t, server.Save(t.Context()))
			finish()
			s.holds(key, "new")
			s.marked(s.valkey, s.canaryKey())
			must(t, errors.Join(server.Kill(), server.Start(t.Context())))
			s.mended(server)
			if s.hasOld(key, "new") {
				t.Error("the cache serves what it had at the time of the snapshot")
			}
		})
	}
}

// TestGuardianKilledInRepair kills the guardian when it has done a part of a repair. The next one does all of it.
func TestGuardianKilledInRepair(t *testing.T) {
	t.Parallel()
	const many, page = 1400, 1000
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	_, stop := s.run()
	s.recordMany(many)
	s.drained()
	s.passed()
	from := s.marked(s.valkey, s.canaryKey())
	must(t, server.Save(t.Context()))
	var records []outbox.Record
	for i := range many {
		records = append(records, set(s.key(i), "new"))
	}
	s.record(records...)
	s.drained()
	stop()
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	s.kill("SET looked_at")
	s.connected(s.key("any"))
	if doubt := s.listed()[runID(t, server)]; doubt.RepairFrom == nil || *doubt.RepairFrom < from {
		t.Errorf("in doubt is %+v, want what has changed since %d", doubt, from)
	}
	if n := s.old(many); n != many-page {
		t.Errorf("%d values are old by now, want %d", n, many-page)
	}
	r, _ := s.run()
	s.mended(server)
	if n := s.old(many); n != 0 {
		t.Errorf("%d values are old", n)
	}
	stacktest.Eventually(t, patience, func() bool { return r.Stats().Repaired >= many }, "the second guardian has looked at all of them")
}

// old counts the keys of recordMany for which the cache serves another value than "new".
func (s *site) old(many int) (n int) {
	s.t.Helper()
	for i := range many {
		if s.hasOld(s.key(i), "new") {
			n++
		}
	}
	return n
}

// slow makes the reading of the horizon take a while, as it does with much pending.
type slow struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (slow) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, horizonSQL) {
		time.Sleep(100 * time.Millisecond)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (slow) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestRepairedOnce holds that a repair that has ended well is not made again until the guardian has seen so in Postgres.
func TestRepairedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	config := s.db.Config()
	config.ConnConfig.Tracer = slow{}
	db, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(db.Close)
	r, _ := s.run(func(cfg *relay.Config) { cfg.DB = db })
	l := s.newLoss()
	s.marked(s.valkey, s.canaryKey())
	must(t, server.Save(t.Context()))
	l.change()
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	s.mended(server)
	s.marked(s.valkey, s.canaryKey()) // the guardian has looked since
	if n := r.Stats().Repaired; n != int64(len(l.lost)) {
		t.Errorf("repairs have looked at %d keys; %d have changed", n, len(l.lost))
	}
}

// TestCanaryLost takes the canary, and everything else, from a server that goes on: nothing old can be there.
func TestCanaryLost(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	r, _ := s.run()
	s.put(s.writer(s.cache), s.key("a"), "v")
	before := s.marked(s.valkey, s.canaryKey())
	since := s.mended(server).Since
	s.do(s.valkey.B().Flushall().Build())
	if after := s.marked(s.valkey, s.canaryKey()); after < before {
		t.Errorf("the canary of %d became one of %d", before, after)
	}
	if now := s.mended(server); !now.Since.Equal(since) || now.Repaired != nil || r.Stats().Repaired != 0 {
		t.Errorf("the server on record is %+v, as if it was another one", now)
	}
}

// TestTwoDatabases has two databases share a cache that loses something of both.
func TestTwoDatabases(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	sites := []*site{siteAt(t, server.Addr()), siteAt(t, server.Addr())}
	var losses []*loss
	for _, s := range sites {
		s.run()
		losses = append(losses, s.newLoss())
	}
	for _, s := range sites {
		s.marked(s.valkey, s.canaryKey())
	}
	must(t, server.Save(t.Context()))
	losses[0].change()
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	losses[0].repaired(sites[0].mended(server).Looked)
	if mended := sites[1].mended(server); mended.Looked != 0 {
		t.Errorf("the repair has looked at %d keys of the other database, of which nothing was lost", mended.Looked)
	}
	for _, key := range losses[1].lost {
		sites[1].holds(key, "old")
	}
}
