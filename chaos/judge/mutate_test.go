package judge

import (
	"slices"
	"testing"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// lie changes a valid run in one place, so that it is valid no more. It reports whether it could: pick chooses among the places.
type lie struct {
	name string
	tell func(w *world, run *Run, pick int) bool
}

var lies = []lie{
	{"a strict read is older than an acknowledged write", staleRead(history.Strict)},
	{"a read within a bound is older than that", staleRead(history.Within)},
	{"a write was acknowledged that strict reads did not see", unsettled},
	{"a failed write was seen", func(w *world, run *Run, pick int) bool {
		seen := make(map[int64]bool)
		for _, op := range w.ops {
			seen[op.ID] = seen[op.ID] || op.Kind == history.Read && op.Outcome == history.OK
		}
		return choose(w, pick, func(op *history.Op) bool { return op.Kind != history.Read && op.Outcome == history.OK && seen[op.ID] },
			func(op *history.Op) { *op = failed(*op) })
	}},
	{"the last write was taken back", func(w *world, run *Run, pick int) bool {
		return chooseFinal(w, run, pick, func(f *Final, commits []commit) bool {
			n := len(commits)
			if n < 2 || w.ops[commits[n-1].op].Outcome != history.OK || commits[n-1].version == commits[n-2].version {
				return false
			}
			c := commits[n-2]
			f.N, f.Op, f.Version, f.Gone, f.Cached = c.n, c.id, c.version, c.gone, nil
			return true
		})
	}},
	{"a read needed more than it got", func(w *world, run *Run, pick int) bool {
		return choose(w, pick, func(op *history.Op) bool { return isRead(op) && op.ID > 0 }, func(op *history.Op) { op.Need = w.drawn + 1 })
	}},
	{"a read is of a write that began later", func(w *world, run *Run, pick int) bool {
		var later *commit
		return choose(w, pick, func(op *history.Op) bool {
			i := slices.IndexFunc(w.commits[op.Key], func(c commit) bool { return w.ops[c.op].Begin > op.End && !c.gone && c.last })
			if !isRead(op) || i < 0 {
				return false
			}
			later = &w.commits[op.Key][i]
			return true
		}, func(op *history.Op) { op.ID, op.N, op.Version = later.id, later.n, later.version })
	}},
	{"a hit bears another label", func(w *world, run *Run, pick int) bool {
		return choose(w, pick, func(op *history.Op) bool {
			return isRead(op) && op.Hit && op.ID > 0 && w.ops[op.ID-1].Outcome == history.OK
		},
			func(op *history.Op) { op.Version-- })
	}},
	{"a row bears another N", func(w *world, run *Run, pick int) bool {
		seen := make(map[int64]int)
		for _, op := range w.ops {
			if op.Kind == history.Read {
				seen[op.ID]++
			}
		}
		return choose(w, pick, func(op *history.Op) bool { return isRead(op) && op.ID > 0 && seen[op.ID] > 1 }, func(op *history.Op) { op.N++ })
	}},
	{"a later write has an earlier N", func(w *world, run *Run, pick int) bool {
		var n int64
		return choose(w, pick, func(op *history.Op) bool {
			commits := w.commits[op.Key]
			i := slices.IndexFunc(commits, func(c commit) bool { return c.id == op.ID })
			if op.Kind == history.Read || op.N == 0 || i < 1 || w.ops[commits[0].op].N == 0 || w.ops[commits[0].op].End >= op.Begin {
				return false
			}
			n = commits[0].n
			return true
		}, func(op *history.Op) { op.N = n })
	}},
	{"the cache holds another row", func(w *world, run *Run, pick int) bool {
		return chooseFinal(w, run, pick, func(f *Final, _ []commit) bool {
			if f.Cached == nil || f.Cached.Placeholder {
				return false
			}
			f.Cached.N++
			f.Cached.Version -= int64(pick % 2)
			return !f.Cached.Absent || pick%2 == 1
		})
	}},
	{"the row has one commit too many", func(w *world, run *Run, pick int) bool {
		return chooseFinal(w, run, pick, func(f *Final, commits []commit) bool {
			f.N++
			f.Cached = nil
			return w.ops[f.Op-1].N > 0
		})
	}},
	{"a key did not converge in time", func(w *world, run *Run, pick int) bool {
		return chooseFinal(w, run, pick, func(f *Final, _ []commit) bool {
			f.Settled += run.Bound
			return f.Settled > run.Bound
		})
	}},
}

func isRead(op *history.Op) bool { return op.Kind == history.Read && op.Outcome == history.OK }

// choose changes one of the operations that will do. The last call of will is for the one that is changed.
func choose(w *world, pick int, will func(*history.Op) bool, change func(*history.Op)) bool {
	for i := range w.ops {
		if op := &w.ops[(pick+i)%len(w.ops)]; will(op) {
			change(op)
			return true
		}
	}
	return false
}

func chooseFinal(w *world, run *Run, pick int, change func(*Final, []commit) bool) bool {
	slices.SortFunc(run.Finals, func(a, b Final) int { return int(a.Op - b.Op) })
	f := &run.Finals[pick%len(run.Finals)]
	return change(f, w.commits[f.Key])
}

// staleRead lets a read of a level return a row, or none, that had been overwritten by an acknowledged write when it began, or longer ago than its bound.
func staleRead(level history.Level) func(*world, *Run, int) bool {
	return func(w *world, _ *Run, pick int) bool {
		var older commit
		return choose(w, pick, func(op *history.Op) bool {
			if !isRead(op) || op.Level != level {
				return false
			}
			var newest int64
			for _, c := range w.commits[op.Key] {
				if by := w.ops[c.op]; by.Outcome == history.OK && by.End < op.Begin-op.Within {
					newest = max(newest, c.version)
				}
			}
			var candidates []commit
			for _, c := range w.commits[op.Key] {
				if c.version < newest && !c.gone && c.last && w.ops[c.op].Outcome == history.OK {
					candidates = append(candidates, c)
				}
			}
			if candidates == nil {
				return false
			}
			older = candidates[len(candidates)-1-pick%min(len(candidates), 3)]
			return true
		}, func(op *history.Op) { op.ID, op.N, op.Version = older.id, older.n, older.version })
	}
}

// unsettled acknowledges a write that took effect later: a strict read that began between the two did not see it.
func unsettled(w *world, _ *Run, pick int) bool {
	var before int64
	return choose(w, pick, func(op *history.Op) bool {
		i := slices.IndexFunc(w.commits[op.Key], func(c commit) bool { return c.id == op.ID })
		if op.Kind == history.Read || op.Outcome != history.OK || i < 0 {
			return false
		}
		c := w.commits[op.Key][i]
		for _, r := range w.ops {
			if isRead(&r) && r.Level == history.Strict && r.Key == op.Key && r.ID > 0 && r.Version < c.version && w.ops[r.ID-1].Version < c.version &&
				r.Begin > op.Begin+1 && w.ops[r.ID-1].Outcome == history.OK {
				before = r.Begin - 1
				return true
			}
		}
		return false
	}, func(op *history.Op) { op.End = before })
}

// checkLie demands that the verdict sees a lie.
func checkLie(t *testing.T, seed uint64, kind, pick int) {
	t.Helper()
	w := newWorld(seed)
	run := w.run(600, 2+int(seed%9), 1+int(seed%3))
	l := lies[kind%len(lies)]
	if !l.tell(w, &run, pick) {
		return
	}
	if Judge(run).OK() {
		t.Errorf("seed %d, pick %d: %s, and nobody noticed", seed, pick, l.name)
	}
}

func TestLies(t *testing.T) {
	t.Parallel()
	for kind := range lies {
		for seed := range uint64(30) {
			checkLie(t, seed, kind, int(seed*7919))
		}
	}
}

// TestLiesAreTold: each of them is possible.
func TestLiesAreTold(t *testing.T) {
	t.Parallel()
	for _, l := range lies {
		told := 0
		for seed := range uint64(20) {
			w := newWorld(seed)
			run := w.run(600, 2+int(seed%9), 1+int(seed%3))
			if l.tell(w, &run, int(seed)*31) {
				told++
			}
		}
		if told < 5 {
			t.Errorf("%s: in %d of 20 histories", l.name, told)
		}
	}
}

func FuzzLies(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint16(100))
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8, pick uint16) { checkLie(t, seed, int(kind), int(pick)) })
}
