package writer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// soon bounds what must not wait for others to let go: it takes a fraction of a second.
const soon = 5 * time.Second

// queued makes the Puts one group, as together does, but does not wait for their answers.
func (v *world) queued(t *testing.T, w *writer.Writer, puts []writer.Put) []<-chan answer {
	t.Helper()
	firstDone, release := v.occupy(t, t.Context(), w, v.prefix+"first", "SELECT hold_up($1)")
	var work sync.WaitGroup
	t.Cleanup(work.Wait)
	answers := make([]<-chan answer, len(puts))
	for i, put := range puts {
		done := make(chan answer, 1)
		answers[i] = done
		work.Go(func() {
			result, err := w.Put(t.Context(), put)
			done <- answer{result, err}
		})
	}
	stacktest.Eventually(t, patience, func() bool { return queuedByMe() == len(puts) }, "all Puts are queued")
	release()
	must(t, (<-firstDone).err)
	return answers
}

// written checks that the key's row is "new" and that the cache knows. A busy machine may leave it at that, with no value cached.
func (v *world) written(t testing.TB, key string) {
	t.Helper()
	row, e := v.row(t, key), v.entry(t, key)
	if row != "new" || e.Kind != cache.Placeholder && string(e.Payload) != "new" {
		t.Errorf("the row of %s is %q, the entry %+v", key, row, e)
	}
}

func patiently(t *testing.T, done <-chan answer, within time.Duration, what string) answer {
	t.Helper()
	select {
	case a := <-done:
		return a
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
		return answer{}
	}
}

// TestLockedRowKeepsNobodyWaiting has 20 Puts share their transaction with one or more whose rows somebody else has locked.
func TestLockedRowKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for _, locked := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(locked), func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.writer(t, oneCommitter, func(c *writer.Config) { c.CommitTimeout = time.Minute })
			keys := v.numbered(t, 20+locked)
			blocked := keys[10 : 10+locked]
			tx := v.begin(t)
			_, err := tx.Exec(t.Context(), "SELECT FROM item WHERE key = ANY ($1) FOR UPDATE", blocked)
			must(t, err)
			answers := v.queued(t, w, puts(keys))
			for i, key := range keys {
				if !slices.Contains(blocked, key) {
					must(t, patiently(t, answers[i], soon, "a Put of another row comes back while the lock lasts").err)
					v.written(t, key)
				}
			}
			for i, key := range keys {
				if len(answers[i]) > 0 {
					t.Errorf("%s is locked, and its Put came back: %+v", key, <-answers[i])
				}
			}
			must(t, tx.Rollback(t.Context()))
			for i, key := range keys {
				if slices.Contains(blocked, key) {
					must(t, patiently(t, answers[i], patience, "a Put comes back once its row is free").err)
					v.written(t, key)
				}
			}
			if n := value[int](t, v, "SELECT count(*) FROM item WHERE key = ANY ($1) AND n <> 1", keys); n != 0 {
				t.Errorf("%d statements have had their effect more than once", n)
			}
		})
	}
}

// TestLockedKeyKeepsNobodyWaiting is the same for a key that a transaction has recorded and not committed yet: its
// Put waits in the last statement of the group, which is everybody's.
func TestLockedKeyKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter, func(c *writer.Config) { c.CommitTimeout = time.Minute })
	keys := v.numbered(t, 21)
	tx := v.lockKey(t, keys[10])
	answers := v.queued(t, w, puts(keys))
	for i := range keys {
		if i != 10 {
			must(t, patiently(t, answers[i], soon, "a Put of another key comes back while the lock lasts").err)
		}
	}
	if len(answers[10]) > 0 {
		t.Errorf("the locked Put came back: %+v", <-answers[10])
	}
	must(t, tx.Rollback(t.Context()))
	must(t, patiently(t, answers[10], patience, "a Put comes back once its key is free").err)
	for _, key := range keys {
		v.written(t, key)
	}
}

// TestLonePutWaits for longer than a group would let it.
func TestLonePutWaits(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	tx := v.lockRow(t, key)
	done := start(func() (writer.Result, error) { return viaPut(t.Context(), v, w, key, "new") })
	v.awaitWaiting(t, 1)
	select {
	case a := <-done:
		t.Errorf("it came back: %+v", a)
	case <-time.After(time.Second): // ten times what a group waits
	}
	must(t, tx.Rollback(t.Context()))
	must(t, patiently(t, done, patience, "the Put comes back once its row is free").err)
	v.written(t, key)
}

// TestWaitingPutsLeaveTheCommitters: as many Puts as there are committers wait, each by itself, and others still go through.
func TestWaitingPutsLeaveTheCommitters(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	locked, free := v.rows(t, "locked")[0], v.rows(t, "free")[0]
	tx := v.lockRow(t, locked)
	waiting := start(func() (writer.Result, error) { return viaPut(t.Context(), v, w, locked, "new") })
	v.awaitWaiting(t, 1)
	done := start(func() (writer.Result, error) { return viaPut(t.Context(), v, w, free, "new") })
	must(t, patiently(t, done, patience, "a Put of another row comes back while the first waits").err)
	v.written(t, free)
	must(t, tx.Rollback(t.Context()))
	must(t, patiently(t, waiting, patience, "the Put comes back once its row is free").err)
}

// TestCallerOfALockedPutLeaves: alone or in company, its own context's end is the end of its waiting.
func TestCallerOfALockedPutLeaves(t *testing.T) {
	t.Parallel()
	for name, company := range map[string]int{"alone": 0, "in company": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.writer(t)
			key := v.rows(t, "k")[0]
			tx := v.lockRow(t, key)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			done := start(func() (writer.Result, error) { return viaPut(ctx, v, w, key, "new") })
			others := v.numbered(t, company)
			var neighbours []<-chan answer
			for _, other := range others {
				neighbours = append(neighbours, start(func() (writer.Result, error) { return viaPut(t.Context(), v, w, other, "new") }))
			}
			v.awaitWaiting(t, 1)
			leave()
			a := patiently(t, done, soon, "the Put comes back when its context ends")
			if !errors.Is(a.err, writer.ErrUnknown) || !errors.Is(a.err, context.Canceled) {
				t.Errorf("got %v, want ErrUnknown for the end of the context", a.err)
			}
			must(t, tx.Rollback(t.Context()))
			for i, neighbour := range neighbours {
				must(t, patiently(t, neighbour, patience, "a neighbour comes back").err)
				v.written(t, others[i])
			}
			v.awaitRow(t, key, "new") // it was under way, so it happens: that is what is unknown
		})
	}
}
