package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// history is one of two that a database has at once: that of a primary which goes on for a while after its standby was promoted, and
// that of the standby. They share the cache.
type history struct {
	*site
	w *writer.Writer
}

func (s *site) history(db *pgxpool.Pool) history {
	h := history{site: &site{t: s.t, db: db, cache: s.cache, prefix: s.prefix}}
	h.w = rig.Writer(s.t, writer.Config{DB: db, Cache: s.cache, Grace: time.Hour})
	return h
}

// draw draws n versions for nothing and returns the last.
func (h history) draw(n int64) (version int64) {
	h.t.Helper()
	sql := "SELECT coalesce(max(nextval('tidelock.version_seq')), 0) FROM generate_series(1, $1::bigint)"
	must(h.t, h.db.QueryRow(h.t.Context(), sql, n).Scan(&version))
	return version
}

// level has the two histories draw the same version next.
func level(a, b history) {
	x, y := a.draw(1), b.draw(1)
	a.draw(max(0, y-x))
	b.draw(max(0, x-y))
}

// TestPostgresFailover loses a primary with commits that its standby has not heard of, and that the cache has. Everybody but the lost
// history's writers goes by a proxy.
func TestPostgresFailover(t *testing.T) {
	t.Parallel()
	primary := stacktest.OwnPostgres(t)
	_, err := migrations.Up(t.Context(), primary.URL())
	must(t, err)
	standby, err := stack.StartStandby(t.Context(), primary, stack.PostgresConfig{NoFsync: true})
	must(t, err)
	t.Cleanup(func() { must(t, standby.Close()) })
	front := rig.Proxy(t, primary.Addr())
	pool := rig.Pool(t, strings.Replace(primary.URL(), primary.Addr(), front.Addr(), 1))
	s := siteOn(t, pool, stacktest.OwnValkey(t).URL(), stacktest.NATS(t).URL())
	db, gate := rig.Gated(t, pool, rig.Before, movedSQL)
	r, _ := s.run(func(cfg *relay.Config) { cfg.DB = db })
	lost, promoted := s.history(rig.Pool(t, primary.URL())), s.history(rig.Pool(t, standby.URL()))

	key := func(name string) string { return s.key(name) }
	kept := s.writeKept(promoted)
	open := lost.begin(key("open"), promoted)
	must(t, standby.Replication().Blackhole())
	open.finish("lost")
	lost.put(lost.w, key("lost"), "lost")

	must(t, standby.Promote(t.Context()))
	must(t, front.Retarget(standby.Addr(), false))
	await(t, gate.Reached(), "the guardian has noticed")
	level(lost, promoted)
	both := lost.put(lost.w, key("both"), "lost").Version()
	if again := promoted.put(promoted.w, key("both"), "new"); again.Version() != both || again.Keys[0].Outcome != writer.Superseded {
		t.Fatalf("the write is %+v, want version %d and that the cache has it already", again, both)
	}
	lost.draw(1000)
	late := lost.put(lost.w, key("late"), "lost").Version()
	must(t, primary.Kill())
	gate.Open()

	stacktest.Eventually(t, patience, func() bool { return promoted.left() && !promoted.doubt() }, "the guardian has repaired the cache")
	for _, name := range []string{"open", "lost", "both", "late"} {
		if e := s.entry(key(name)); e.Hit() {
			t.Errorf("%s: the cache serves %q of version %d, of the lost history", name, e.Payload, e.Version)
		}
	}
	for name, version := range kept {
		if e := s.entry(name); !e.Hit() || e.Version != version {
			t.Errorf("%s: nothing was lost, and the cache holds %q of version %d instead of %d", name, string(e.Kind), e.Version, version)
		}
	}
	s.afterJump(promoted, key("late"), late)
	promoted.put(promoted.w, key("both"), "newest")
	s.holds(key("both"), "newest")
	if !t.Failed() {
		stacktest.Eventually(t, patience, func() bool { return r.Stats().Dropped == 4 }, "the four entries of the lost history are counted")
	}
}

// writeKept writes keys that the standby has and knows to be safe, and returns their versions.
func (s *site) writeKept(standby history) map[string]int64 {
	s.t.Helper()
	w := s.writer(s.cache)
	s.put(w, s.key("open"), "old")
	kept := make(map[string]int64)
	var last int64
	for i := range 10 {
		key := s.key(fmt.Sprint("kept ", i))
		last = s.put(w, key, "kept").Version()
		kept[key] = last
	}
	s.drained()
	stacktest.Eventually(s.t, patience, func() bool {
		return standby.number("SELECT safe_version FROM tidelock.guardian") >= last
	}, "the standby knows that the versions are safe")
	return kept
}

func (s *site) number(sql string) (n int64) {
	s.t.Helper()
	must(s.t, s.db.QueryRow(s.t.Context(), sql).Scan(&n))
	return n
}

// opened is a transaction that has drawn a version.
type opened struct {
	h       history
	tx      pgx.Tx
	records []outbox.Record
}

// begin opens a transaction that changes a key, and waits until the standby has heard of two looks of the guardian at it: the first
// may take the version for the mark, and the second must not take it for safe.
func (h history) begin(key string, standby history) opened {
	h.t.Helper()
	tx, err := h.db.Begin(h.t.Context())
	must(h.t, err)
	o := opened{h, tx, []outbox.Record{set(key, "")}}
	var b pgx.Batch
	outbox.Append(&b, o.records, time.Hour, outbox.Strict{})
	must(h.t, tx.SendBatch(h.t.Context(), &b).Close())
	for range 2 {
		marked := standby.number(`SELECT (extract(epoch FROM until) * 1000000)::bigint FROM tidelock.guardian`)
		stacktest.Eventually(h.t, patience, func() bool {
			return standby.number(`SELECT CASE WHEN mark_version >= `+fmt.Sprint(o.records[0].Version)+
				` THEN (extract(epoch FROM until) * 1000000)::bigint ELSE 0 END FROM tidelock.guardian`) > marked
		}, "the standby hears of a look of the guardian")
	}
	return o
}

// finish commits the transaction and brings its change to the cache, as a writer does.
func (o opened) finish(payload string) {
	o.h.t.Helper()
	must(o.h.t, o.tx.Commit(o.h.t.Context()))
	change := cache.Change{Key: o.records[0].Key, Version: o.records[0].Version, Kind: cache.Value, Payload: []byte(payload), TTL: time.Hour}
	if reply := o.h.cache.Apply(o.h.t.Context(), change)[0]; reply.Outcome != cache.Applied {
		o.h.t.Fatalf("the apply gave %v, %v", reply.Outcome, reply.Err)
	}
}

// left reports whether the database has taken note that it is of another history, and doubt whether something is in doubt.
func (h history) left() bool {
	h.t.Helper()
	return h.number("SELECT count(*) FROM tidelock.histories") > 0
}

func (h history) doubt() bool {
	h.t.Helper()
	for _, server := range h.listed() {
		if server.Doubt() {
			return true
		}
	}
	return false
}

// afterJump writes a key and then has a change of the lost history arrive that was under way all the time.
func (s *site) afterJump(h history, key string, version int64) {
	s.t.Helper()
	if now := h.put(h.w, key, "new").Version(); now <= version {
		s.t.Errorf("version %d was drawn; %d is of the lost history", now, version)
	}
	s.cache.Apply(s.t.Context(), cache.Change{Key: key, Version: version, Kind: cache.Value, Payload: []byte("lost"), TTL: time.Hour})
	s.holds(key, "new")
}
