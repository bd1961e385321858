package reader_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// overtaken returns a reader whose first load reads its rows only after commits has run.
func (f *table) overtaken(commits func()) *reader.Raw {
	done := false
	return f.failing(func(ctx context.Context, keys []string) (map[string][]byte, error) {
		if !done {
			done = true
			commits()
		}
		return f.load(ctx, keys)
	})
}

// TestContentNeverGoesBack has two writes commit between a load's version and its row, and the apply of the first of
// them come late. The load's caller gets what is there, and the cache nothing: under its label, from before both, the newer value would
// have to give way to the older one.
func TestContentNeverGoesBack(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(f *table, key string){
		"first writes of the key": func(f *table, key string) { f.insert(key, "one") },
		"written before":          func(f *table, key string) { f.put(key, "one"); f.del(key) },
		"deleted before":          func(f *table, key string) { f.put(key, "one"); f.remove(key); f.del(key) },
	} {
		for end, last := range map[string]func(f *table, key string, by *writer.Writer){
			"set":     func(f *table, key string, by *writer.Writer) { f.put(key, "three", by) },
			"deleted": func(f *table, key string, by *writer.Writer) { f.remove(key, by) },
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				f := newTable(t)
				key, bystander, cut := f.key("a"), f.key("b"), f.cutOff()
				before(f, key)
				f.insert(bystander, "calm")
				var late int64
				r := f.overtaken(func() {
					late = f.put(key, "two", cut).Version()
					last(f, key, cut)
				})
				content := func(p reader.Payload, exists bool) string { return fmt.Sprint(exists, string(p.Bytes)) }
				got, err := r.GetMany(t.Context(), []string{key, bystander})
				first, exists := got[key]
				if err != nil || content(first, exists) != map[string]string{"set": "truethree", "deleted": "false"}[end] {
					t.Errorf("the load's caller read %q, %v, %v", first.Bytes, exists, err)
				}
				if e := f.entry(key); e.Hit() {
					t.Errorf("the cache holds %c %q of version %d", e.Kind, e.Payload, e.Version)
				}
				if n := r.Stats().Refused; n != 1 {
					t.Errorf("%d fills were counted as refused", n)
				}
				f.holds(bystander, "calm") // only what has changed is not filled
				f.applyLate(key, late, "two")
				second, err := r.Get(t.Context(), key)
				if now := content(second, !errors.Is(err, reader.ErrNotFound)); now != content(first, exists) {
					t.Errorf("readers saw %q and then %q of version %d, hit %v", content(first, exists), now, second.Version, second.Hit)
				}
				if e := f.entry(key); !e.Hit() { // undisturbed, a load fills
					t.Errorf("the cache holds %c of version %d", e.Kind, e.Version)
				}
			})
		}
	}
}

// applyLate applies a version as its writer does that was paused after its commit.
func (f *table) applyLate(key string, version int64, value string) {
	f.t.Helper()
	late := cache.Change{Key: key, Version: version, Kind: cache.Value, Payload: []byte(value), TTL: time.Minute, Allocate: true}
	if reply := f.cache.Apply(f.t.Context(), late)[0]; reply.Outcome == cache.Failed || reply.Outcome == cache.Rejected {
		f.t.Fatal(reply.Err)
	}
}

// unsteady is a pool that fails from its second query on.
type unsteady struct {
	reader.DB
	queries atomic.Int64
}

func (u *unsteady) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if u.queries.Add(1) > 1 {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return u.DB.Query(ended, sql, args...)
	}
	return u.DB.Query(ctx, sql, args...)
}

// TestUncheckedLoadIsNotCached loses Postgres once the row is read. The key has no version, which is what a failed query says too.
func TestUncheckedLoadIsNotCached(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(func(cfg *reader.Config) { cfg.DB = &unsteady{DB: f.db} }), f.key("a")
	f.insert(key, "one")
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", false)
	if e := f.entry(key); e.Hit() {
		t.Errorf("the cache holds %q of version %d", e.Payload, e.Version)
	}
}
