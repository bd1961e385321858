package relay_test

import (
	"context"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// TestSettles runs a relay over records of every kind, on keys at which the cache holds nothing, something older, the
// record's own version, or something newer.
func TestSettles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const newer = 1 << 40
	plain := func(kind outbox.Kind, allocate bool) outbox.Record {
		r := outbox.Record{Kind: kind, TTL: time.Hour, Allocate: allocate}
		if kind == outbox.Set {
			r.Payload = []byte("new")
		}
		return r
	}
	cases := map[string]struct {
		record  outbox.Record
		held    int64 // the version held before, -1 for none, 0 for an older one
		kind    cache.Kind
		payload string
	}{
		"set, onto nothing":                    {plain(outbox.Set, true), -1, cache.Value, "new"},
		"set, onto nothing, allocated on read": {plain(outbox.Set, false), -1, cache.None, ""},
		"set, onto older":                      {plain(outbox.Set, true), 0, cache.Value, "new"},
		"set, onto older, allocated on read":   {plain(outbox.Set, false), 0, cache.Value, "new"},
		"set, onto newer":                      {plain(outbox.Set, true), newer, cache.Value, "held"},
		"absent, onto nothing":                 {plain(outbox.Absent, true), -1, cache.Absent, ""},
		"absent, onto older":                   {plain(outbox.Absent, true), 0, cache.Absent, ""},
		"absent, onto newer":                   {plain(outbox.Absent, true), newer, cache.Value, "held"},
		"invalidate, onto nothing":             {plain(outbox.Invalidate, true), -1, cache.None, ""},
		"invalidate, onto older":               {plain(outbox.Invalidate, true), 0, cache.Placeholder, ""},
		"invalidate, onto newer":               {plain(outbox.Invalidate, true), newer, cache.Value, "held"},
	}
	for name, c := range cases {
		c.record.Key = s.key(name)
		if c.held >= 0 {
			s.seed(c.record.Key, c.held, "held")
		}
		s.record(c.record)
	}
	applied := s.key("applied, but not retired")
	s.seed(applied, s.record(set(applied, "the same"))[0], "the same")

	r, _ := s.run()
	s.drained()
	for name, c := range cases {
		if e := s.entry(s.key(name)); e.Kind != c.kind || string(e.Payload) != c.payload {
			t.Errorf("%s: the cache holds %q %q, want %q %q", name, string(e.Kind), e.Payload, string(c.kind), c.payload)
		}
	}
	s.holds(applied, "the same")
	n := int64(len(cases) + 1)
	if got := r.Stats(); got != (relay.Stats{Taken: n, Settled: n}) {
		t.Errorf("the counters are %+v, want %d taken and settled", got, n)
	}
}

// TestNewestOnly records three versions of a key: one is applied, two are passed over and deleted.
func TestNewestOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.key("a")
	for _, payload := range []string{"one", "two", "three"} {
		s.record(set(key, payload))
	}
	r, _ := s.run()
	s.drained()
	s.holds(key, "three")
	if got := r.Stats(); got.Taken != 1 || got.Settled != 1 || got.Superseded != 2 {
		t.Errorf("the counters are %+v", got)
	}
}

// TestSupersededOnItsWay commits a newer version, which its writer settles, while the older one's chunk is on its way.
func TestSupersededOnItsWay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	db, gate := rig.Gated(t, s.db, rig.Before, readSQL)
	r, _ := s.run(func(cfg *relay.Config) { cfg.DB = db })
	key := s.key("a")
	s.record(set(key, "one"))
	await(t, gate.Reached(), "the relay reads the record")
	w := s.writer(s.cache)
	s.put(w, key, "two")
	s.holds(key, "two")
	gate.Open()
	s.drained()
	s.holds(key, "two")
	if got := r.Stats(); got.Taken != 1 || got.Settled != 1 {
		t.Errorf("the counters are %+v", got)
	}
}

// TestHotKey supersedes each record of a key before the relay reads it, while its writers do not reach the cache and the latest is never due. The entry
// from before must not be served for as long as that goes on.
func TestHotKey(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.key("a")
	s.seed(key, 1, "old")
	db, gate := rig.Gated(t, s.db, rig.Before, readSQL)
	s.record(set(key, "one"))
	r, _ := s.run(func(cfg *relay.Config) { cfg.DB = db })
	await(t, gate.Reached(), "the relay reads the record")
	s.recordWithin(time.Hour, set(key, "two"))
	gate.Open()
	stacktest.Eventually(t, patience, func() bool { return r.Stats().Settled == 1 }, "the first record is settled")
	if e := s.entry(key); e.Hit() {
		t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
	}
	if left := len(s.pending()); left != 1 {
		t.Errorf("%d records are left, want the one in its grace", left)
	}
}

// TestSupersededIsSettledWhileItsKeyIsWritten has a record whose key has, whenever a relay looks, a newer one that waits and cannot be taken: here one that is locked.
// It must not wait for as long as that goes on, for what waits holds up the proof that bounded reads live by.
func TestSupersededIsSettledWhileItsKeyIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.key("a")
	s.seed(key, 1, "old")
	s.record(set(key, "one"))
	s.recordWithin(time.Hour, set(key, "two"))
	tx, err := s.db.Begin(t.Context())
	must(t, err)
	defer func() { must(t, tx.Rollback(context.WithoutCancel(t.Context()))) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM tidelock.outbox WHERE attempts = 0 AND due_at > now() + '1 min' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	s.run()
	stacktest.Eventually(t, patience, func() bool { return len(s.pending()) == 1 }, "the first record is settled")
	if e := s.entry(key); e.Hit() {
		t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
	}
}

// TestLatestIsTakenBeforeItIsDue has a record be due whose key has a newer one in its grace.
func TestLatestIsTakenBeforeItIsDue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.key("a")
	s.record(set(key, "one"))
	s.recordWithin(time.Hour, set(key, "two"))
	s.run()
	s.drained()
	s.holds(key, "two")
}
