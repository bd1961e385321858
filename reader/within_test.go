package reader_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// bounded is a reader with leases, before a Valkey of its own that is reached through a proxy, and the guardian's end.
type bounded struct {
	*table
	server *stack.Valkey
	proxy  *stack.Proxy
	reader *reader.Raw
	within reader.Option // a second
	stop   func()
}

func newBounded(t *testing.T) *bounded {
	t.Helper()
	server := stacktest.OwnValkey(t)
	proxy := rig.Proxy(t, server.Addr())
	f := tableOn(t, rig.DB(t), "valkey://"+proxy.Addr())
	conn := rig.NATS(t, stacktest.NATS(t).URL())
	_, stop := rig.Relay(t, relay.Config{DB: f.db, Cache: rig.Cache(t, server.URL()), NATS: conn, Stream: "T" + rand.Text(), Log: rig.Log(t)})
	leases, err := lease.NewClient(lease.Config{DB: f.db, NATS: conn, Log: rig.Log(t)})
	must(t, err)
	t.Cleanup(leases.Close)
	within, err := reader.Within(time.Second)
	must(t, err)
	return &bounded{table: f, server: server, proxy: proxy, within: within, stop: stop, reader: f.raw(func(c *reader.Config) { c.Leases = leases })}
}

// served reads within the bound and returns the value, and whether the cache has served it.
func (b *bounded) served(key string) (string, bool) {
	b.t.Helper()
	p, err := b.reader.Get(b.t.Context(), key, b.within)
	must(b.t, err)
	many, err := b.reader.GetMany(b.t.Context(), []string{key}, b.within)
	if must(b.t, err); len(many) != 1 {
		b.t.Fatalf("GetMany returned %v", many)
	}
	return string(p.Bytes), p.Hit && many[key].Hit
}

func (b *bounded) awaitServed(key string) {
	b.t.Helper()
	stacktest.Eventually(b.t, patience, func() bool { _, hit := b.served(key); return hit }, "the cache serves within the bound")
}

// TestWithin has a write not reach the cache. Once it is older than the bound it is read from Postgres, until all is settled again; and everything is while
// nobody guards.
func TestWithin(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	key := b.key("k")
	b.put(key, "old")
	b.awaitServed(key)

	deaf := b.newWriterWith(rig.Cache(t, "valkey://127.0.0.1:1"), time.Hour)
	b.put(key, "new", deaf)
	written := time.Now()
	if p, err := b.reader.Get(t.Context(), key); err != nil || string(p.Bytes) != "old" {
		t.Fatalf("the default read returned %q, %v, want what the cache holds", p.Bytes, err)
	}
	for value := ""; value != "new"; {
		began := time.Since(written)
		if value, _ = b.served(key); value != "new" && began > time.Second {
			t.Fatalf("%v after the commit the read within a second returned %q", began, value)
		}
	}
	other := b.key("other")
	b.put(other, "v")
	if _, hit := b.served(other); hit {
		t.Error("a record waits, and what the cache holds of another key is taken for proven")
	}
	_, err := b.db.Exec(t.Context(), "UPDATE tidelock.outbox SET due_at = now()")
	must(t, err)
	b.awaitServed(other)

	b.stop()
	stacktest.Eventually(t, patience, func() bool { _, hit := b.served(other); return !hit }, "nobody guards, and nothing is proven")
}

// newWriterWith leaves its records alone for so long.
func (f *table) newWriterWith(c *cache.Cache, grace time.Duration) *writer.Writer {
	return rig.Writer(f.t, writer.Config{DB: f.db, Cache: c, Grace: grace})
}

// TestWithinOnAnotherServer has the reader's connections lead to a server that the lease does not name: an old primary, say.
func TestWithinOnAnotherServer(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	key := b.key("k")
	b.put(key, "new")
	b.awaitServed(key)
	other := stacktest.OwnValkey(t)
	old := rig.Valkey(t, other.URL())
	must(t, old.Do(t.Context(), old.B().Set().Key(key).Value("tl1 V 1\nold").Build()).Error())
	must(t, b.proxy.Retarget(strings.TrimPrefix(other.Addr(), "//"), false))
	stacktest.Eventually(t, patience, func() bool {
		p, err := b.reader.Get(t.Context(), key)
		return err == nil && string(p.Bytes) == "old"
	}, "the reader is connected to the other server")
	if value, hit := b.served(key); value != "new" || hit {
		t.Errorf("another server answers, and the read returned %q, from the cache: %t", value, hit)
	}
}

func TestWithinRefuses(t *testing.T) {
	t.Parallel()
	if _, err := reader.Within(reader.WithinLeast - 1); !isBound(err) {
		t.Errorf("less than can be proved gave %v", err)
	}
	f := newTable(t)
	within, err := reader.Within(reader.WithinLeast)
	must(t, err)
	r := f.raw()
	if _, err := r.Get(t.Context(), f.key("k"), within); !errors.Is(err, reader.ErrNoLeases) {
		t.Errorf("a reader without leases gave %v", err)
	}
	if _, err := r.GetMany(t.Context(), []string{f.key("k")}, within); !errors.Is(err, reader.ErrNoLeases) {
		t.Errorf("a reader without leases gave %v", err)
	}
}

func isBound(err error) bool {
	_, ok := errors.AsType[*reader.BoundError](err)
	return ok
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
