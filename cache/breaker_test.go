package cache_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestFailuresInARow holds that an answer in between starts the count anew.
func TestFailuresInARow(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL(), quick, func(c *cache.Config) { c.Timeout = 500 * time.Millisecond })
	for range 3 {
		must(t, server.Pause())
		for range failures - 1 {
			if _, err := c.Get(t.Context(), "k"); !errors.Is(err, cache.ErrUnavailable) {
				t.Fatalf("a paused server: %v", err)
			}
		}
		must(t, server.Resume())
		if _, err := c.Get(t.Context(), "k"); err != nil {
			t.Fatalf("a resumed server: %v", err)
		}
	}
	if c.Breaker() != cache.Closed {
		t.Errorf("the breaker is %v", c.Breaker())
	}
}

// TestPipelineIsOneFailure holds that a pipeline counts once, however long it is: one lost packet is no outage.
func TestPipelineIsOneFailure(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL(), quick)
	must(t, server.Pause())
	defer func() { must(t, server.Resume()) }()
	var changes []cache.Change
	for range 10 * failures {
		changes = append(changes, value("k", 1, "v"))
	}
	for _, r := range c.Apply(t.Context(), changes...) {
		if !errors.Is(r.Err, cache.ErrUnavailable) {
			t.Fatalf("got %+v", r)
		}
	}
	if c.Breaker() != cache.Closed {
		t.Errorf("the breaker is %v", c.Breaker())
	}
}

// TestCancellationIsNoFailure holds that callers who give up say nothing of the server and are let go at once. The client pipelines, as it
// does by itself when it is busy; an idle one hears of a cancellation only at the deadline.
func TestCancellationIsNoFailure(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL(), quick, func(c *cache.Config) {
		c.Timeout = patience
		c.Tune = func(o *valkey.ClientOption) { o.AlwaysPipelining = true }
	})
	for range 30 { // each call takes one of the client's connections, and one that is only now being made hears of nothing
		allocate(t, c, rand.Text())
	}
	must(t, server.Pause())
	began := time.Now()
	for call, do := range cancelled(c) {
		for range failures + 1 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(5*time.Millisecond, cancel)
			if err := do(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("%s: %v", call, err)
			}
			if err := do(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, cancelled before: %v", call, err)
			}
		}
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the callers were let go after %v", took)
	}
	if c.Breaker() != cache.Closed {
		t.Errorf("the breaker is %v", c.Breaker())
	}
	must(t, server.Resume())
	recovers(t, c)
}

// TestShortDeadlineIsNoFailure holds that a caller in a hurry does not open everybody's breaker on a server that is well.
func TestShortDeadlineIsNoFailure(t *testing.T) {
	t.Parallel()
	c := rig.Cache(t, stacktest.Valkey(t).URL(), quick)
	gaveUp := 0
	for range 20 * failures {
		for _, do := range cancelled(c) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Microsecond)
			if err := do(ctx); errors.Is(err, context.DeadlineExceeded) {
				gaveUp++
			}
			cancel()
		}
	}
	if gaveUp == 0 {
		t.Error("no call met its deadline")
	}
	if c.Breaker() != cache.Closed {
		t.Errorf("the breaker is %v after %d callers gave up", c.Breaker(), gaveUp)
	}
}

func cancelled(c *cache.Cache) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get":     func(ctx context.Context) error { _, err := c.Get(ctx, "k"); return err },
		"GetMany": func(ctx context.Context) error { _, err := c.GetMany(ctx, []string{"k"}); return err },
		"Ticket":  func(ctx context.Context) error { return c.Ticket(ctx, []string{"k"})[0].Err },
		"Apply":   func(ctx context.Context) error { return c.Apply(ctx, value("k", 1, "v"))[0].Err },
	}
}

// TestReplica holds that a server which answers but takes no writes is of no use: nothing counts as settled there, also where there is
// nothing to change, and the breaker stays open until it is a primary again.
func TestReplica(t *testing.T) {
	t.Parallel()
	primary, replica := stacktest.OwnValkey(t, "--repl-diskless-sync-delay", "0"), stacktest.OwnValkey(t)
	b := on(t, replica.URL(), quick)
	follow(t, b, primary.Addr())
	for range failures {
		if r := b.one(t, value("nothing", 1, "v")); r.Outcome != cache.Failed || !errors.Is(r.Err, cache.ErrUnavailable) {
			t.Fatalf("got %+v", r)
		}
	}
	if err := b.Wait(within(t, 500*time.Millisecond)); err == nil { // some twenty probes
		t.Fatal("the breaker closed before a replica")
	}
	b.cmd(t, "REPLICAOF", "NO", "ONE")
	must(t, b.Wait(within(t, patience)))
	recovers(t, b.Cache)
}

// follow makes the bench's server a replica and waits until it has caught up.
func follow(t *testing.T, b *bench, addr string) {
	t.Helper()
	host, port := split(t, addr)
	b.cmd(t, "REPLICAOF", host, port)
	stacktest.Eventually(t, patience, func() bool {
		role, err := b.cmd(t, "ROLE").ToArray()
		must(t, err)
		state, err := role[3].ToString()
		return err == nil && state == "connected"
	}, "the replica follows")
}

func TestCloseWhileDown(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	p := proxy(t, server)
	for name, f := range faults(t, server, p) {
		t.Run(name, func(t *testing.T) {
			c := rig.Cache(t, "valkey://"+p.Addr(), quick)
			must(t, f.begin())
			for c.Breaker() == cache.Closed {
				_, _ = c.Get(t.Context(), "k")
			}
			closeSoon(t, c)
			must(t, f.end())
		})
	}
	t.Run("never up", func(t *testing.T) {
		must(t, p.Cut())
		closeSoon(t, rig.Cache(t, "valkey://"+p.Addr(), quick))
	})
}

// closeSoon closes twice, and holds that nothing works then and nobody waits.
func closeSoon(t *testing.T, c *cache.Cache) {
	t.Helper()
	began := time.Now()
	c.Close()
	c.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	for call, do := range calls(t, c) {
		if err := do(); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("%s after Close: %v", call, err)
		}
	}
	if err := c.Wait(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait after Close: %v", err)
	}
}

func TestWaitWhileUp(t *testing.T) {
	t.Parallel()
	c := shared(t)
	must(t, c.Wait(t.Context()))
}
