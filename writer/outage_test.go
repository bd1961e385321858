package writer_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

const (
	deadline = 300 * time.Millisecond // of the writer's calls to the cache
	// slack is what a busy machine may add to a deadline.
	slack = 4 * deadline
	// convergence is how soon after the cache's return a relay has settled everything: two seconds, and what a busy machine adds.
	convergence = 2*time.Second + slack
)

// outages are faults of the cache, and their ends.
var outages = map[string]struct{ begin, end func(*victim) error }{
	"killed":    {func(x *victim) error { return x.server.Kill() }, func(x *victim) error { return x.server.Start(context.Background()) }},
	"paused":    {func(x *victim) error { return x.server.Pause() }, func(x *victim) error { return x.server.Resume() }},
	"blackhole": {func(x *victim) error { return x.proxy.Blackhole() }, heal},
	"reset":     {func(x *victim) error { return x.proxy.Reset() }, heal},
	"cut":       {func(x *victim) error { return x.proxy.Cut() }, heal},
	"slow":      {func(x *victim) error { return x.proxy.Slow(time.Minute) }, heal},
}

func heal(x *victim) error { return x.proxy.Heal() }

// victim is a world whose writer and relay reach the cache through a proxy.
type victim struct {
	*world
	server *stack.Valkey
	proxy  *stack.Proxy
	near   *cache.Cache // the writer's
	w      *writer.Writer
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	server := stacktest.OwnValkey(t)
	x := &victim{world: newWorldOn(t, server), server: server, proxy: rig.Proxy(t, server.Addr())}
	x.near = x.through(t, deadline)
	x.w = x.writer(t, func(c *writer.Config) {
		c.Cache = x.near
		c.NATS = rig.NATS(t, stacktest.NATS(t).URL())
	})
	return x
}

func (x *victim) through(t *testing.T, timeout time.Duration) *cache.Cache {
	t.Helper()
	return rig.Cache(t, "valkey://"+x.proxy.Addr(), func(c *cache.Config) { c.Timeout = timeout })
}

// TestWritesGoOnThroughAnOutage: every one commits, costs the cache's deadline at most, and nothing once the breaker is open;
// and the cache has it all soon after its return.
func TestWritesGoOnThroughAnOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newVictim(t)
			keys := x.warm(t, x.numbered(t, 12)...)
			x.relay(t, x.through(t, deadline))
			must(t, fault.begin(x))
			var took []time.Duration
			for i := range 6 { // one more than it takes to open the breaker
				took = append(took, x.defers(t, keys, i))
			}
			if m := median(took); m > deadline+slack {
				t.Errorf("a write took %v, the deadline is %v", m, deadline)
			}
			stacktest.Eventually(t, patience, func() bool { return x.near.Breaker() != cache.Closed }, "the breaker opens")
			took = nil
			for i := range 18 {
				took = append(took, x.defers(t, keys, i))
			}
			if m := median(took); m > deadline/2 {
				t.Errorf("with the breaker open a write took %v, the deadline is %v", m, deadline)
			}
			if n := value[int](t, x.world, `SELECT count(*) FROM tidelock.versions v
				WHERE NOT EXISTS (SELECT FROM tidelock.outbox o WHERE o.version = v.version)`); n != 0 {
				t.Errorf("%d keys have no record while the cache is down", n)
			}
			must(t, fault.end(x))
			x.converges(t, keys)
		})
	}
}

// defers writes key number i in one of the ways, checks that it is committed and deferred, and returns how long it took.
func (x *victim) defers(t *testing.T, keys []string, i int) time.Duration {
	t.Helper()
	key, text := keys[i%len(keys)], fmt.Sprint("new ", i)
	do := []way{viaWrite, viaPut, viaRecord}[i%3]
	begun := time.Now()
	result, err := do(t.Context(), x.world, x.w, key, text)
	took := time.Since(begun)
	if err != nil || !result.Deferred() || result.Version() == 0 {
		t.Errorf("got %+v, %v, want it deferred", result, err)
	}
	if row := x.row(t, key); row != text {
		t.Errorf("the row of %s is %q, want %q", key, row, text)
	}
	return took
}

// converges waits until the outbox is empty and the cache holds nothing but what the rows hold. It may hold less: when the server came
// back empty, or came back just between a relay's ticket and its apply, a key is settled without a value.
func (x *victim) converges(t *testing.T, keys []string) {
	t.Helper()
	begun := time.Now()
	stacktest.Eventually(t, patience, func() bool {
		entries, err := x.cache.GetMany(t.Context(), keys)
		if err != nil {
			return false
		}
		for i, e := range entries {
			if e.Hit() && string(e.Payload) != x.row(t, keys[i]) {
				return false
			}
		}
		return x.records(t) == 0
	}, "the cache converges")
	took := time.Since(begun)
	t.Logf("settled %v after the return", took)
	if took > convergence {
		t.Errorf("settled %v after the return, want %v", took, convergence)
	}
}

// TestCacheDownAtStart: a service starts, and writes, with its cache down.
func TestCacheDownAtStart(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	v := newWorldOn(t, server)
	must(t, server.Kill())
	near := rig.Cache(t, server.URL(), func(c *cache.Config) { c.Timeout = deadline })
	x := &victim{world: v, server: server, near: near, w: v.writer(t, func(c *writer.Config) { c.Cache = near })}
	keys := x.numbered(t, 9)
	var took []time.Duration
	for i := range keys {
		took = append(took, x.defers(t, keys, i))
	}
	if m := median(took); m > deadline/2 {
		t.Errorf("a write took %v, the deadline is %v", m, deadline)
	}
	x.relay(t, near)
	must(t, server.Start(t.Context()))
	x.converges(t, keys)
}

// TestNATSDown costs nothing but the announcement.
func TestNATSDown(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	v := newWorldOn(t, server)
	dead := rig.NATS(t, "nats://127.0.0.1:1")
	w := v.writer(t, func(c *writer.Config) { c.NATS = dead })
	key := v.warm(t, v.rows(t, "k")...)[0]
	must(t, onlyError(viaPut(t.Context(), v, w, key, "new")))
	v.holds(t, key, "new")
	must(t, server.Kill())
	if result, err := viaPut(t.Context(), v, w, key, "newer"); err != nil || !result.Deferred() {
		t.Errorf("got %+v, %v, want it deferred", result, err)
	}
	w.Close() // announces what is deferred
	if n := value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE version = (SELECT version FROM tidelock.versions)"); n != 1 {
		t.Errorf("%d records of the deferred write", n)
	}
}
