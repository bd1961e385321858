package cache_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

const (
	timeout  = 200 * time.Millisecond // of a call that is to fail
	failures = 3                      // open the breaker
)

// quick makes a cache notice an outage and its end soon.
func quick(c *cache.Config) {
	c.Timeout, c.BreakerFailures, c.ProbeInterval = timeout, failures, 20*time.Millisecond
}

// calls are all that go to the server, by name. Each returns its error.
func calls(t *testing.T, c *cache.Cache) map[string]func() error {
	first := func(replies []cache.Reply) error { return replies[0].Err }
	return map[string]func() error{
		"Get":     func() error { _, err := c.Get(t.Context(), "k"); return err },
		"GetMany": func() error { _, err := c.GetMany(t.Context(), []string{"k", "l"}); return err },
		"TTL":     func() error { _, err := c.TTL(t.Context(), "k"); return err },
		"Ticket":  func() error { return c.Ticket(t.Context(), []string{"k", "l"})[1].Err },
		"Apply":   func() error { return first(c.Apply(t.Context(), value("k", 1, "v"), value("l", 1, "v"))) },
		"Fill":    func() error { return first(c.Fill(t.Context(), value("k", 1, "v"))) },
	}
}

// fault is one way to lose the server and to get it back.
type fault struct{ begin, end func() error }

func faults(t *testing.T, server *stack.Valkey, p *stack.Proxy) map[string]fault {
	return map[string]fault{
		"paused":    {begin: server.Pause, end: server.Resume},
		"blackhole": {begin: p.Blackhole, end: p.Heal},
		"slow":      {begin: func() error { return p.Slow(5 * time.Second) }, end: p.Heal},
		"reset":     {begin: p.Reset, end: p.Heal},
		"cut":       {begin: p.Cut, end: p.Heal},
		"killed":    {begin: server.Kill, end: func() error { return server.Start(t.Context()) }},
	}
}

// TestEveryCallHasDeadline holds that each call comes back with ErrUnavailable in good time whatever the fault, and that the cache
// works again when the fault is over.
func TestEveryCallHasDeadline(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	p := proxy(t, server)
	for name, f := range faults(t, server, p) {
		t.Run(name, func(t *testing.T) {
			c := rig.Cache(t, "valkey://"+p.Addr(), quick, func(c *cache.Config) { c.BreakerFailures = 1000 })
			recovers(t, c)
			must(t, f.begin())
			for call, do := range calls(t, c) {
				began := time.Now()
				err := do()
				took := time.Since(began)
				if !errors.Is(err, cache.ErrUnavailable) || took > 5*timeout {
					t.Errorf("%s took %v: %v", call, took, err)
				}
			}
			must(t, f.end())
			recovers(t, c)
		})
	}
}

// TestCrowdHasDeadline holds the same for more callers at once than the library's queue has places: it lets those without one wait for as
// long as the connection lives.
func TestCrowdHasDeadline(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL(), func(c *cache.Config) {
		c.Timeout, c.BreakerFailures = wait, 100
		c.Tune = func(o *valkey.ClientOption) { o.ConnWriteTimeout = patience }
	})
	crowd := func(visit func(error)) {
		var callers sync.WaitGroup
		for range 3000 {
			callers.Go(func() {
				_, err := c.Get(t.Context(), "k")
				visit(err)
			})
		}
		callers.Wait()
	}
	crowd(func(error) {}) // the client pipelines from now on
	recovers(t, c)
	must(t, server.Pause())
	began := time.Now()
	crowd(func(err error) {
		if !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("a paused server: %v", err)
		}
	})
	if took := time.Since(began); took > 5*wait {
		t.Errorf("the last was let go after %v", took)
	}
	must(t, server.Resume())
	recovers(t, c)
}

// TestBreaker walks the breaker through an outage of each kind.
func TestBreaker(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	p := proxy(t, server)
	for name, f := range faults(t, server, p) {
		t.Run(name, func(t *testing.T) {
			c := rig.Cache(t, "valkey://"+p.Addr(), quick)
			must(t, c.Wait(within(t, patience)))
			must(t, f.begin())
			for i := range failures {
				if c.Breaker() != cache.Closed {
					t.Fatalf("the breaker is %v after %d failures", c.Breaker(), i)
				}
				if _, err := c.Get(t.Context(), "k"); !errors.Is(err, cache.ErrUnavailable) {
					t.Fatalf("failure %d: %v", i, err)
				}
			}
			if c.Breaker() == cache.Closed {
				t.Fatalf("the breaker is closed after %d failures", failures)
			}
			failAtOnce(t, c)
			if err := c.Wait(within(t, 2*timeout)); err == nil {
				t.Error("Wait returned while the server was away")
			}
			must(t, f.end())
			must(t, c.Wait(within(t, patience)))
			if c.Breaker() != cache.Closed {
				t.Errorf("after Wait the breaker is %v", c.Breaker())
			}
			recovers(t, c)
		})
	}
}

// failAtOnce holds that with the breaker open nobody waits: a thousand rounds of calls take less than a few timeouts would.
func failAtOnce(t *testing.T, c *cache.Cache) {
	t.Helper()
	began := time.Now()
	for range 1000 {
		for call, do := range calls(t, c) {
			if err := do(); !errors.Is(err, cache.ErrUnavailable) {
				t.Fatalf("%s: %v", call, err)
			}
		}
	}
	if took := time.Since(began); took > 10*timeout {
		t.Errorf("7,000 calls took %v", took)
	}
}

func proxy(t *testing.T, server *stack.Valkey) *stack.Proxy {
	t.Helper()
	p, err := stack.NewProxy(server.Addr())
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}
