package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// near has a cache keep entries for longer than any test lasts.
func near(c *cache.Config) { c.NearBytes, c.NearTTL = 1<<20, time.Minute }

// calls returns how many commands of a kind the server has had.
func (b *bench) calls(t testing.TB, command string) string {
	t.Helper()
	text, err := b.cmd(t, "INFO", "commandstats").ToString()
	must(t, err)
	_, rest, _ := strings.Cut(text, "cmdstat_"+command+":calls=")
	n, _, _ := strings.Cut(rest, ",")
	return n
}

// TestGetNear holds that every kind of entry is read as from afar, without asking the server twice.
func TestGetNear(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t).URL(), near)
	kinds := map[string]string{"value": "tl1 V 5\nv", "absent": "tl1 A 6\n", "placeholder": "tl1 P 7 TOKEN\n", "nothing": "", "foreign": "hello"}
	var keys []string
	for key, bytes := range kinds {
		b.put(t, key, bytes)
		keys = append(keys, key)
	}
	far, err := b.GetMany(t.Context(), keys)
	must(t, err)
	first := ""
	for range 3 {
		for i, key := range keys {
			if e, err := b.GetNear(t.Context(), key); err != nil || fmt.Sprint(e) != fmt.Sprint(far[i]) {
				t.Errorf("%s: %+v, %v, and from afar %+v", key, e, err, far[i])
			}
		}
		if many, err := b.GetManyNear(t.Context(), keys); err != nil || fmt.Sprint(many) != fmt.Sprint(far) {
			t.Errorf("all: %+v, %v, and from afar %+v", many, err, far)
		}
		if asked := b.calls(t, "get"); first == "" {
			first = asked
		} else if asked != first {
			t.Errorf("the server was asked again: %s, before %s", asked, first)
		}
	}
	b.cmd(t, "DEL", "value")
	b.cmd(t, "LPUSH", "value", "no string")
	stacktest.Eventually(t, patience, func() bool { _, err := b.GetNear(t.Context(), "value"); return err != nil }, "the change is heard of")
	if e, err := b.GetManyNear(t.Context(), []string{"value"}); err != nil || e[0].Hit() {
		t.Errorf("a key of another type: %+v, %v", e, err)
	}
}

// TestNearExpires holds that an entry's own time to live counts, though it may be kept for longer.
func TestNearExpires(t *testing.T) {
	t.Parallel()
	b := shared(t, near)
	key := b.key("k")
	b.cmd(t, "SET", key, "tl1 V 5\nv", "PX", "1500")
	if e, err := b.GetNear(t.Context(), key); err != nil || !e.Hit() {
		t.Fatalf("got %+v, %v", e, err)
	}
	stacktest.Eventually(t, patience, func() bool {
		e, err := b.GetNear(t.Context(), key)
		must(t, err)
		return e.Kind == cache.None
	}, "it expires")
}

// TestNearIsBounded reads more than there is room for: the server is asked again for what went.
func TestNearIsBounded(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t).URL(), near, func(c *cache.Config) { c.NearBytes = 64 << 10 })
	const count, fit = 500, 64
	for i := range count {
		b.put(t, fmt.Sprint(i), "tl1 V 5\n"+payload)
	}
	for range 2 {
		for i := range count {
			if e, err := b.GetNear(t.Context(), fmt.Sprint(i)); err != nil || string(e.Payload) != payload {
				t.Fatalf("%d: %+v, %v", i, e, err)
			}
		}
	}
	var asked int
	_, err := fmt.Sscan(b.calls(t, "get"), &asked)
	if must(t, err); asked < 2*count-fit {
		t.Errorf("the server was asked %d times: more was kept than there is room for", asked)
	}
}

// TestNearOfAnother joins a read whose caller gives up, on a server that is paused: whoever waits longer is served when it is back.
func TestNearOfAnother(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL(), near)
	b.put(t, "k", "tl1 V 5\nv")
	_, err := b.GetNear(t.Context(), "other")
	must(t, err)
	must(t, server.Pause())
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := b.GetNear(ctx, "k"); first <- err }()
	second := make(chan error, 1)
	go func() {
		_, err := b.GetNear(t.Context(), "k")
		second <- err
	}()
	cancel()
	if err := <-first; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	must(t, server.Resume())
	must(t, <-second)
}

