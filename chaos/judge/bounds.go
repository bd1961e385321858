package judge

import (
	"cmp"
	"slices"
	"sort"
)

// mark says of a version that what was written under it, or without one before the next, has at most this N.
type mark struct{ version, most int64 }

// reach says of the deletes that begin up to an instant what the greatest N and version of them can be, and whether that of one is
// not known.
type reach struct {
	begin, most, version int64
	unversioned          bool
}

// bound finds how far N must have come with each acknowledged write, and how far it can have come with each delete.
func (k *key) bound() {
	for _, w := range k.writes {
		w.after = w.n
	}
	k.versions = slices.DeleteFunc(slices.Clone(k.acked), func(w *write) bool { return w.Version == 0 })
	slices.SortFunc(k.versions, func(a, b *write) int { return cmp.Compare(a.Version, b.Version) })
	k.boundByVersion()
	k.boundByTime()
	k.boundDeletes()
}

// boundDeletes finds how far the deletes can have come.
func (k *key) boundDeletes() {
	var sofar reach
	for _, w := range k.writes {
		if !w.deletes() {
			continue
		}
		sofar = reach{
			begin:       w.Begin,
			most:        max(sofar.most, k.most(w)),
			version:     max(sofar.version, w.Version),
			unversioned: sofar.unversioned || w.Version == 0,
		}
		k.gone = append(k.gone, sofar)
		k.goneAt = append(k.goneAt, w.n)
	}
	slices.Sort(k.goneAt)
}

// goneBy is what the deletes that began up to an instant come to.
func (k *key) goneBy(instant int64) reach {
	i := sort.Search(len(k.gone), func(i int) bool { return k.gone[i].begin > instant })
	if i == 0 {
		return reach{}
	}
	return k.gone[i-1]
}

// groups calls do for the writes of each version, in their order.
func groups(sorted []*write, do func(group []*write)) {
	for len(sorted) > 0 {
		n := 1
		for n < len(sorted) && sorted[n].Version == sorted[0].Version {
			n++
		}
		do(sorted[:n])
		sorted = sorted[n:]
	}
}

// boundByVersion: each write of a transaction raises N by one, on top of what earlier versions did, and when one is acknowledged all are
// committed.
func (k *key) boundByVersion() {
	sorted := k.versions
	k.marks = append(k.marks, mark{most: never})
	var n int64
	groups(sorted, func(group []*write) {
		n += int64(len(group))
		for _, w := range group {
			n = max(n, w.n)
		}
		for _, w := range group {
			w.after = max(w.after, n)
		}
		k.marks = append(k.marks, mark{version: group[0].Version, most: never})
	})
	most, at := int64(never), len(k.marks)
	for i := len(sorted) - 1; i >= 0; i-- {
		if i == len(sorted)-1 || sorted[i].Version != sorted[i+1].Version {
			at--
			k.marks[at].most = most
		}
		if sorted[i].n > 0 {
			most = min(most, sorted[i].n-1)
		}
	}
	k.marks[0].most = most
}

// boundByTime: a write whose N is not known has a greater one than those that ended before it began.
func (k *key) boundByTime() {
	var n, count int64
	sweep(k.acked, k.writes, func(w *write) {
		count++
		n = max(n, w.after)
	}, func(w *write) {
		if w.n == 0 {
			w.after = max(w.after, n+1, count+1)
		}
	})
}

// most is the greatest N that a write can have.
func (k *key) most(w *write) int64 {
	switch {
	case w.n > 0:
		return w.n
	case w.Version > 0:
		return k.mostOf(w.Version)
	}
	return never
}

// mostOf is the greatest N that what bears this label exactly can have.
func (k *key) mostOf(version int64) int64 {
	i := sort.Search(len(k.marks), func(i int) bool { return k.marks[i].version > version })
	return k.marks[i-1].most
}

// reaches is the greatest N at which a read can have been. One that saw no row was at a delete, or before the first write.
func (k *key) reaches(r *read) int64 {
	switch {
	case r.N > 0:
		return r.N
	case r.of != nil && r.of.n > 0:
		return r.of.n
	case r.ID != 0:
		return never
	}
	most := k.goneBy(r.end()).most
	if r.Hit && r.Version > 0 {
		most = min(most, k.mostOf(r.Version))
	}
	return most
}

// lowest is the lowest N at which a read can have been that was not below least.
func (k *key) lowest(r *read, least int64) int64 {
	if r.ID != 0 {
		if n := k.reaches(r); n != never {
			return n
		}
		return least
	}
	if least == 0 || len(k.goneAt) == 0 || k.goneAt[0] == 0 {
		return least
	}
	if i, _ := slices.BinarySearch(k.goneAt, least); i < len(k.goneAt) {
		return k.goneAt[i]
	}
	return least
}
