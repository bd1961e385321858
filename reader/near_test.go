package reader_test

import (
	"errors"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

// nearby has a cache keep entries for longer than any test lasts, and no connection be given up for its silence.
func nearby(c *cache.Config) {
	c.NearBytes, c.NearTTL, c.BreakerFailures = 1<<20, time.Minute, 1000
	c.Tune = func(o *valkey.ClientOption) { o.ConnWriteTimeout = time.Minute }
}

// nearTable is a table whose reader keeps entries of its own and reaches a Valkey through a proxy, and whose writer reaches it directly.
type nearTable struct {
	*table
	proxy *stack.Proxy
	r     *reader.Raw
}

func newNear(t *testing.T, tune ...func(*cache.Config)) *nearTable {
	t.Helper()
	server := stacktest.OwnValkey(t)
	proxy := rig.Proxy(t, server.Addr())
	f := tableOn(t, rig.DB(t), server.URL())
	near := rig.Cache(t, "valkey://"+proxy.Addr(), append([]func(*cache.Config){nearby}, tune...)...)
	return &nearTable{table: f, proxy: proxy, r: f.raw(func(c *reader.Config) { c.Cache = near })}
}

// gets returns what a read gets, and one of several keys.
func (n *nearTable) gets(key string, options ...reader.Option) string {
	n.t.Helper()
	p, err := n.r.Get(n.t.Context(), key, options...)
	must(n.t, err)
	many, err := n.r.GetMany(n.t.Context(), []string{key}, options...)
	if must(n.t, err); string(many[key].Bytes) != string(p.Bytes) {
		n.t.Errorf("two reads in a row got %q and %q", p.Bytes, many[key].Bytes)
	}
	return string(p.Bytes)
}

func (n *nearTable) eventually(key, value string) {
	n.t.Helper()
	stacktest.Eventually(n.t, patience, func() bool {
		p, err := n.r.Get(n.t.Context(), key)
		return err == nil && string(p.Bytes) == value
	}, "the reader gets "+value)
}

// TestNear reads what the process has kept, with no server in reach, until another client's write has been heard of.
func TestNear(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	key, gone := n.key("k"), n.key("gone")
	n.put(key, "one")
	n.put(gone, "one")
	n.gets(key)
	n.gets(gone)
	must(t, n.proxy.Blackhole())
	for range 100 {
		p, err := n.r.Get(t.Context(), key)
		want(t, p, err, "one", true)
		many, err := n.r.GetMany(t.Context(), []string{key, gone, key})
		want(t, many[key], err, "one", true)
	}
	if loads := n.loads.Load(); loads != 0 {
		t.Errorf("there were %d loads", loads)
	}
	must(t, n.proxy.Heal())
	n.put(key, "two")
	n.remove(gone)
	n.eventually(key, "two")
	stacktest.Eventually(t, patience, func() bool {
		_, err := n.r.Get(t.Context(), gone)
		return errors.Is(err, reader.ErrNotFound)
	}, "the reader hears of the deletion")
}

// TestNearIsNotBelowWhatIsAsked has a write not be heard of. A read that asks for it, by a token or a session, gets it all the same.
func TestNearIsNotBelowWhatIsAsked(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	key, other := n.key("k"), n.key("other")
	n.put(key, "one")
	n.put(other, "one")
	n.gets(key)
	n.gets(other)
	must(t, n.proxy.Blackhole())
	session := reader.NewSession(cache.Token{})
	token := n.put(key, "two").Token()
	session.Wrote(token)
	for range 3 {
		if got := n.gets(key); got != "one" {
			t.Fatalf("the default read got %q, want what was kept", got)
		}
		if got := n.gets(key, reader.AtLeast(token)); got != "two" {
			t.Errorf("the read with a token got %q", got)
		}
		if got := n.gets(key, reader.In(session)); got != "two" {
			t.Errorf("the session's read got %q", got)
		}
		p, err := n.r.Get(t.Context(), other, reader.In(session))
		want(t, p, err, "one", true) // nothing newer is asked
	}
}

// TestNearIsFarWhereOld asks the server before Postgres.
func TestNearIsFarWhereOld(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	key := n.key("k")
	n.put(key, "one")
	for range 50 {
		n.gets(key)
		token := n.put(key, "more").Token() // its invalidation is on its way
		p, err := n.r.Get(t.Context(), key, reader.AtLeast(token))
		want(t, p, err, "more", true)
		many, err := n.r.GetMany(t.Context(), []string{key}, reader.AtLeast(token))
		want(t, many[key], err, "more", true)
	}
}

// TestNearAfterFlush changes a row behind everybody's back and flushes the server.
func TestNearAfterFlush(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	key := n.key("k")
	n.put(key, "one")
	n.gets(key)
	n.insert(key, "two")
	if got := n.gets(key); got != "one" {
		t.Fatalf("got %q, want what was kept", got)
	}
	n.do(n.valkey.B().Flushall().Build())
	n.eventually(key, "two")
}

// TestNearAfterCut loses the connection: what was kept goes with it, for what happens meanwhile is not heard of.
func TestNearAfterCut(t *testing.T) {
	t.Parallel()
	n := newNear(t)
	key := n.key("k")
	n.put(key, "one")
	n.gets(key)
	must(t, n.proxy.Cut())
	n.put(key, "two")
	n.eventually(key, "two")
	must(t, n.proxy.Heal())
	stacktest.Eventually(t, patience, func() bool {
		p, err := n.r.Get(t.Context(), key)
		must(t, err)
		if string(p.Bytes) != "two" {
			t.Fatalf("got %q after the connection was lost", p.Bytes)
		}
		return p.Hit
	}, "the cache serves again")
}

// TestNearEnds holds that what is kept is not kept for longer than NearTTL, also on a connection that is silent.
func TestNearEnds(t *testing.T) {
	t.Parallel()
	n := newNear(t, func(c *cache.Config) { c.NearTTL = 500 * time.Millisecond })
	key := n.key("k")
	n.put(key, "one")
	n.gets(key)
	must(t, n.proxy.Blackhole())
	n.put(key, "two")
	n.eventually(key, "two")
}

// TestNearIsNotForStrictReads has a strict write not be heard of.
func TestNearIsNotForStrictReads(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	proxy := rig.Proxy(t, s.server.Addr())
	near := rig.Cache(t, "valkey://"+proxy.Addr(), nearby)
	r, w, key := s.strictReader(near), s.strictWriter(s.cache), s.key("k")
	s.put(key, "one", w)
	stacktest.Eventually(t, patience, func() bool {
		_, hit := s.read(r, key)
		return hit
	}, "the cache serves strict reads")
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", true)
	must(t, proxy.Blackhole())
	s.put(key, "two", w)
	p, err = r.Get(t.Context(), key)
	want(t, p, err, "one", true)
	if got, _ := s.read(r, key); got != "two" {
		t.Errorf("the strict read got %q", got)
	}
}
