package judge

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// put is an acknowledged write of k. Each operation is of a client of its own unless by says otherwise.
func put(id, n, version, begin, end int64) history.Op {
	return history.Op{Process: "w", Client: int(id), Kind: history.Write, Key: "k", ID: id, N: n, Version: version, Begin: begin, End: end, Outcome: history.OK}
}

func del(id, n, version, begin, end int64) history.Op {
	op := put(id, n, version, begin, end)
	op.Kind = history.Delete
	return op
}

// get is a read from Postgres that promises nothing.
func get(id, n, version, begin, end int64) history.Op {
	return history.Op{Process: "r", Client: int(begin), Kind: history.Read, Key: "k", Level: history.Default, ID: id, N: n, Version: version, Begin: begin, End: end, Outcome: history.OK}
}

func hit(id, n, version, begin, end int64) history.Op {
	op := get(id, n, version, begin, end)
	op.Hit = true
	return op
}

// exact is a hit of the level that promises to be linearizable.
func exact(id, n, version, begin, end int64) history.Op {
	return at(history.Strict, hit(id, n, version, begin, end))
}

// within may be so old.
func within(d int64, op history.Op) history.Op {
	op.Level, op.Within = history.Within, d
	return op
}

func unknown(op history.Op) history.Op {
	op.Outcome, op.N, op.Version, op.End = history.Unknown, 0, 0, 0
	return op
}

// ended says when the client of an unknown write was told.
func ended(at int64, op history.Op) history.Op {
	op.End = at
	return op
}

func failed(op history.Op) history.Op {
	op.Outcome, op.N, op.Version = history.Fail, 0, 0
	return op
}

func at(level history.Level, op history.Op) history.Op {
	op.Level = level
	return op
}

func by(client int, op history.Op) history.Op {
	op.Process, op.Client = "c", client
	return op
}

func needs(version int64, op history.Op) history.Op {
	op.Level, op.Need = history.Token, version
	return op
}

// row is the end of k: converged, and cached as it is.
func row(op, n, version int64) *Final {
	return &Final{Key: "k", N: n, Op: op, Version: version, Exists: true, Converged: true, Settled: time.Second,
		Cached: &Cached{Version: version, N: n, Op: op}}
}

func gone(op, n, version int64) *Final {
	f := row(op, n, version)
	f.Gone, f.Cached = true, &Cached{Version: version, Absent: true}
	return f
}

// but changes the end.
func but(f *Final, change func(*Final)) *Final {
	change(f)
	return f
}

func ops(ops ...history.Op) []history.Op { return ops }

func trialOf(final *Final, events []history.Event, ops ...history.Op) Run {
	run := Run{Subject: "tidelock", Ops: ops, Events: events, Bound: time.Second, Linear: []history.Level{history.Strict}}
	if final != nil {
		run.Finals = []Final{*final}
	}
	return run
}

// clean fails the test for each violation.
func clean(t testing.TB, v Verdict) {
	t.Helper()
	for i, violation := range v.Violations {
		if i == 5 {
			break
		}
		t.Errorf("%s of %s: %s", violation.Rule, violation.Key, violation.Text)
	}
	if !v.OK() {
		t.Errorf("%d violations: %v", v.Total(), v.ByRule)
	}
}
