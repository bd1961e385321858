package relay_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// stall stops a guardian once it has read the horizon, as if its process stood still: unlike a rig.Gate it knows of no deadline.
type stall struct {
	armed, woken   atomic.Bool
	tried          atomic.Bool   // to register a server, since it was woken
	stopped        chan struct{} // closed when it stands
	open           chan struct{} // closed to let it go on
	over           chan struct{} // closed when it has ended the beat in which it stood
	opening, ended sync.Once
}

type stalled struct{}

func stallable(t *testing.T, db *pgxpool.Pool) (*pgxpool.Pool, *stall) {
	t.Helper()
	s := &stall{stopped: make(chan struct{}), open: make(chan struct{}), over: make(chan struct{})}
	config := db.Config()
	config.ConnConfig.Tracer = s
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(pool.Close)
	t.Cleanup(s.wake)
	return pool, s
}

func (s *stall) wake() {
	s.opening.Do(func() {
		s.woken.Store(true)
		close(s.open)
	})
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *stall) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	switch {
	case strings.Contains(data.SQL, horizonSQL) && s.armed.Swap(false):
		return context.WithValue(ctx, stalled{}, true)
	case strings.Contains(data.SQL, registerSQL) && s.woken.Load():
		s.tried.Store(true)
	case strings.Contains(data.SQL, officeSQL) && s.woken.Load():
		s.ended.Do(func() { close(s.over) })
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *stall) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if ctx.Value(stalled{}) != nil {
		close(s.stopped)
		<-s.open
	}
}

// TestOldGuardianWakesUp stops a guardian when it has read the horizon. Until it goes on, the cache is back with the data of a
// snapshot, and somebody else has the office. The old guardian's canary may not come to stand in the new server, whose data it does
// not speak of, and its registration may not count.
func TestOldGuardianWakesUp(t *testing.T) {
	t.Parallel()
	for range 5 {
		if oldGuardianWakesUp(t) || t.Failed() {
			return
		}
	}
	t.Error("the machine is too busy for the guardian to ask the server in time")
}

// oldGuardianWakesUp reports whether the old guardian got as far as to register the server.
func oldGuardianWakesUp(t *testing.T) bool {
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	db, old := stallable(t, s.db)
	_, stop := s.run(func(cfg *relay.Config) { cfg.DB, cfg.GuardLease = db, guardLease })
	w, key := s.writer(s.cache), s.key("a")
	s.put(w, key, "old")
	s.drained()
	s.marked(s.valkey, s.canaryKey())
	must(t, server.Save(t.Context()))
	saved, before := horizonIn(t, s.get(s.valkey, s.canaryKey())), runID(t, server)
	s.put(w, key, "new")
	s.drained()
	s.passed()
	s.marked(s.valkey, s.canaryKey())

	old.armed.Store(true)
	await(t, old.stopped, "the guardian has read the horizon")
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	next := s.takeOffice("next")
	stacktest.Eventually(t, patience, func() bool { _, err := s.cache.Watch(t.Context(), "", nil); return err == nil }, "the cache is connected again")
	old.wake()
	await(t, old.over, "the guardian ends its beat")
	stop()
	if _, ok := s.listed()[before]; !ok {
		t.Error("the old guardian has put a server on record though its term is over")
	}
	if found := horizonIn(t, s.get(s.valkey, s.canaryKey())); found > saved {
		t.Errorf("the server bears the canary of %d, and has what was settled by %d", found, saved)
	}
	must(t, outbox.Resign(t.Context(), s.db, next.Holder))
	s.run()
	s.mended(server)
	if s.hasOld(key, "new") {
		t.Error("the cache serves what it had at the time of the snapshot")
	}
	return old.tried.Load()
}

// takeOffice waits until the guardian's office is free and takes it.
func (s *site) takeOffice(holder string) (office outbox.Office) {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() (held bool) {
		var err error
		office, held, err = outbox.TakeOffice(s.t.Context(), s.db, holder, patience)
		return err == nil && held
	}, "the office is free")
	return office
}

// TestRepairEndsOneDoubt has more come to be in doubt of a server while it is repaired.
func TestRepairEndsOneDoubt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	office := s.takeOffice("guardian")
	register := func(from int64) outbox.Server {
		must(t, outbox.Register(t.Context(), s.db, office, outbox.Server{RunID: "run", ReplID: "replication", RepairFrom: &from}))
		return s.listed()["run"]
	}
	first, second := register(100), register(50)
	for _, step := range []struct {
		ended outbox.Server
		doubt bool
	}{{first, true}, {second, false}} {
		must(t, outbox.Repaired(t.Context(), s.db, step.ended))
		if now := s.listed()["run"]; now.Doubt() != step.doubt {
			t.Errorf("after the repair of doubt %d, something is in doubt: %v; want %v", step.ended.Doubts, now.Doubt(), step.doubt)
		}
	}
}

// TestHorizonBelowMark uses xids up after the guardian's last beat. Nothing says that they are used up but the memory of Postgres: killed, it
// would give them out again, and the canary of such a horizon would speak of transactions that are yet to come.
func TestHorizonBelowMark(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.takeOffice("guardian")
	for range 3 {
		s.text("SELECT pg_current_xact_id()::text")
	}
	s.passed()
	mark, _, err := outbox.Horizon(t.Context(), s.db, outbox.Mark{})
	must(t, err)
	if flushed := s.number("SELECT mark_xid::text::bigint FROM tidelock.guardian"); mark.Xid > flushed {
		t.Errorf("the horizon is %d, and %d is what a crash leaves", mark.Xid, flushed)
	}
}
