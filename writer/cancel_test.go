package writer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/writer"
)

// promptly is far less than the timeout of a commit, which is what a cancellation that does not work would wait for.
const promptly = 5 * time.Second

// giveUp ends the context of a write that waits and checks that it returns soon and that it says it has not committed.
func giveUp(t *testing.T, cancel context.CancelFunc, done <-chan answer) {
	t.Helper()
	cancel()
	select {
	case a := <-done:
		if !errors.Is(a.err, context.Canceled) || errors.Is(a.err, writer.ErrUnknown) {
			t.Errorf("got %v, want context.Canceled and a known outcome", a.err)
		}
	case <-time.After(promptly):
		t.Errorf("still waiting %v after its context has ended", promptly)
		<-done
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range ways {
		for range 10 { // a select between two ready channels picks either
			key := v.prefix + name
			if err := onlyError(do(ctx, v, w, key, "new")); !errors.Is(err, context.Canceled) || errors.Is(err, writer.ErrUnknown) {
				t.Errorf("%s: %v, want context.Canceled", name, err)
			}
		}
	}
}

// TestCancelledWhileItWaitsForALock: whatever lock that is, nothing is committed, and nobody in the server goes on waiting.
func TestCancelledWhileItWaitsForALock(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	for name, test := range map[string]struct {
		lock   func(*world, testing.TB, string) pgx.Tx
		change func(key string) writer.Change
	}{
		"the row's, in the function":    {(*world).lockRow, func(key string) writer.Change { return writer.Set(key, []byte("new")) }},
		"the key's, with the commit":    {(*world).lockKey, func(key string) writer.Change { return writer.Set(key, []byte("new")) }},
		"the key's, before the Refresh": {(*world).lockKey, func(key string) writer.Change { return refreshTo(key, "new") }},
	} {
		t.Run(name, func(t *testing.T) {
			key := v.rows(t, name)[0]
			held := test.lock(v, t, key)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := start(func() (writer.Result, error) { return w.Write(ctx, justUpdating(key, "new"), test.change(key)) })
			v.awaitWaiting(t, 1)
			giveUp(t, cancel, done)
			v.awaitWaiting(t, 0)
			must(t, held.Rollback(t.Context()))
			v.untouched(t, key)
		})
	}
}

// TestCancelledInTheFunction, which does not care.
func TestCancelledInTheFunction(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		defer cancel()
		return updating(key, "new")(ctx, tx)
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, writer.ErrUnknown) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	v.untouched(t, key)
}

// TestCancelledAfterTheCommit: the write has happened, and whoever made it is told so.
func TestCancelledAfterTheCommit(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	p := rig.Proxy(t, hostPort(v.url))
	w := v.writer(t, func(c *writer.Config) { c.Cache = slowCache(t, p) })
	key := v.warm(t, v.rows(t, "k")...)[0]
	must(t, p.Slow(time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	done := start(func() (writer.Result, error) { return viaWrite(ctx, v, w, key, "new") })
	v.awaitRow(t, key, "new")
	cancel()
	must(t, p.Heal())
	if a := <-done; a.err != nil || a.result.Deferred() {
		t.Errorf("got %+v, %v", a.result, a.err)
	}
	v.holds(t, key, "new")
}

// TestPutCancelledInTheQueue: nothing was done for it yet.
func TestPutCancelledInTheQueue(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, oneCommitter)
	keys := v.warm(t, v.rows(t, "first", "second")...)
	first, release := v.occupy(t, t.Context(), w, keys[0], "SELECT 'new' WHERE hold_up($1) IS NOT NULL")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // so that it ends while the Put is queued
	defer cancel()
	if err := onlyError(viaPut(ctx, v, w, keys[1], "new")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, writer.ErrUnknown) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	release()
	must(t, (<-first).err)
	v.untouched(t, keys[1])
}

// TestPutCancelledUnderWay leaves at once, with an error that promises nothing, and the write is finished without its caller.
func TestPutCancelledUnderWay(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	ctx, cancel := context.WithCancel(t.Context())
	done, release := v.occupy(t, ctx, w, key, "UPDATE item SET value = 'new' WHERE key = $1 AND hold_up($1) IS NOT NULL RETURNING value")
	cancel()
	if a := <-done; !errors.Is(a.err, writer.ErrUnknown) || !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v, want ErrUnknown", a.err)
	}
	release()
	w.Close()
	v.holds(t, key, "new")
}
