package judge

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// Judge holds a run against the rules. It takes all processors.
func Judge(run Run) Verdict {
	t := newTrial(run)
	recorders := make([]*recorder, min(runtime.GOMAXPROCS(0), max(len(t.keys), 1)))
	var next atomic.Int64
	var work sync.WaitGroup
	for i := range recorders {
		recorders[i] = newRecorder()
		work.Go(func() {
			for k := next.Add(1) - 1; k < int64(len(t.keys)); k = next.Add(1) - 1 {
				recorders[i].key = int(k)
				open(t, &t.keys[k], recorders[i]).judge()
			}
		})
	}
	work.Wait()
	verdict := sum(recorders)
	verdict.Settled = settled(run.Finals)
	return verdict
}

// trial is what the keys of a run have in common.
type trial struct {
	run       Run
	keys      []docket
	start     int64 // the first begin of all
	versioned bool  // whether the subject has versions
	linear    map[history.Level]bool
	rollbacks []span
	search    time.Time // when porcupine must have come to an end
}

// docket is what there is of one key.
type docket struct {
	name  string
	ops   []*history.Op
	final *Final
}

func newTrial(run Run) *trial {
	t := &trial{run: run, linear: make(map[history.Level]bool), rollbacks: rollbacks(run.Events)}
	for _, level := range run.Linear {
		t.linear[level] = true
	}
	for i := range run.Ops {
		op := &run.Ops[i]
		t.versioned = t.versioned || op.Version > 0
		if i == 0 || op.Begin < t.start {
			t.start = op.Begin
		}
	}
	t.keys = dockets(run)
	t.search = time.Now().Add(searchTime + time.Duration(len(run.Ops))*searchTimeEach)
	return t
}

// dockets sorts the operations by key, those of the busiest one first: whoever gets it has the longest to go.
func dockets(run Run) []docket {
	var keys []docket
	places := make(map[string]int32)
	place := func(name string) int32 {
		at, known := places[name]
		if !known {
			at = int32(len(keys))
			places[name] = at
			keys = append(keys, docket{name: name})
		}
		return at
	}
	of := make([]int32, len(run.Ops))
	var counts []int
	for i := range run.Ops {
		of[i] = place(run.Ops[i].Key)
		if int(of[i]) == len(counts) {
			counts = append(counts, 0)
		}
		counts[of[i]]++
	}
	for i := range run.Finals {
		keys[place(run.Finals[i].Key)].final = &run.Finals[i]
	}
	sorted := make([]*history.Op, len(run.Ops))
	rest := sorted
	for i, n := range counts {
		keys[i].ops, rest = rest[:0:n], rest[n:]
	}
	for i := range run.Ops {
		k := &keys[of[i]]
		k.ops = append(k.ops, &run.Ops[i])
	}
	slices.SortStableFunc(keys, func(a, b docket) int { return len(b.ops) - len(a.ops) })
	return keys
}
