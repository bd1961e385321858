package judge

import (
	"reflect"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	late := put(3, 3, 7, 10, 20)
	late.Deferred = true
	run := trialOf(row(3, 3, 7), nil,
		written(late, failed(put(4, 0, 0, 1, 2)), unknown(put(5, 0, 0, 1, 0)), failed(get(0, 0, 0, 1, 2)),
			hit(3, 3, 7, 30, 31), get(2, 2, 6, 30, 31), at(history.Token, get(1, 1, 5, 45, 46)))...)
	run.Calm = 32
	v := Judge(run)
	clean(t, v)
	want := Counts{Operations: 9, Reads: 4, Writes: 5, Unknown: 1, Failed: 1, Deferred: 1, ReadErrors: 1, Hits: 1,
		Stale: 2, StaleTime: 41, StaleWrites: 2,
		Levels: map[history.Level]*Reads{
			history.Default: {Reads: 3, Errors: 1, Hits: 1, Stale: 1, Calm: 2, CalmHits: 1},
			history.Token:   {Reads: 1, Stale: 1},
		}}
	if !reflect.DeepEqual(v.Counts, want) {
		t.Errorf("%+v\nwant %+v", v.Counts, want)
	}
	if v.Settled != (Settled{time.Second, time.Second, time.Second}) {
		t.Errorf("settled %+v", v.Settled)
	}
}

// TestSessionWithoutVersions only counts that a session goes back.
func TestSessionWithoutVersions(t *testing.T) {
	t.Parallel()
	v := Judge(trialOf(nil, nil, put(1, 1, 0, 1, 2), put(2, 2, 0, 3, 4), at(history.Session, by(1, get(2, 2, 0, 5, 6))), at(history.Session, by(1, get(1, 1, 0, 7, 8)))))
	clean(t, v)
	if v.Counts.SessionBack != 1 {
		t.Errorf("%+v", v.Counts)
	}
}

// TestManyViolations: all are counted, the first are kept, and it does not matter who found them.
func TestManyViolations(t *testing.T) {
	t.Parallel()
	run := trialOf(row(2, 3, 6), nil, written()...)
	for i := range int64(5 * Kept) {
		run.Ops = append(run.Ops, exact(1, 1, 6, 10+3*i, 11+3*i))
	}
	for i := range run.Ops {
		op := run.Ops[i]
		op.Key = "l"
		run.Ops = append(run.Ops, op)
	}
	v := Judge(run)
	if v.ByRule[Mislabelled] != 10*Kept || v.ByRule[NotLinear] < 10*Kept || v.ByRule[Lost] == 0 {
		t.Errorf("%v", v.ByRule)
	}
	if n := len(v.Violations); n < 2*Kept || n > 3*Kept {
		t.Errorf("%d are kept", n)
	}
	if again := Judge(run); !reflect.DeepEqual(v, again) {
		t.Error("the second verdict differs")
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	clean(t, Judge(Run{}))
}

// TestSearchAlone lets porcupine judge histories in which it must find something, without the other checks.
func TestSearchAlone(t *testing.T) {
	t.Parallel()
	found := 0
	for seed := range uint64(30) {
		w := newWorld(seed)
		run := w.run(1000, 4, 1)
		if !staleRead(history.Strict)(w, &run, int(seed*31)) {
			continue
		}
		tr, rec := newTrial(run), newRecorder()
		open(tr, &tr.keys[0], rec).searchOrder()
		if rec.byRule[NotLinear] > 0 {
			found++
		}
	}
	if found < 20 {
		t.Errorf("porcupine found %d of 30", found)
	}
}
