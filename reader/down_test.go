package reader_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/reader"
)

// TestCacheDown cuts the cache off in a way that costs every try its whole deadline, until the breaker opens.
func TestCacheDown(t *testing.T) {
	t.Parallel()
	const timeout, failures = 500 * time.Millisecond, 3
	f := newTable(t)
	proxy := rig.Proxy(t, stacktest.Valkey(t).Addr())
	cut := rig.Cache(t, "valkey://"+proxy.Addr(), func(cfg *cache.Config) { cfg.Timeout, cfg.BreakerFailures = timeout, failures })
	r := f.raw(func(cfg *reader.Config) { cfg.Cache = cut })
	key := f.key("a")
	f.insert(key, "one")
	if err := proxy.Blackhole(); err != nil {
		t.Fatal(err)
	}
	stacktest.Eventually(t, patience, func() bool {
		p, err := r.Get(t.Context(), key)
		want(t, p, err, "one", false)
		return cut.Breaker() != cache.Closed
	}, "the breaker opens")

	began := time.Now()
	const reads = 20
	for i := range reads {
		p, err := r.Get(t.Context(), key)
		want(t, p, err, "one", false)
		got, err := r.GetMany(t.Context(), []string{key, f.key(fmt.Sprint(i))})
		want(t, got[key], err, "one", false)
	}
	if took := time.Since(began); took > reads*timeout { // each would wait for two deadlines
		t.Errorf("%d pairs of reads took %v with the breaker open", reads, took)
	}
	if e := f.entry(key); e.Kind != cache.None {
		t.Errorf("the cache holds %+v", e)
	}

	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	stacktest.Eventually(t, patience, func() bool {
		p, err := r.Get(t.Context(), key)
		return err == nil && p.Hit
	}, "reads fill the cache again")
}

// TestCacheNeverSeen makes a reader with nothing at the cache's address.
func TestCacheNeverSeen(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	proxy := rig.Proxy(t, stacktest.Valkey(t).Addr())
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	r := f.raw(func(cfg *reader.Config) { cfg.Cache = rig.Cache(t, "valkey://"+proxy.Addr()) })
	key := f.key("a")
	f.put(key, "one") // reaches the cache by another way
	f.insert(key, "two")
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "two", false)
	f.holds(key, "one")
}

// TestPostgresDown stops a Postgres of its own.
func TestPostgresDown(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnPostgres(t)
	if _, err := migrations.Up(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	f := tableOn(t, rig.Pool(t, server.URL()), stacktest.Valkey(t).URL())
	const timeout = 2 * time.Second
	r := f.raw(func(cfg *reader.Config) { cfg.LoadTimeout = timeout })
	a, b, c := f.key("a"), f.key("b"), f.key("c")
	f.put(a, "one")
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	p, err := r.Get(t.Context(), a)
	want(t, p, err, "one", true)
	began := time.Now()
	_, err = r.Get(t.Context(), b)
	loadError(t, err, b)
	got, err := r.GetMany(t.Context(), []string{a, b, c})
	loadError(t, err, b, c)
	want(t, got[a], nil, "one", true)
	if len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if took := time.Since(began); took > 3*timeout {
		t.Errorf("two misses took %v to fail", took)
	}

	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.insert(b, "two")
	p, err = r.Get(t.Context(), b)
	want(t, p, err, "two", false)
}
