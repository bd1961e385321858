package reader_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/reader"
)

// hold stops every load between its read of Postgres and its return, so that a test can build a schedule around it.
type hold struct {
	t    testing.TB
	read chan []string // the keys of a load that has read its rows
	free chan struct{} // closed to let all loads go
	once sync.Once
}

func (f *table) hold() *hold {
	h := &hold{t: f.t, read: make(chan []string, 100), free: make(chan struct{})}
	f.afterLoad = func(_ context.Context, keys []string) {
		h.read <- keys
		<-h.free
	}
	f.t.Cleanup(h.release) // runs before the reader's Close waits, for it is registered later
	return h
}

func (h *hold) release() { h.once.Do(func() { close(h.free) }) }

// reached waits until a load has read its rows.
func (h *hold) reached() []string {
	h.t.Helper()
	select {
	case keys := <-h.read:
		return keys
	case <-time.After(patience):
		h.t.Fatal("no load began")
		return nil
	}
}

// answer is what a read in the background came to.
type answer struct {
	reader.Payload
	err error
}

// get reads key in the background.
func get(ctx context.Context, r *reader.Raw, key string, options ...reader.Option) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		p, err := r.Get(ctx, key, options...)
		c <- answer{p, err}
	}()
	return c
}

// await waits for a read in the background.
func await(t testing.TB, c <-chan answer) answer {
	t.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(patience):
		t.Fatal("the read did not return")
		return answer{}
	}
}
