package judge

import (
	"slices"
	"time"
)

// checkCached holds that the cache agrees with Postgres, and came to it in time.
func (k *key) checkCached() {
	f := k.final
	if f == nil {
		return
	}
	switch {
	case !f.Converged:
		k.violated(Diverged, nil, "the cache had not come to agree with Postgres when the run ended")
	case k.run.Bound > 0 && f.Settled > k.run.Bound:
		k.violated(Diverged, nil, "the cache agreed with Postgres %v after the faults: more than %v", f.Settled, k.run.Bound)
	}
	c := f.Cached
	if c == nil || c.Placeholder {
		return
	}
	if gone := f.Gone || !f.Exists; c.Absent != gone {
		k.violated(Diverged, nil, "the cache says absent: %t, Postgres: %t", c.Absent, gone)
		return
	}
	if !c.Absent && (c.N != f.N || c.Op != f.Op) {
		k.violated(Diverged, nil, "the cache holds N %d of op %d, Postgres N %d of op %d", c.N, c.Op, f.N, f.Op)
	}
	if f.Version > 0 && c.Version != f.Version {
		k.violated(Diverged, nil, "the cache's entry is labelled %d, the key's version is %d", c.Version, f.Version)
	}
}

// settled are the quantiles of the keys that converged.
func settled(finals []Final) Settled {
	var times []time.Duration
	for _, f := range finals {
		if f.Converged {
			times = append(times, f.Settled)
		}
	}
	if len(times) == 0 {
		return Settled{}
	}
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[(len(times)-1)*percent/100] }
	return Settled{P50: at(50), P99: at(99), Max: at(100)}
}
