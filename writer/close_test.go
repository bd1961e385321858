package writer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestCloseDrains closes a writer that has just come back from many writes.
func TestCloseDrains(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.warm(t, v.numbered(t, 60)...)
	var work sync.WaitGroup
	for i, key := range keys {
		work.Go(func() {
			do := []way{viaPut, viaWrite, viaRecord}[i%3]
			if _, err := do(t.Context(), v, w, key, "new"); err != nil {
				t.Errorf("writing: %v", err)
			}
		})
	}
	work.Wait()
	w.Close()
	if n := v.records(t); n != 0 {
		t.Errorf("%d records are left, and all were settled", n)
	}
	for _, key := range keys {
		v.holds(t, key, "new")
	}
}

// TestCloseWaitsForCalls: a write that is under way is finished, by every Close that returns.
func TestCloseWaitsForCalls(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "write", "put")
	var held []pgx.Tx
	var done []<-chan answer
	for i, do := range []way{viaWrite, viaPut} {
		held = append(held, v.lockRow(t, keys[i]))
		done = append(done, start(func() (writer.Result, error) { return do(t.Context(), v, w, keys[i], "new") }))
	}
	v.awaitWaiting(t, 2)
	closed := make(chan struct{}, 2)
	for range 2 {
		go func() {
			w.Close()
			closed <- struct{}{}
		}()
	}
	ended, cancel := context.WithCancel(t.Context()) // so that a call which is let in does nothing
	cancel()
	stacktest.Eventually(t, patience, func() bool { return errors.Is(onlyError(viaPut(ended, v, w, keys[0], "late")), writer.ErrClosed) }, "the writer refuses calls")
	select {
	case <-closed:
		t.Error("Close has returned while two writes are under way")
	case <-time.After(100 * time.Millisecond): // one that does not wait needs microseconds
	}
	for i := range held {
		must(t, held[i].Rollback(t.Context()))
		must(t, (<-done[i]).err)
	}
	for range 2 {
		<-closed
		if n := v.records(t); n != 0 {
			t.Errorf("a Close returned with %d settled records in the outbox", n)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	tx, pending := recorded(t, v, w, v.rows(t, "recorded")[0])
	must(t, tx.Commit(t.Context()))
	w.Close()
	w.Close()
	for name, do := range ways {
		if _, err := do(t.Context(), v, w, key, "new"); !errors.Is(err, writer.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if _, err := pending.Apply(t.Context()); !errors.Is(err, writer.ErrClosed) {
		t.Errorf("Apply: %v, want ErrClosed", err)
	}
	v.untouched(t, key)
}
