package cache_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

const (
	patience       = 20 * time.Second // for what should take moments
	valueTTL       = time.Hour
	placeholderTTL = 10 * time.Minute // not the default, so that a test sees that the setting counts
)

// Versions that a double cannot tell apart, and the largest.
const (
	exact   = int64(1) << 53
	inexact = exact + 1
	largest = int64(math.MaxInt64)
)

// bench is a cache and a plain client of the same server, and keys of the test's own.
type bench struct {
	*cache.Cache
	raw    valkey.Client
	prefix string
}

// shared is a bench on the server that the package's tests share.
func shared(t testing.TB, tune ...func(*cache.Config)) *bench {
	t.Helper()
	return on(t, stacktest.Valkey(t).URL(), tune...)
}

func on(t testing.TB, url string, tune ...func(*cache.Config)) *bench {
	t.Helper()
	patient := func(c *cache.Config) { // a busy machine is no fault
		c.Timeout, c.PlaceholderTTL = patience, placeholderTTL
		c.Tune = func(o *valkey.ClientOption) { o.Dialer.Timeout = patience }
	}
	tune = append([]func(*cache.Config){patient}, tune...)
	return &bench{Cache: rig.Cache(t, url, tune...), raw: rig.Valkey(t, url), prefix: t.Name() + ":"}
}

func (b *bench) key(name string) string { return b.prefix + name }

// cmd runs a command of any kind and fails the test when the server refuses it.
func (b *bench) cmd(t testing.TB, args ...string) valkey.ValkeyResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	r := b.raw.Do(ctx, b.raw.B().Arbitrary(args...).Build())
	if err := r.Error(); err != nil && !valkey.IsValkeyNil(err) {
		t.Fatalf("%v: %v", args, err)
	}
	return r
}

// put makes the entry of key be these bytes, nothing at all when they are empty.
func (b *bench) put(t testing.TB, key, bytes string) {
	t.Helper()
	if bytes == "" {
		b.cmd(t, "DEL", key)
		return
	}
	b.cmd(t, "SET", key, bytes, "EX", "100")
}

// bytes returns the bytes at key, empty for nothing.
func (b *bench) bytes(t testing.TB, key string) string {
	t.Helper()
	s, err := b.cmd(t, "GET", key).ToString()
	if err != nil && !valkey.IsValkeyNil(err) {
		t.Fatal(err)
	}
	return s
}

func (b *bench) exists(t testing.TB, key string) bool {
	t.Helper()
	n, err := b.cmd(t, "EXISTS", key).AsInt64()
	must(t, err)
	return n == 1
}

// one applies a single change.
func (b *bench) one(t testing.TB, c cache.Change) cache.Reply {
	t.Helper()
	return b.Apply(t.Context(), c)[0]
}

// ticket takes the ticket of one key.
func (b *bench) ticket(t testing.TB, key string) cache.Held {
	t.Helper()
	return b.Ticket(t.Context(), []string{key})[0]
}

// expectTTL fails unless key has about this long to live; a machine may be slow but not fast.
func (b *bench) expectTTL(t testing.TB, key string, want time.Duration) {
	t.Helper()
	got, err := b.TTL(t.Context(), key)
	if err != nil || got > want || got < want-time.Minute {
		t.Errorf("the time to live is %v, %v, want %v", got, err, want)
	}
}

// value is a change that sets a value.
func value(key string, version int64, payload string) cache.Change {
	return cache.Change{Key: key, Version: version, Kind: cache.Value, Payload: []byte(payload), TTL: valueTTL}
}

// absent is a change that marks the row as absent.
func absent(key string, version int64) cache.Change {
	return cache.Change{Key: key, Version: version, Kind: cache.Absent, TTL: valueTTL}
}

// invalidation is a change whose value is unknown.
func invalidation(key string, version int64) cache.Change {
	return cache.Change{Key: key, Version: version, Kind: cache.Placeholder, TTL: valueTTL}
}

func allocated(c cache.Change) cache.Change {
	c.Allocate = true
	return c
}

func ticketed(c cache.Change, ticket string) cache.Change {
	c.Ticket = ticket
	return c
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tokenOf returns the token in a placeholder's bytes.
func tokenOf(bytes string) string {
	fields := strings.Fields(bytes)
	if len(fields) != 4 || fields[1] != "P" {
		return ""
	}
	return fields[3]
}
