package reader_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/reader"
)

var errTable = errors.New("the table is on fire")

// failing returns a reader whose load does as told.
func (f *table) failing(load func(context.Context, []string) (map[string][]byte, error), tune ...func(*reader.Config)) *reader.Raw {
	return f.raw(append(tune, func(cfg *reader.Config) { cfg.Load = load })...)
}

func TestLoadError(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.failing(func(context.Context, []string) (map[string][]byte, error) { return nil, errTable })
	a, b := f.key("a"), f.key("b")
	_, err := r.Get(t.Context(), a)
	loadError(t, err, a)
	if !errors.Is(err, errTable) || !strings.Contains(err.Error(), a) {
		t.Errorf("the error is %q", err)
	}
	_, err = r.GetMany(t.Context(), []string{a, b, a})
	loadError(t, err, a, b)
	if !errors.Is(err, errTable) {
		t.Errorf("the error is %q", err)
	}
	if e := f.entry(a); e.Hit() {
		t.Errorf("the cache holds %+v though nothing was loaded", e)
	}
}

func TestLoadErrorNamesFewKeys(t *testing.T) {
	t.Parallel()
	err := &reader.LoadError{Keys: []string{"a", "b", "c", "d", "e"}, Err: errTable}
	if got := err.Error(); got != "loading a, b, c and 2 more: the table is on fire" {
		t.Errorf("the error is %q", got)
	}
}

func TestPanicInLoad(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	panicking := true
	r := f.failing(func(ctx context.Context, keys []string) (map[string][]byte, error) {
		if panicking {
			panic("no such flight")
		}
		return f.load(ctx, keys)
	})
	key := f.key("a")
	f.insert(key, "one")
	_, err := r.Get(t.Context(), key)
	loadError(t, err, key)
	if err == nil || !strings.Contains(err.Error(), "no such flight") {
		t.Errorf("the error is %v", err)
	}
	panicking = false
	p, err := r.Get(t.Context(), key)
	want(t, p, err, "one", false)
}

func TestLoadTimeout(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.failing(func(ctx context.Context, _ []string) (map[string][]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, func(cfg *reader.Config) { cfg.LoadTimeout = beat })
	_, err := r.Get(t.Context(), f.key("a"))
	loadError(t, err, f.key("a"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
}

// TestLoadTimeoutWhileWaiting lets a load wait for a free slot for as long as a load may take.
func TestLoadTimeoutWhileWaiting(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw(func(cfg *reader.Config) { cfg.Loads, cfg.LoadTimeout = 1, time.Second })
	h := f.hold()
	first := get(t.Context(), r, f.key("a"))
	h.reached()
	_, err := r.Get(t.Context(), f.key("b"))
	loadError(t, err, f.key("b"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	h.release()
	await(t, first)
}

func TestClose(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key, cached := f.raw(), f.key("a"), f.key("cached")
	h := f.hold()
	f.insert(key, "one")
	f.put(cached, "two")
	c := get(t.Context(), r, key)
	h.reached()
	closed := make(chan struct{})
	go func() {
		r.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("Close did not wait for the load under way")
	case <-time.After(beat):
	}
	h.release()
	<-closed
	if a := await(t, c); a.err != nil || string(a.Bytes) != "one" {
		t.Errorf("the load under way brought %q, %v", a.Bytes, a.err)
	}
	if _, err := r.Get(t.Context(), f.key("b")); !errors.Is(err, reader.ErrClosed) {
		t.Errorf("a miss after Close: %v", err)
	}
	if _, err := r.GetMany(t.Context(), []string{f.key("b")}); !errors.Is(err, reader.ErrClosed) {
		t.Errorf("misses after Close: %v", err)
	}
	p, err := r.Get(t.Context(), cached)
	want(t, p, err, "two", true)
	r.Close() // again, harmless
}
