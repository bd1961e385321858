package reader_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

// inCaller is the key of a value in a caller's context: a transaction, say.
type inCaller struct{}

// watched notes whether the caller's value reaches a query.
type watched struct {
	reader.DB
	reached *atomic.Int64
}

func (w watched) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if ctx.Value(inCaller{}) != nil {
		w.reached.Add(1)
	}
	return w.DB.Query(ctx, sql, args...)
}

// TestLoadIsNobodysInParticular: what one caller's context bears must not reach what all callers are served.
func TestLoadIsNobodysInParticular(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	var reached atomic.Int64
	r := f.failing(func(ctx context.Context, keys []string) (map[string][]byte, error) {
		if ctx.Value(inCaller{}) != nil {
			reached.Add(1)
		}
		return f.load(ctx, keys)
	}, func(cfg *reader.Config) { cfg.DB = watched{f.db, &reached} })
	ctx := context.WithValue(t.Context(), inCaller{}, "a transaction")
	a, b := f.key("a"), f.key("b")
	f.insert(a, "one")
	f.insert(b, "two")
	p, err := r.Get(ctx, a)
	want(t, p, err, "one", false)
	got, err := r.GetMany(ctx, []string{a, b})
	want(t, got[b], err, "two", false)
	if f.loads.Load() != 2 || reached.Load() != 0 {
		t.Errorf("%d loads, whose queries have met the caller's value %d times", f.loads.Load(), reached.Load())
	}
}

// TestOldResultsAreForgotten asks for a key so often that each load is booked while another is under way. What the earlier ones have
// brought must not live for as long as that goes on.
func TestOldResultsAreForgotten(t *testing.T) {
	t.Parallel()
	const loads = 10
	f := newTable(t)
	proxy := rig.Proxy(t, stacktest.Valkey(t).Addr())
	if err := proxy.Cut(); err != nil { // so that every read is a load
		t.Fatal(err)
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var forgotten atomic.Int64
	r := f.failing(func(_ context.Context, keys []string) (map[string][]byte, error) {
		begun <- struct{}{}
		<-goOn
		value := make([]byte, 1000)
		runtime.AddCleanup(&value[0], func(int) { forgotten.Add(1) }, 0)
		return map[string][]byte{keys[0]: value}, nil
	}, func(cfg *reader.Config) { cfg.Cache = rig.Cache(t, "valkey://"+proxy.Addr()) })
	t.Cleanup(func() { close(goOn) })
	key := f.key("hot")
	ask := func(n int64) {
		get(t.Context(), r, key)
		missed(t, r, n)
	}
	ask(1)
	for i := range int64(loads) {
		<-begun
		ask(i + 2)
		goOn <- struct{}{}
	}
	<-begun
	stacktest.Eventually(t, patience, func() bool {
		runtime.GC()
		return forgotten.Load() == loads
	}, "while the next load is under way, nothing is left of the others")
}
