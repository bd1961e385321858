package judge

import (
	"sort"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// point is how far a read got, or how far it had to: by N, and by the version, as far as they are known. Where both are, they agree; but where
// a writer did not get to know its N, or there are no versions, one of them says more.
type point struct{ n, version int64 }

func (p point) below(o point) bool { return p.n < o.n || p.version < o.version }

// reached is the furthest point at which a read can have been.
func (k *key) reached(r *read) point {
	p := point{n: k.reaches(r), version: never}
	switch {
	case !k.versioned:
	case r.of != nil && r.of.version > 0:
		p.version = r.of.version
	case r.Hit && (r.ID != 0 || r.Version > 0):
		p.version = r.Version
	}
	return p
}

// passed is the nearest point at which a read can have been that had to get to least.
func (k *key) passed(r *read, least point) point {
	p := point{n: k.lowest(r, least.n), version: least.version}
	if v := k.reached(r).version; v != never {
		p.version = v
	}
	return p
}

// front is the furthest of what was folded, with the operations that got there.
type front struct {
	point
	byN, byVersion *history.Op
}

func (f *front) fold(p point, op *history.Op) {
	if p.n > f.n {
		f.n, f.byN = p.n, op
	}
	if p.version > f.version {
		f.version, f.byVersion = p.version, op
	}
}

// before is the operation that got further than p.
func (f *front) before(p point) *history.Op {
	if p.n < f.n {
		return f.byN
	}
	return f.byVersion
}

// checkLinear holds that every read of a level which promises it saw what was acknowledged before it began, and what another such read had
// seen by then. With the order of the writes, and that of their begins, this is linearizability, for N says which write came first. Of the other
// levels it counts how stale they were.
func (k *key) checkLinear() {
	k.checkWrites()
	promised, ended := k.promised(k.reads), k.promised(k.ended)
	var others front
	sweep(ended, promised, func(r *read) { others.fold(r.at, r.Op) }, func(r *read) {
		got := k.reached(r)
		if got.below(others.point) && !got.below(r.least) {
			k.violated(NotLinear, []*history.Op{r.Op, others.before(got)}, "%v saw less than had been seen before it began, by %v")
		}
		r.at = k.passed(r, point{n: max(r.least.n, others.n), version: max(r.least.version, others.version)})
	})
}

func (k *key) promised(reads []*read) []*read {
	var promised []*read
	for _, r := range reads {
		if k.linear[r.Level] {
			promised = append(promised, r)
		}
	}
	return promised
}

// checkWrites holds the reads against the writes that were acknowledged before they began.
func (k *key) checkWrites() {
	progress := k.progress()
	var writes front
	sweep(k.acked, k.reads, func(w *write) { writes.fold(point{n: w.after, version: w.Version}, w.Op) }, func(r *read) {
		r.least = writes.point
		got := k.reached(r)
		if !got.below(r.least) {
			return
		}
		k.countStale(r, max(r.least.n-got.n, 1), progress.passed(got))
		if k.linear[r.Level] {
			k.violated(NotLinear, []*history.Op{r.Op, writes.before(got)}, "%v saw less than was acknowledged before it began, %v")
		}
	})
}

func (k *key) countStale(r *read, writes, since int64) {
	k.counts.Stale++
	k.counts.level(r.Level).Stale++
	k.counts.StaleWrites = max(k.counts.StaleWrites, writes)
	k.counts.StaleTime = max(k.counts.StaleTime, time.Duration(r.Begin-since))
}

// progress says how far acknowledged writes had got, by the instants.
type progress []step

type step struct {
	at int64
	point
}

func (k *key) progress() progress {
	var p progress
	var writes front
	for _, w := range k.acked {
		if to := (point{n: w.after, version: w.Version}); writes.below(to) {
			writes.fold(to, w.Op)
			p = append(p, step{at: w.end(), point: writes.point})
		}
	}
	return p
}

// passed is the instant at which more was acknowledged than a read that is behind has seen.
func (p progress) passed(got point) int64 {
	return p[sort.Search(len(p), func(i int) bool { return got.below(p[i].point) })].at
}
