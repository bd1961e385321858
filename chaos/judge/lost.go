package judge

import "github.com/tidelock-cache/tidelock/chaos/history"

// checkOrder holds that of two writes the later one has the greater N and version, and that nobody saw an N before its write began.
func (k *key) checkOrder() {
	var n, version *write
	sweep(k.acked, k.writes, func(w *write) {
		if n == nil || w.n > n.n {
			n = w
		}
		if version == nil || w.Version > version.Version {
			version = w
		}
	}, func(w *write) {
		switch {
		case n != nil && w.n > 0 && w.n <= n.n:
			k.violated(Lost, []*history.Op{w.Op, n.Op}, "%v, the later one, has no greater N than %v: N %d after %d", w.n, n.n)
		case version != nil && w.version > 0 && w.version <= version.Version:
			k.violated(Lost, []*history.Op{w.Op, version.Op}, "%v, the later one, has no greater version than %v: %d", w.version)
		}
	})
	var seen *read
	sweep(k.ended, k.writes, func(r *read) {
		if seen == nil || r.N > seen.N {
			seen = r
		}
	}, func(w *write) {
		if seen != nil && w.n > 0 && w.n <= seen.N && w != seen.of {
			k.violated(Lost, []*history.Op{w.Op, seen.Op}, "%v began after %v had ended and has no greater N: %d", w.n)
		}
	})
}

// checkTwice holds that no two writes have one N.
func (k *key) checkTwice() {
	byN := make(map[int64]*write, len(k.writes))
	for _, w := range k.writes {
		if w.n == 0 {
			continue
		}
		if other := byN[w.n]; other != nil {
			k.violated(Lost, []*history.Op{other.Op, w.Op}, "%v and %v have one N, %d", w.n)
		}
		byN[w.n] = w
	}
}

// checkGroups holds that writes have one version only if they shared a transaction: they overlap, and at most one of them is ever
// seen, the last. And that the order of the versions is that of the N.
func (k *key) checkGroups() {
	var top *write // the greatest N of the versions before
	groups(k.versions, func(group []*write) {
		var last, lastSeen *write
		for _, w := range group {
			if top != nil && w.n > 0 && w.n <= top.n {
				k.violated(Lost, []*history.Op{w.Op, top.Op}, "%v has a greater version, but no greater N than %v: %d after %d", w.n, top.n)
			}
			if last == nil || w.n > last.n {
				last = w
			}
			if !k.wasSeen(w) {
				continue
			}
			if lastSeen != nil {
				k.violated(Lost, []*history.Op{lastSeen.Op, w.Op}, "%v and %v have one version and both were seen, so they did not share a transaction")
			}
			lastSeen = w
		}
		if lastSeen != nil && lastSeen.n > 0 && lastSeen.n < last.n {
			k.violated(Lost, []*history.Op{lastSeen.Op, last.Op}, "%v was seen, although %v overwrote it in the same transaction")
		}
		if top == nil || last.n > top.n {
			top = last
		}
	})
}

func (k *key) wasSeen(w *write) bool {
	return w.seen != nil || k.final != nil && k.final.Exists && k.final.Op == w.ID
}

// checkFinal holds the row in the end against what was acknowledged.
func (k *key) checkFinal() {
	f := k.final
	if f == nil {
		k.counts.NoFinal++
		return
	}
	if !f.Exists {
		if len(k.acked) > 0 {
			k.violated(Lost, []*history.Op{k.acked[0].Op}, "there is no row in the end, although %v was acknowledged")
		}
		return
	}
	if acked, most := int64(len(k.acked)), int64(len(k.writes)); f.N < acked || f.N > most {
		k.violated(Lost, nil, "the row's N is %d in the end: %d writes were acknowledged, and %d more may have been committed", f.N, acked, most-acked)
	}
	w := k.byID[f.Op]
	if w == nil {
		k.violatedByNobody(f)
		return
	}
	if w.deletes() != f.Gone {
		k.violated(Mislabelled, []*history.Op{w.Op}, "the row is of %v in the end, but gone is %t", f.Gone)
	}
	k.checkLast(f, w)
}

func (k *key) violatedByNobody(f *Final) {
	if op := k.failed[f.Op]; op != nil {
		k.violated(Lost, []*history.Op{op}, "the row is of %v in the end, which failed")
		return
	}
	k.violated(Mislabelled, nil, "the row is of op %d in the end, which nobody wrote here", f.Op)
}

// checkLast holds that the row is of the write that was committed last.
func (k *key) checkLast(f *Final, w *write) {
	if w.n != f.N {
		k.violated(Lost, []*history.Op{w.Op}, "the row is of %v in the end, but with N %d: that write had N %d", f.N, w.n)
	}
	if f.Version > 0 && w.version != f.Version {
		k.violated(Lost, []*history.Op{w.Op}, "the row is of %v in the end, but the key's version is %d and that of the write %d", f.Version, w.version)
	}
	for _, a := range k.acked {
		switch {
		case a == w:
		case a.n >= f.N:
			k.violated(Lost, []*history.Op{a.Op}, "%v was acknowledged, but the row has N %d in the end, of op %d", f.N, f.Op)
		case a.Version > f.Version && !(k.run.Pruned && f.Version == 0):
			k.violated(Lost, []*history.Op{a.Op}, "%v was acknowledged, but the key's version is %d in the end", f.Version)
		case a.Begin > w.end():
			k.violated(Lost, []*history.Op{a.Op, w.Op}, "%v was acknowledged, but the row in the end is of %v, which had ended before")
		}
	}
}
