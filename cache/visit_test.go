package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// server returns the one server that takes writes.
func server(t testing.TB, c *cache.Cache) cache.Server {
	t.Helper()
	servers, err := c.Watch(t.Context(), "", nil)
	if must(t, err); len(servers) != 1 {
		t.Fatalf("there are the servers %+v", servers)
	}
	return servers[0]
}

func visit(t testing.TB, c *cache.Cache, s cache.Server) *cache.Visit {
	t.Helper()
	v, err := c.Visit(t.Context(), s)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}

func ignore(int64) {}

// address is a virtual one behind which server b takes the place of a. Both hold as many values.
type address struct {
	proxy *stack.Proxy
	a, b  *bench
	cache *cache.Cache // by that address
}

const addressKeys = 2500 // a walk takes three steps at least

func newAddress(t testing.TB) address {
	t.Helper()
	first, second := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	at := address{proxy: rig.Proxy(t, first.Addr()), a: on(t, first.URL()), b: on(t, second.URL())}
	for _, b := range []*bench{at.a, at.b} {
		words := []string{"MSET"}
		for i := range addressKeys {
			words = append(words, fmt.Sprint("k", i), "tl1 V 2000\nlost")
		}
		b.cmd(t, words...)
	}
	at.cache = rig.Cache(t, "valkey://"+at.proxy.Addr(), func(c *cache.Config) {
		c.Tune = func(o *valkey.ClientOption) { o.PipelineMultiplex = 3 } // eight connections, also on a small machine
	})
	return at
}

// size is how many keys the server holds, those apart that we write to find out who it is.
func (b *bench) size(t testing.TB) int {
	t.Helper()
	keys, err := b.cmd(t, "KEYS", "k*").AsStrSlice()
	must(t, err)
	return len(keys)
}

// TestVisitKeepsToItsServer moves the address to another server before a walk, or in the middle of it. Connections that there are may stay with the
// old one; the walk goes on there, or it fails.
func TestVisitKeepsToItsServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begun      bool // the walk, by the time the address moves
		keep, fail bool
	}{
		"before the walk, connections stay": {false, true, false},
		"in the walk, connections stay":     {true, true, false},
		"in the walk, connections end":      {true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newAddress(t)
			v := visit(t, at.cache, server(t, at.a.Cache))
			move := sync.OnceFunc(func() { must(t, at.proxy.Retarget(at.b.addr(t), c.keep)) })
			if !c.begun {
				move()
			}
			dropped, err := v.DropAbove(t.Context(), 1000, func(int64) { move() })
			switch {
			case c.fail && !errors.Is(err, cache.ErrUnavailable):
				t.Errorf("the walk has lost its server: %v", err)
			case !c.fail && (err != nil || dropped != addressKeys || at.a.size(t) != 0):
				t.Errorf("of %d entries %d were dropped, %d are left: %v", addressKeys, dropped, at.a.size(t), err)
			}
			if left := at.b.size(t); left != addressKeys {
				t.Errorf("the other server holds %d of %d entries", left, addressKeys)
			}
			for i := range 50 { // a client with several connections would choose one by the key
				key := fmt.Sprint("k", i)
				if refused, err := v.Invalidate(t.Context(), map[string]int64{key: 3000}); (err != nil) != c.fail || len(refused) != 0 {
					t.Fatalf("invalidating in the end: %v, %v", refused, err)
				}
				if got := at.b.bytes(t, key); got != "tl1 V 2000\nlost" {
					t.Fatalf("the other server holds %q", got)
				}
			}
		})
	}
}

// addr returns the server's host and port.
func (b *bench) addr(t testing.TB) string {
	t.Helper()
	for addr := range b.raw.Nodes() {
		return addr
	}
	t.Fatal("the client has no server")
	return ""
}

// TestVisitAfterTheAddressMoved visits the new server by a client that has connections to the old one, with or without one of an earlier visit.
func TestVisitAfterTheAddressMoved(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(at address, old, now cache.Server){
		"first visit": func(address, cache.Server, cache.Server) {},
		"visited the old one before": func(at address, old, _ cache.Server) {
			v, err := at.cache.Visit(t.Context(), old)
			must(t, err)
			v.Close()
		},
		"came too early": func(at address, _, now cache.Server) {
			if _, err := at.cache.Visit(t.Context(), now); !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("the visit is to another server: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := newAddress(t)
			old, now := server(t, at.cache), server(t, at.b.Cache)
			before(at, old, now)
			must(t, at.proxy.Retarget(at.b.addr(t), true))
			dropped, err := visit(t, at.cache, now).DropAbove(t.Context(), 1000, ignore)
			if must(t, err); dropped != addressKeys || at.b.size(t) != 0 || at.a.size(t) != addressKeys {
				t.Errorf("%d entries were dropped; %d are left, and %d in the old server", dropped, at.b.size(t), at.a.size(t))
			}
		})
	}
}

