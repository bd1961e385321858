package reader_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
)

// TestStrangeEntries reads keys at which somebody else has left something.
func TestStrangeEntries(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	b := f.valkey.B
	for name, c := range map[string]struct {
		leave func(key string)
		kept  bool // it is not ours to replace on a read
	}{
		"foreign text":    {func(key string) { f.do(b().Set().Key(key).Value("hello").Build()) }, false},
		"unknown format":  {func(key string) { f.do(b().Set().Key(key).Value("tl9 V 42\nhello").Build()) }, false},
		"an empty string": {func(key string) { f.do(b().Set().Key(key).Value("").Build()) }, false},
		"a list":          {func(key string) { f.do(b().Lpush().Key(key).Element("x").Build()) }, true},
		"a hash":          {func(key string) { f.do(b().Hset().Key(key).FieldValue().FieldValue("a", "b").Build()) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			r, key := f.raw(), f.key(name)
			f.insert(key, "one")
			c.leave(key)
			for _, hit := range []bool{false, !c.kept} {
				p, err := r.Get(t.Context(), key)
				want(t, p, err, "one", hit)
				got, err := r.GetMany(t.Context(), []string{key})
				want(t, got[key], err, "one", !c.kept)
			}
		})
	}
}

// TestUndecodablePayload has the cache hold bytes under the right header that the codec cannot read.
func TestUndecodablePayload(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	var loads int
	r, err := reader.New(f.config(), flights(&loads))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	key, good := f.key("a"), f.key("good")
	if _, err := r.Get(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	version := f.put(key, `{"Number": "LH`).Version()
	item, err := r.Get(t.Context(), key)
	if err != nil || item.Value.Number != key || item.Hit || item.Version != version {
		t.Errorf("got %+v, %v; want it from Postgres", item, err)
	}
	if item, err = r.Get(t.Context(), key); err != nil || item.Value.Number != key || !item.Hit {
		t.Errorf("got %+v, %v; want it from the cache, mended by the read before", item, err)
	}
	f.put(key, `{"Number": "LH`)
	items, err := r.GetMany(t.Context(), []string{key, good})
	if err != nil || items[key].Value.Number != key || items[key].Hit || !items[good].Hit {
		t.Errorf("got %+v, %v; want the one from Postgres, the other from the cache", items, err)
	}
}

// TestOversizedValue loads more than may be cached.
func TestOversizedValue(t *testing.T) {
	t.Parallel()
	f := tableOn(t, rig.DB(t), stacktest.Valkey(t).URL(), func(cfg *cache.Config) { cfg.PayloadMax = 100 })
	r, big, fits := f.raw(), f.key("big"), f.key("fits")
	f.insert(big, strings.Repeat("x", 101))
	f.insert(fits, strings.Repeat("y", 100))
	for range 2 {
		p, err := r.Get(t.Context(), big)
		want(t, p, err, strings.Repeat("x", 101), false)
	}
	if e := f.entry(big); e.Hit() {
		t.Errorf("the cache holds %d bytes", len(e.Payload))
	}
	p, err := r.Get(t.Context(), fits)
	want(t, p, err, strings.Repeat("y", 100), false)
	f.holds(fits, strings.Repeat("y", 100))
}

func TestEmptyValueIsAValue(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.insert(key, "")
	for _, hit := range []bool{false, true} {
		p, err := r.Get(t.Context(), key)
		want(t, p, err, "", hit)
	}
}

// TestPrunedKeyIsLabelledWithTheFloor forgets a key's version. A load must not be labelled 0 then: an entry of a version
// above it may still live.
func TestPrunedKeyIsLabelledWithTheFloor(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key, never := f.raw(), f.key("a"), f.key("never written")
	version := f.put(key, "one").Version()
	f.del(key)
	stacktest.Eventually(t, patience, func() bool {
		if _, err := outbox.Prune(t.Context(), f.db, time.Millisecond); err != nil {
			t.Fatal(err)
		}
		versions, err := outbox.Latest(t.Context(), f.db, []string{key})
		return err == nil && len(versions) == 0
	}, "the version is pruned")
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", false)
	if p.Version < version {
		t.Errorf("the label is %d, the version that was forgotten %d", p.Version, version)
	}
	if n, err := r.Get(t.Context(), never); !errors.Is(err, reader.ErrNotFound) || n.Version != p.Version {
		t.Errorf("a key that never had a version: %+v, %v; want the same label", n, err)
	}
	f.put(key, "two") // what comes after the floor replaces it
	f.holds(key, "two")
}
