package reader_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// cutOff returns a writer that cannot reach the cache: what it writes is deferred, and no relay is there to settle it.
func (f *table) cutOff() *writer.Writer {
	f.t.Helper()
	proxy := rig.Proxy(f.t, stacktest.Valkey(f.t).Addr())
	if err := proxy.Cut(); err != nil {
		f.t.Fatal(err)
	}
	return f.newWriter(rig.Cache(f.t, "valkey://"+proxy.Addr()))
}

// remove deletes a row through a writer, the table's own unless another is given.
func (f *table) remove(key string, by ...*writer.Writer) writer.Result {
	f.t.Helper()
	result, err := append(by, f.writer)[0].Put(f.t.Context(), writer.Put{
		Key: key, SQL: "DELETE FROM rows WHERE key = $1 RETURNING key", Args: []any{key}, Kind: outbox.Absent,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return result
}

// TestAtLeastSeesDeferredWrite reads a key whose cached value is stale, without and with the token of the newer write.
func TestAtLeastSeesDeferredWrite(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.put(key, "one")
	second := f.put(key, "two", f.cutOff())
	if !second.Deferred() {
		t.Fatalf("the write behind the cut is %+v, want it deferred", second)
	}
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", true) // stale, as the default level may be
	token := reader.AtLeast(second.Token())
	p, err = r.Get(t.Context(), key, token)
	want(t, p, err, "two", false)
	p, err = r.Get(t.Context(), key) // it has refreshed the cache for everybody
	want(t, p, err, "two", true)
	p, err = r.Get(t.Context(), key, token)
	want(t, p, err, "two", true)
}

// TestAtLeastSeesDeferredDelete is the same for a row that was deleted.
func TestAtLeastSeesDeferredDelete(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.put(key, "one")
	deleted := f.remove(key, f.cutOff())
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", true)
	if p, err = r.Get(t.Context(), key, reader.AtLeast(deleted.Token())); !errors.Is(err, reader.ErrNotFound) || p.Hit {
		t.Errorf("read %+v, %v; want no row, from Postgres", p, err)
	}
}

// TestAtLeastOfSeveralKeys passes one write's token through its text, as a cookie would.
func TestAtLeastOfSeveralKeys(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw()
	a, b, other := f.key("a"), f.key("b"), f.key("other")
	for _, key := range []string{a, b, other} {
		f.put(key, "one")
	}
	f.insert(a, "two")
	f.insert(b, "two")
	f.insert(other, "changed behind Tidelock's back")
	result, err := f.cutOff().Write(t.Context(), noStatements, writer.Set(a, []byte("two")), writer.Set(b, []byte("two")))
	if err != nil || !result.Deferred() {
		t.Fatalf("wrote %+v, %v; want it deferred", result, err)
	}
	token, err := cache.ParseToken(result.Token().String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Get(t.Context(), other, reader.AtLeast(token))
	want(t, p, err, "one", true) // the token does not speak of it
	got, err := r.GetMany(t.Context(), []string{a, b, other}, reader.AtLeast(token))
	want(t, got[a], err, "two", false)
	want(t, got[b], err, "two", false)
	want(t, got[other], err, "one", true)
	f.holds(a, "two")
	f.holds(b, "two")
}

// TestAtLeastOfSettledWriteIsAHit shows that a token costs nothing while the cache keeps up.
func TestAtLeastOfSettledWriteIsAHit(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	first := f.put(key, "one")
	f.put(key, "two")
	p, err := r.Get(t.Context(), key, reader.AtLeast(first.Token()))
	want(t, p, err, "two", true)
	if n := f.loads.Load(); n != 0 {
		t.Errorf("%d loads", n)
	}
}

// TestTokenFromNowhere asks for a version that does not exist: it costs a load, and the row is what there is.
func TestTokenFromNowhere(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.put(key, "one")
	token := cache.NewToken(func(yield func(string, int64) bool) { yield(key, 1<<62) })
	p, err := r.Get(t.Context(), key, reader.AtLeast(token))
	want(t, p, err, "one", false)
	f.holds(key, "one")
	if ttl := f.ttl(key); ttl < time.Minute {
		t.Errorf("the entry lives %v", ttl)
	}
}