// TestVisitOfAnother asks for servers that are not there.
func TestVisitOfAnother(t *testing.T) {
	t.Parallel()
	c := shared(t)
	is := server(t, c.Cache)
	for _, wrong := range []cache.Server{
		{RunID: is.RunID, ReplID: strings.Repeat("0", 40)}, {RunID: strings.Repeat("0", 40), ReplID: is.ReplID}, {}, {Shard: "one", RunID: is.RunID, ReplID: is.ReplID},
	} {
		if _, err := c.Visit(t.Context(), wrong); !errors.Is(err, cache.ErrUnavailable) {
			t.Errorf("a visit to %+v: %v", wrong, err)
		}
	}
	visit(t, c.Cache, is)
}

// TestDropAbove holds what goes: entries above the bound and placeholders, and nothing that is not ours.
func TestDropAbove(t *testing.T) {
	t.Parallel()
	const placeholder = "tl1 P 3 ABC\n"
	huge := "tl1 V 9223372036854775807\nhuge"
	entries := []string{"tl1 V 0\nzero", "tl1 V 9\nnine", "tl1 V 10\nten", "tl1 A 11\n", "tl1 V 100\nhundred", huge, placeholder}
	foreign := []string{"foreign", "tl1 V 011\n", "tl1 V 9223372036854775808\n", "tl1 P 11\n", "tl2 V 11\n", strings.Repeat("x", 100)}
	for above, stay := range map[int64][]string{
		largest: entries[:6], 10: entries[:3], 9: entries[:2], 0: entries[:1], -1: nil,
	} {
		t.Run(fmt.Sprint(above), func(t *testing.T) {
			t.Parallel()
			b := on(t, stacktest.OwnValkey(t).URL())
			for _, bytes := range append(foreign, entries...) {
				b.put(t, bytes, bytes)
			}
			b.cmd(t, "RPUSH", "a list", entries[4])
			b.cmd(t, "HSET", "a hash", "field", entries[4])
			var looked int64
			dropped, err := visit(t, b.Cache, server(t, b.Cache)).DropAbove(t.Context(), above, func(keys int64) { looked = keys })
			if must(t, err); int(dropped) != len(entries)-len(stay) {
				t.Errorf("%d were dropped, want %d", dropped, len(entries)-len(stay))
			}
			if want := int64(len(foreign) + len(entries)); looked < want || looked > want+1 { // our own probe may be there
				t.Errorf("%d keys were looked at, want %d", looked, want)
			}
			for _, bytes := range append(foreign, stay...) {
				if got := b.bytes(t, bytes); got != bytes {
					t.Errorf("%q became %q", bytes, got)
				}
			}
			for _, bytes := range entries[len(stay):] {
				if b.exists(t, bytes) {
					t.Errorf("%q is left", bytes)
				}
			}
			if !b.exists(t, "a list") || !b.exists(t, "a hash") {
				t.Error("what is no string was dropped")
			}
		})
	}
}

// TestLateFillAfterDrop has a loader of the lost history take its ticket before the drop, and fill after it.
func TestLateFillAfterDrop(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t).URL())
	before := b.ticket(t, "k").Ticket
	dropped, err := visit(t, b.Cache, server(t, b.Cache)).DropAbove(t.Context(), largest, ignore)
	if must(t, err); dropped != 1 {
		t.Errorf("%d entries were dropped, want the placeholder", dropped)
	}
	for _, again := range []bool{false, true} {
		if again {
			b.ticket(t, "k") // somebody loads the key in the new history
		}
		if r := b.Fill(t.Context(), ticketed(value("k", 2000, "lost"), before))[0]; r.Outcome != cache.Refused {
			t.Errorf("the late fill: %+v", r)
		}
	}
}

// TestVisitInvalidates has older entries, entries as new, and one that the server does not let us touch.
func TestVisitInvalidates(t *testing.T) {
	t.Parallel()
	s := stacktest.OwnValkey(t)
	b := on(t, s.URL())
	b.cmd(t, "ACL", "SETUSER", "limited", "on", ">secret", "+@all", "~tidelock:*", "~ours:*")
	for _, key := range []string{"ours:older", "ours:same", "forbidden", "forbidden too"} {
		b.put(t, key, "tl1 V 10\nv")
	}
	c := rig.Cache(t, "valkey://limited:secret@"+s.Addr())
	v := visit(t, c, server(t, c))
	refused, err := v.Invalidate(t.Context(), map[string]int64{"ours:older": 11, "ours:same": 10, "ours:nothing": 5, "forbidden": 11})
	if must(t, err); len(refused) != 1 || refused["forbidden"] == nil {
		t.Errorf("refused are %v", refused)
	}
	for key, want := range map[string]string{"ours:older": "tl1 P 11 ", "ours:same": "tl1 V 10\n", "ours:nothing": "", "forbidden": "tl1 V 10\n"} {
		if got := b.bytes(t, key); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s became %q, want %q", key, got, want)
		}
	}
	dropped, err := v.DropAbove(t.Context(), 9, ignore)
	if must(t, err); dropped != 2 {
		t.Errorf("%d entries were dropped, want the two that we may touch", dropped)
	}
	if !b.exists(t, "forbidden") || !b.exists(t, "forbidden too") || b.exists(t, "ours:same") {
		t.Error("the wrong entries were dropped")
	}
	if c.Breaker() != cache.Closed {
		t.Error("the refusal of one key has opened the breaker")
	}
}
