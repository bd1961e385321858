package judge

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// TestValid judges histories with nothing to find in them.
func TestValid(t *testing.T) {
	t.Parallel()
	late := int64(0)
	for seed := range uint64(60) {
		v := Judge(newWorld(seed).run(2000, 1+int(seed%17), 1+int(seed%5)))
		clean(t, v)
		within := v.Counts.Levels[history.Within].Stale
		late += within
		if v.Counts.Stale != within || v.Counts.SessionBack != 0 {
			t.Errorf("seed %d: %+v", seed, v.Counts)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if late == 0 {
		t.Error("no read within a bound was late")
	}
}

// TestMillion judges many operations: all that can go wrong in a history of any length, and how much there is to search.
func TestMillion(t *testing.T) {
	t.Parallel()
	ops := 1_000_000
	if testing.Short() || raceEnabled {
		ops /= 10
	}
	run := newWorld(7).run(ops, 16, 300)
	begun := time.Now()
	v := Judge(run)
	t.Logf("%d operations in %v: %+v", ops, time.Since(begun), v.Counts)
	clean(t, v)
	if v.Counts.Searched < int64(ops/3) {
		t.Errorf("only %d were searched, not %d", v.Counts.Searched, v.Counts.Unsearched)
	}
}

// TestHotKey: where there is no moment without a write the search gives up, and the other checks do not.
func TestHotKey(t *testing.T) {
	t.Parallel()
	w := newWorld(7)
	run := w.run(50_000, 16, 1)
	v := Judge(run)
	clean(t, v)
	if v.Counts.Unsearched == 0 {
		t.Errorf("%+v", v.Counts)
	}
	if !staleRead(history.Strict)(w, &run, 40_000) || Judge(run).OK() {
		t.Error("nobody noticed a stale read")
	}
}

func BenchmarkJudge(b *testing.B) {
	for name, keys := range map[string]int{"hot": 1, "300 keys": 300} {
		run := newWorld(7).run(200_000, 16, keys)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				clean(b, Judge(run))
			}
			b.ReportMetric(float64(b.N)*float64(len(run.Ops))/b.Elapsed().Seconds(), "ops/s")
		})
	}
}
