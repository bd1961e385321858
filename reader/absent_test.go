package reader_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

// ttl returns how long the entry at key has to live.
func (f *table) ttl(key string) time.Duration {
	f.t.Helper()
	ttl, err := f.cache.TTL(f.t.Context(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	return ttl
}

// TestTTLs checks that each kind of entry has its own time to live, that up to a tenth of it is taken off, and that the
// part taken off differs from key to key.
func TestTTLs(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	const ttl, absentTTL, slack = time.Hour, 10 * time.Minute, time.Minute // slack: what the test itself may take
	r := f.raw(func(cfg *reader.Config) { cfg.TTL, cfg.AbsentTTL = ttl, absentTTL })
	for name, kind := range map[string]struct {
		exists bool
		ttl    time.Duration
	}{"value": {true, ttl}, "absent": {false, absentTTL}} {
		var keys []string
		for i := range 50 {
			key := f.key(fmt.Sprint(name, i))
			keys = append(keys, key)
			if kind.exists {
				f.insert(key, "x")
			}
		}
		if _, err := r.GetMany(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		distinct := make(map[time.Duration]bool)
		for _, key := range keys {
			got := f.ttl(key)
			distinct[got.Truncate(time.Second)] = true
			if got > kind.ttl || got < kind.ttl*9/10-slack {
				t.Errorf("%s lives %v, want at most %v and a tenth less", name, got, kind.ttl)
			}
		}
		if len(distinct) < 10 {
			t.Errorf("50 keys of kind %s expire at %d moments", name, len(distinct))
		}
	}
}

// TestAbsentIsForgotten has a row appear behind Tidelock's back: the answer that there is none lasts for AbsentTTL.
func TestAbsentIsForgotten(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(func(cfg *reader.Config) { cfg.AbsentTTL = time.Second }), f.key("a")
	for _, hit := range []bool{false, true} {
		p, err := r.Get(t.Context(), key)
		if !errors.Is(err, reader.ErrNotFound) || p.Hit != hit {
			t.Errorf("read %+v, %v; want no row, hit %v", p, err, hit)
		}
	}
	f.insert(key, "one")
	stacktest.Eventually(t, patience, func() bool {
		p, err := r.Get(t.Context(), key)
		return err == nil && string(p.Bytes) == "one"
	})
	if ttl := f.ttl(key); ttl < time.Minute {
		t.Errorf("the value lives %v, as if it were absent", ttl)
	}
}

// TestAbsentAfterDelete reads a row that was deleted through a writer.
func TestAbsentAfterDelete(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	f.put(key, "one")
	f.remove(key)
	p, err := r.Get(t.Context(), key)
	if !errors.Is(err, reader.ErrNotFound) || !p.Hit {
		t.Errorf("read %+v, %v; want to know from the cache that there is no row", p, err)
	}
}
