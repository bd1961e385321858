package reader_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// ahead has a read that the cache's entry is too old for load the third version of a key under the label of the first, and then the apply of the
// second come late: what the cache holds now is older than what was read, though newer than its label.
func (f *table) ahead(key string, options ...reader.Option) reader.Payload {
	f.t.Helper()
	cut := f.cutOff()
	first := f.put(key, "one").Version()
	newer := reader.AtLeast(cache.SessionToken(nil, first+1))
	var second, third int64
	r := f.overtaken(func() {
		second = f.put(key, "two", cut).Version()
		third = f.put(key, "three", cut).Version()
	})
	p, err := r.Get(f.t.Context(), key, append(options, newer)...)
	want(f.t, p, err, "three", false)
	if p.Version != first || p.Seen != third {
		f.t.Errorf("the label is %d and seen %d, want %d and %d", p.Version, p.Seen, first, third)
	}
	f.applyLate(key, second, "two")
	f.holds(key, "two")
	return p
}

func TestSessionDoesNotGoBack(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	session := reader.NewSession(cache.Token{})
	f.ahead(key, reader.In(session))
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "two", true) // older, as the default level may be
	if p.Seen != p.Version {
		t.Errorf("the hit is of version %d, but seen %d", p.Version, p.Seen)
	}
	p, err = r.Get(t.Context(), key, reader.In(session))
	want(t, p, err, "three", false)
	p, err = r.Get(t.Context(), key, reader.In(session))
	want(t, p, err, "three", true) // once the cache is as new it serves the session
}

// TestSessionsOfSeveralKeys is the same for GetMany, and for a row that is deleted.
func TestSessionsOfSeveralKeys(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, a, b := f.raw(), f.key("a"), f.key("b")
	f.put(b, "calm")
	session := reader.NewSession(cache.Token{})
	f.ahead(a, reader.In(session))
	got, err := r.GetMany(t.Context(), []string{a, b}, reader.In(session))
	want(t, got[a], err, "three", false)
	want(t, got[b], err, "calm", true)

	c := f.key("c")
	f.put(c, "one")
	old := f.entry(c)
	f.remove(c)
	if got, err = r.GetMany(t.Context(), []string{b, c}, reader.In(session)); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v, want %s alone", got, err, b)
	}
	f.restore(cache.Change{Key: c, Version: old.Version, Kind: cache.Value, Payload: old.Payload, TTL: time.Minute})
	if p, err := r.Get(t.Context(), c, reader.In(session)); !errors.Is(err, reader.ErrNotFound) || p.Hit {
		t.Errorf("read %+v, %v; the session had seen that the row is gone", p, err)
	}
}

// TestSessionGoesOnElsewhere hands the session to another reader by the text of its token.
func TestSessionGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	key := f.key("a")
	here := reader.NewSession(cache.Token{})
	f.ahead(key, reader.In(here))
	token, err := cache.ParseToken(here.Token().String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.raw().Get(t.Context(), key, reader.In(reader.NewSession(token)))
	want(t, p, err, "three", false)
}

// TestSessionSeesItsWrites has a session write what the cache does not get to know.
func TestSessionSeesItsWrites(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	session := reader.NewSession(f.put(key, "one").Token())
	p, err := r.Get(t.Context(), key, reader.In(session))
	want(t, p, err, "one", true)
	session.Wrote(f.put(key, "two", f.cutOff()).Token())
	p, err = r.Get(t.Context(), key, reader.In(session))
	want(t, p, err, "two", false)
}