// TestNearNeedsTracking asks as somebody who may not be told of changes.
func TestNearNeedsTracking(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL())
	b.cmd(t, "ACL", "SETUSER", "deaf", "on", ">secret", "~*", "+@all", "-client|tracking")
	u, err := url.Parse(server.URL())
	must(t, err)
	u.User = url.UserPassword("deaf", "secret")
	rig.Cache(t, u.String())
	if _, err := cache.New(t.Context(), cache.Config{URL: u.String(), NearBytes: 1 << 20}); !errors.Is(err, valkey.ErrNoCache) {
		t.Errorf("got %v", err)
	}
}

func TestNearConfigIsChecked(t *testing.T) {
	t.Parallel()
	for says, cfg := range map[string]cache.Config{
		"NearBytes is -1":        {NearBytes: -1},
		"NearBytes is 1000":      {NearBytes: 1000},
		"NearTTL is -1ns":        {NearBytes: 1 << 20, NearTTL: -1},
		"NearTTL is 1h0m0s":      {NearBytes: 1 << 20, NearTTL: time.Hour},
		"NearBytes is 0":         {NearTTL: time.Second},
		"ClientTrackingOptions ": {NearBytes: 1 << 20, Tune: func(o *valkey.ClientOption) { o.ClientTrackingOptions = []string{"BCAST"} }},
	} {
		cfg.URL = "valkey://127.0.0.1"
		if _, err := cache.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// TestNearInCluster hears of changes from every node.
func TestNearInCluster(t *testing.T) {
	t.Parallel()
	cluster, err := stack.StartValkeyCluster(t.Context(), clusterNodes)
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	near := rig.Cache(t, cluster.Nodes[0].URL(), near)
	far := rig.Cache(t, cluster.Nodes[1].URL())
	keys, _ := clusterKeys(t, rig.Valkey(t, cluster.Nodes[0].URL()))
	clusterWrites(t, far, keys)
	for range 2 {
		got, err := near.GetManyNear(t.Context(), keys)
		must(t, err)
		for i, e := range got {
			if one, err := near.GetNear(t.Context(), keys[i]); err != nil || string(one.Payload) != keys[i] || string(e.Payload) != keys[i] {
				t.Fatalf("%s: %+v and %+v, %v", keys[i], e, one, err)
			}
		}
	}
	changes := make([]cache.Change, len(keys))
	for i, key := range keys {
		changes[i] = value(key, 1000, "new")
	}
	expectAll(t, keys, far.Apply(t.Context(), changes...), cache.Applied)
	stacktest.Eventually(t, patience, func() bool {
		got, err := near.GetManyNear(t.Context(), keys)
		must(t, err)
		for _, e := range got {
			if e.Version != 1000 {
				return false
			}
		}
		return true
	}, "all changes are heard of")
}

// TestNearHitsSayNothingOfTheServer has a server that hangs: hits that are near must not make the breaker believe that it answers.
func TestNearHitsSayNothingOfTheServer(t *testing.T) {
	t.Parallel()
	const failures = 3
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL(), near, func(c *cache.Config) { c.Timeout, c.BreakerFailures = 200*time.Millisecond, failures })
	keys := []string{"a", "b"}
	for _, key := range keys {
		b.put(t, key, "tl1 V 5\nv")
		_, err := b.GetNear(t.Context(), key)
		must(t, err)
	}
	must(t, server.Pause())
	for range failures {
		if e, err := b.GetNear(t.Context(), "a"); err != nil || !e.Hit() {
			t.Fatalf("near: %+v, %v", e, err)
		}
		if many, err := b.GetManyNear(t.Context(), keys); err != nil || !many[0].Hit() || !many[1].Hit() {
			t.Fatalf("near: %+v, %v", many, err)
		}
		if _, err := b.Get(t.Context(), "a"); !errors.Is(err, cache.ErrUnavailable) {
			t.Fatalf("far: %v", err)
		}
	}
	if state := b.Breaker(); state == cache.Closed {
		t.Errorf("after %d calls without an answer the breaker is %v", failures, state)
	}
}
