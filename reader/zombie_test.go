package reader_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// losses are the ways in which an entry vanishes from the cache. Each needs a server of its own.
var losses = map[string]func(f *table, key string){
	"flushed": func(f *table, _ string) { f.do(f.valkey.B().Flushall().Build()) },
	"deleted": func(f *table, key string) { f.del(key) },
	"expired": func(f *table, key string) {
		f.do(f.valkey.B().Pexpire().Key(key).Milliseconds(1).Build())
		f.gone(key)
	},
	"evicted": func(f *table, key string) { f.evict(key) },
	"lost, and loaded by another": func(f *table, key string) {
		f.del(key)
		f.cache.Ticket(f.t.Context(), []string{key}) // another loader has begun, and has a ticket of its own
	},
}

// gone waits until the server holds nothing at key.
func (f *table) gone(key string) {
	f.t.Helper()
	stacktest.Eventually(f.t, patience, func() bool {
		n, err := f.valkey.Do(f.t.Context(), f.valkey.B().Exists().Key(key).Build()).AsInt64()
		return err == nil && n == 0
	}, key, "goes")
}

// evict makes the server evict key for want of memory, and then gives it memory again.
func (f *table) evict(key string) {
	f.t.Helper()
	set := func(name, value string) {
		f.do(f.valkey.B().ConfigSet().ParameterValue().ParameterValue(name, value).Build())
	}
	set("maxmemory-policy", "allkeys-random")
	set("maxmemory", "1mb") // less than the server itself takes: everything goes
	filler := 0
	stacktest.Eventually(f.t, patience, func() bool {
		filler++
		// It may be refused once nothing is left to evict.
		_ = f.valkey.Do(f.t.Context(), f.valkey.B().Set().Key(fmt.Sprint("filler", filler)).Value(strings.Repeat("x", 1000)).Build()).Error()
		n, err := f.valkey.Do(f.t.Context(), f.valkey.B().Exists().Key(key).Build()).AsInt64()
		return err == nil && n == 0
	}, "the key is evicted")
	set("maxmemory", "0")
}

// pauses are the points at which a loader stands still: each returns a reader whose next load stops there.
var pauses = map[string]func(f *table) (r *reader.Raw, reached, release func()){
	"with its rows": func(f *table) (*reader.Raw, func(), func()) {
		r := f.raw()
		h := f.hold()
		return r, func() { h.reached() }, h.release
	},
	"about to fill": func(f *table) (*reader.Raw, func(), func()) {
		f.afterLoad = nil
		db, gate := rig.Gated(f.t, f.db, rig.After, "tidelock.floor")
		gate.Skip(1) // the look at the version that comes before the rows
		r := f.raw(func(cfg *reader.Config) { cfg.DB = db })
		return r, func() { <-gate.Reached() }, gate.Open
	},
}

// TestNoZombie pauses a loader that has read the old row. Meanwhile a newer write lands in the cache and is lost from it. The
// loader's caller may get the old value, for it asked before the write; the cache may not.
func TestNoZombie(t *testing.T) {
	t.Parallel()
	f := tableOn(t, rig.DB(t), stacktest.OwnValkey(t).URL())
	for loss, lose := range losses {
		for where, pause := range pauses {
			t.Run(loss+", "+where, func(t *testing.T) {
				r, reached, release := pause(f)
				key := f.key(loss + where)
				f.insert(key, "old")
				c := get(t.Context(), r, key)
				reached()
				newer := f.put(key, "new").Version()
				f.holds(key, "new")
				lose(f, key)
				release()
				if a := await(t, c); a.err != nil || string(a.Bytes) != "old" || a.Version >= newer {
					t.Errorf("the loader's caller read %q, labelled %d, %v; want old, and a label below %d", a.Bytes, a.Version, a.err, newer)
				}
				if e := f.entry(key); e.Hit() {
					t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
				}
				if n := r.Stats().Refused; n != 1 {
					t.Errorf("%d fills were counted as refused", n)
				}
				p, err := r.Get(t.Context(), key)
				want(t, p, err, "new", false)
				f.holds(key, "new")
			})
		}
	}
}

// TestSlowLoadIsRefused lets the placeholder expire under a loader, and writes by a writer that does not allocate.
func TestSlowLoadIsRefused(t *testing.T) {
	t.Parallel()
	f := tableOn(t, rig.DB(t), stacktest.Valkey(t).URL(), func(cfg *cache.Config) { cfg.PlaceholderTTL = 50 * time.Millisecond })
	lazy := rig.Writer(t, writer.Config{DB: f.db, Cache: f.cache, Allocate: writer.AllocateOnRead})
	r, key := f.raw(), f.key("a")
	h := f.hold()
	f.insert(key, "old")
	c := get(t.Context(), r, key)
	h.reached()
	f.gone(key)
	f.put(key, "new", lazy)
	h.release()
	await(t, c)
	if e := f.entry(key); e.Hit() {
		t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
	}
}

// TestWriteOvertakesLoad has a newer write reach the cache, with its placeholder still there, while a loader holds the old row.
func TestWriteOvertakesLoad(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	for name, allocation := range map[string]writer.Allocation{"on write": writer.AllocateOnWrite, "on read": writer.AllocateOnRead} {
		t.Run(name, func(t *testing.T) {
			w := rig.Writer(t, writer.Config{DB: f.db, Cache: f.cache, Allocate: allocation})
			r, key := f.raw(), f.key(name)
			h := f.hold()
			f.insert(key, "old")
			c := get(t.Context(), r, key)
			h.reached()
			f.put(key, "new", w)
			h.release()
			await(t, c)
			if e := f.entry(key); e.Hit() && string(e.Payload) != "new" {
				t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
			}
		})
	}
}

// TestLabelIsNeverTooHigh commits a write, which has not reached the cache yet, between a load's reads. The old row must not be
// taken for the new version, or the write's own apply would be turned away.
func TestLabelIsNeverTooHigh(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(func(cfg *reader.Config) { cfg.LoadTimeout = time.Minute }), f.key("a")
	h := f.hold()
	f.insert(key, "old")
	c := get(t.Context(), r, key)
	h.reached()
	newer := f.put(key, "new", f.cutOff()).Version()
	h.release()
	if a := await(t, c); string(a.Bytes) == "old" && a.Version >= newer {
		t.Errorf("the old row is labelled %d, the new one has %d", a.Version, newer)
	}
	late := cache.Change{Key: key, Version: newer, Kind: cache.Value, Payload: []byte("new"), TTL: time.Minute}
	if reply := f.cache.Apply(t.Context(), late)[0]; !reply.Outcome.Done() {
		t.Fatal(reply.Err)
	}
	p, err := r.Get(t.Context(), key)
	if err != nil || string(p.Bytes) != "new" {
		t.Errorf("after the apply of the newer write a read brings %q, %v", p.Bytes, err)
	}
	f.holds(key, "new")
}
