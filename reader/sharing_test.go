package reader_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

// beat is long enough for a goroutine that is about to do something to do it. A test waits so long where it would show
// a fault if there is one; without a fault nothing depends on it.
const beat = 100 * time.Millisecond

// missed waits until the reader has counted so many misses.
func missed(t testing.TB, r *reader.Raw, n int64) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool { return r.Stats().Misses == n }, "callers miss")
}

// TestLoadBeginsAfterItsCallersAsked has callers ask while a load is under way that has read Postgres already. A write is
// acknowledged between that read and their question, so they must see it.
func TestLoadBeginsAfterItsCallersAsked(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	h := f.hold()
	f.insert(key, "one")
	early := get(t.Context(), r, key)
	h.reached()
	f.put(key, "two")
	f.del(key)
	var late []<-chan answer
	for range 4 {
		late = append(late, get(t.Context(), r, key))
	}
	missed(t, r, 5)
	time.Sleep(beat)
	h.release()
	if a := await(t, early); string(a.Bytes) != "one" {
		t.Errorf("the first caller read %q, %v", a.Bytes, a.err)
	}
	for _, c := range late {
		if a := await(t, c); a.err != nil || string(a.Bytes) != "two" {
			t.Errorf("a caller that asked after the write read %q, %v", a.Bytes, a.err)
		}
	}
}

// TestCallersShareALoad has 20 callers ask while a load is under way: the next load serves those who asked before it
// departed, and whoever was slower to ask shares the one after it.
func TestCallersShareALoad(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	h := f.hold()
	f.insert(key, "one")
	first := get(t.Context(), r, key)
	h.reached()
	var others []<-chan answer
	for range 20 {
		others = append(others, get(t.Context(), r, key))
	}
	missed(t, r, 21)
	h.release()
	for _, c := range append(others, first) {
		if a := await(t, c); a.err != nil || string(a.Bytes) != "one" {
			t.Errorf("read %q, %v", a.Bytes, a.err)
		}
	}
	if n := f.loads.Load(); n > 3 {
		t.Errorf("21 callers cost %d loads", n)
	}
}

// TestGetManySharesWithGet asks for two keys, one of which is being loaded: one load brings both.
func TestGetManySharesWithGet(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, a, b := f.raw(), f.key("a"), f.key("b")
	h := f.hold()
	f.insert(a, "one")
	f.insert(b, "two")
	first := get(t.Context(), r, a)
	h.reached()
	many := make(chan map[string]reader.Payload, 1)
	go func() {
		got, err := r.GetMany(t.Context(), []string{a, b})
		if err != nil {
			t.Error(err)
		}
		many <- got
	}()
	missed(t, r, 3)
	h.release()
	await(t, first)
	got := <-many
	if string(got[a].Bytes) != "one" || string(got[b].Bytes) != "two" {
		t.Errorf("read %+v", got)
	}
	if n := f.loads.Load(); n > 2 {
		t.Errorf("%d loads", n)
	}
}

// TestLoadsAreCapped asks for six keys with two loads allowed at once.
func TestLoadsAreCapped(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw(func(cfg *reader.Config) { cfg.Loads = 2 })
	var running, most atomic.Int64
	began, free := make(chan struct{}, 6), make(chan struct{})
	f.afterLoad = func(context.Context, []string) {
		n := running.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		began <- struct{}{}
		<-free
		running.Add(-1)
	}
	var reads []<-chan answer
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		f.insert(f.key(name), name)
		reads = append(reads, get(t.Context(), r, f.key(name)))
	}
	missed(t, r, 6)
	<-began
	<-began
	time.Sleep(beat) // a third load would begin now
	close(free)
	for _, c := range reads {
		if a := await(t, c); a.err != nil {
			t.Error(a.err)
		}
	}
	if n := most.Load(); n != 2 {
		t.Errorf("%d loads were under way at once", n)
	}
}

// TestCallerLeaves ends the context of callers: of the one whose question began the load, and of one of several who share.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	h := f.hold()
	f.insert(key, "one")
	ctx, leave := context.WithCancel(t.Context())
	leavers := []<-chan answer{get(ctx, r, key)}
	h.reached()
	stays := get(t.Context(), r, key)
	leavers = append(leavers, get(ctx, r, key))
	missed(t, r, 3)
	leave()
	for _, c := range leavers {
		if a := await(t, c); !errors.Is(a.err, context.Canceled) {
			t.Errorf("who has left read %q, %v", a.Bytes, a.err)
		}
	}
	h.release()
	if a := await(t, stays); a.err != nil || string(a.Bytes) != "one" {
		t.Errorf("who has stayed read %q, %v", a.Bytes, a.err)
	}
}

// TestLoadGoesOnWithoutItsCaller shows that the work of a load is not lost when its only caller leaves.
func TestLoadGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	h := f.hold()
	f.insert(key, "one")
	ctx, leave := context.WithCancel(t.Context())
	c := get(ctx, r, key)
	h.reached()
	leave()
	await(t, c)
	h.release()
	stacktest.Eventually(t, patience, func() bool { return f.entry(key).Hit() }, "the load fills the cache")
	f.holds(key, "one")
}

// TestDeadlineOfCaller bounds a call by its own context though the load may take longer.
func TestDeadlineOfCaller(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw()
	f.hold()
	ctx, cancel := context.WithTimeout(t.Context(), beat)
	defer cancel()
	if _, err := r.GetMany(ctx, []string{f.key("a")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}