// TestTypedSession lets one session serve readers of two kinds.
func TestTypedSession(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	key := f.key("a")
	r, err := reader.New(f.config(), reader.Source[[]byte]{Load: f.load, Codec: reader.Bytes{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	session := reader.NewSession(cache.Token{})
	seen := f.ahead(key, reader.In(session)).Seen
	item, err := r.Get(t.Context(), key, reader.In(session))
	if err != nil || string(item.Value) != "three" || item.Hit || item.Seen != seen {
		t.Errorf("read %+v, %v, want what has been seen: version %d", item, err, seen)
	}
}

// TestSessionWithCacheDown loads without a ticket; the session must know all the same how new the row is.
func TestSessionWithCacheDown(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	key, cut := f.key("a"), f.cutOff()
	f.put(key, "one")
	old := f.entry(key)
	session := reader.NewSession(cache.Token{})
	db, gate := rig.Gated(t, f.db, rig.After, "tidelock.floor")
	r := f.raw(func(cfg *reader.Config) { cfg.DB, cfg.Cache = db, f.unreachable() })
	read := get(t.Context(), r, key, reader.In(session))
	<-gate.Reached() // the label is read, the row is not
	last := f.put(key, "two", cut).Version()
	gate.Open()
	a := await(t, read)
	want(t, a.Payload, a.err, "two", false)
	if a.Version != old.Version || a.Seen != last {
		t.Errorf("the label is %d and seen %d, want %d and %d", a.Version, a.Seen, old.Version, last)
	}
	f.holds(key, "one")
	p, err := f.raw().Get(t.Context(), key, reader.In(session))
	want(t, p, err, "two", false)
}

// TestSessionWithoutSecondLook loses Postgres once the row is read: the row alone would leave the session in the dark.
func TestSessionWithoutSecondLook(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	key, other := f.key("a"), f.key("b")
	f.insert(key, "one")
	for name, c := range map[string]*cache.Cache{"cache up": f.cache, "cache down": f.unreachable()} {
		failing := func(cfg *reader.Config) { cfg.DB, cfg.Cache = &unsteady{DB: f.db}, c }
		session := reader.NewSession(cache.Token{})
		_, err := f.raw(failing).Get(t.Context(), key, reader.In(session))
		loadError(t, err, key)
		got, err := f.raw(failing).GetMany(t.Context(), []string{key, other}, reader.In(session))
		loadError(t, err, key, other)
		if len(got) != 0 {
			t.Errorf("%s: got %v", name, got)
		}
		if text := session.Token().String(); text != "" {
			t.Errorf("%s: the session's token is %q, though it has seen nothing", name, text)
		}
		p, err := f.raw(failing).Get(t.Context(), key) // nobody else minds
		want(t, p, err, "one", false)
		if p.Seen != 0 {
			t.Errorf("%s: seen %d without a look", name, p.Seen)
		}
	}
}

// unreachable is a cache behind a cut.
func (f *table) unreachable() *cache.Cache {
	f.t.Helper()
	proxy := rig.Proxy(f.t, stacktest.Valkey(f.t).Addr())
	if err := proxy.Cut(); err != nil {
		f.t.Fatal(err)
	}
	return rig.Cache(f.t, "valkey://"+proxy.Addr())
}

// TestSessionOfManyKeys reads more keys than a token lists, and goes on from it twice: those used last are served from the cache at
// once, each other key after at most one load, and none of them goes back.
func TestSessionOfManyKeys(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw()
	var keys []string
	var changes []writer.Change
	for i := range 3 * cache.TokenKeys {
		keys = append(keys, f.key(fmt.Sprint(i)))
		f.insert(keys[i], "one")
		changes = append(changes, writer.Set(keys[i], []byte("one")))
	}
	for _, c := range changes { // a version for each
		if _, err := f.writer.Write(t.Context(), noStatements, c); err != nil {
			t.Fatal(err)
		}
	}
	session := reader.NewSession(cache.Token{})
	loads := func(keys []string) int64 {
		t.Helper()
		before := r.Stats().Loaded
		for _, key := range keys {
			if p, err := r.Get(t.Context(), key, reader.In(session)); err != nil || string(p.Bytes) != "one" {
				t.Fatalf("read %q, %v", p.Bytes, err)
			}
		}
		return r.Stats().Loaded - before
	}
	if n := loads(keys) + loads(keys); n != 0 {
		t.Errorf("%d loads while the session knows each key", n)
	}
	token, err := cache.ParseToken(session.Token().String())
	if err != nil {
		t.Fatal(err)
	}
	session = reader.NewSession(token)
	if n := loads(keys[2*cache.TokenKeys:]); n != 0 {
		t.Errorf("%d loads of the keys used last", n)
	}
	// Of the others it knows only the highest version, which is that of the last of them.
	if n := loads(keys[:2*cache.TokenKeys]); n == 0 || n >= int64(2*cache.TokenKeys) {
		t.Errorf("%d loads of the others", n)
	}
	if n := loads(keys); n != 0 {
		t.Errorf("%d loads once the session knows each key again", n)
	}
}

// TestSessionOfBulkWrite has a token that asks its highest version of every key: each costs at most one load.
func TestSessionOfBulkWrite(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.put(key, "one")
	session := reader.NewSession(cache.Token{})
	p, err := r.Get(t.Context(), key, reader.In(session))
	want(t, p, err, "one", true)
	session.Wrote(cache.SessionToken(nil, p.Version+1000))
	for _, hit := range []bool{false, true} {
		p, err = r.Get(t.Context(), key, reader.In(session))
		want(t, p, err, "one", hit)
	}
}

// TestSessionAtOnce has many goroutines read and write in one session.
func TestSessionAtOnce(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	session := reader.NewSession(f.put(key, "0").Token())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			var last int64
			for range 20 {
				p, err := r.Get(t.Context(), key, reader.In(session))
				if err != nil || p.Version < last {
					t.Errorf("read version %d after %d, %v", p.Version, last, err)
				}
				last = p.Version
				if _, err := cache.ParseToken(session.Token().String()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		token := f.put(key, fmt.Sprint(i)).Token()
		session.Wrote(token)
		if p, err := r.Get(t.Context(), key, reader.In(session)); err != nil || p.Version < token.Version(key) {
			t.Errorf("read version %d, %v, after writing %d", p.Version, err, token.Version(key))
		}
	}
	wg.Wait()
}
