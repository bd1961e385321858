package writer_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/writer"
)

// BenchmarkWrites compares the writer with an UPDATE and a SET written by hand, on the same servers in the same run. Postgres
// runs without fsync here: with it, sharing transactions gains more than this shows.
func BenchmarkWrites(b *testing.B) {
	v := newWorld(b)
	v.db = pool(b, v.db.Config().ConnString(), 64)
	keys := v.warm(b, v.numbered(b, 1000)...)
	w := rig.Writer(b, writer.Config{DB: v.db, Cache: v.cache})
	kinds := []struct {
		name string
		do   func(ctx context.Context, key string) error
	}{
		{"by hand", func(ctx context.Context, key string) error { return byHand(ctx, v, key, "new") }},
		{"Put", func(ctx context.Context, key string) error { return onlyError(viaPut(ctx, v, w, key, "new")) }},
		{"Write", func(ctx context.Context, key string) error { return onlyError(viaWrite(ctx, v, w, key, "new")) }},
	}
	for _, callers := range []int{1, 16, 64} {
		for _, kind := range kinds {
			b.Run(fmt.Sprintf("%s/%d", kind.name, callers), func(b *testing.B) {
				share(b, callers, func(i int64) error { return kind.do(b.Context(), keys[i%int64(len(keys))]) })
			})
		}
	}
}

// share has exactly that many callers do the benchmark's work; RunParallel makes multiples of GOMAXPROCS.
func share(b *testing.B, callers int, do func(i int64) error) {
	var next atomic.Int64
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := do(i); err != nil {
					b.Errorf("writing: %v", err)
				}
			}
		})
	}
	work.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
