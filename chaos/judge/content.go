package judge

import (
	"sort"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// checkContent holds what was read against what was written.
func (k *key) checkContent() {
	for _, r := range k.reads {
		switch {
		case r.ID == 0:
			k.checkAbsent(r)
		case r.of != nil:
			k.checkRow(r, r.of)
		case k.failed[r.ID] != nil:
			k.violated(Lost, []*history.Op{r.Op, k.failed[r.ID]}, "%v saw %v, which failed")
		default:
			k.violated(Mislabelled, []*history.Op{r.Op}, "%v saw what nobody wrote here")
		}
	}
}

// checkRow holds a read against the write that it saw.
func (k *key) checkRow(r *read, w *write) {
	both := []*history.Op{r.Op, w.Op}
	if w.Begin > r.end() {
		rule := Mislabelled
		if k.linear[r.Level] {
			rule = NotLinear
		}
		k.violated(rule, both, "%v had ended when %v began, which it saw")
	}
	if r.N > 0 && r.N != w.n {
		k.violated(Mislabelled, both, "%v saw another N than that of %v: %d", w.n)
	}
	switch {
	case !k.versioned || w.version == 0 || k.run.Pruned:
	case r.Hit && r.Version != w.version:
		k.violated(Mislabelled, both, "%v was labelled otherwise than what it saw, %v")
	case r.Version > w.version:
		k.violated(Mislabelled, both, "%v was labelled higher than what it saw, %v")
	}
}

// checkAbsent holds that there can have been no row at the version that a read is labelled with, or, for a read from Postgres, at a
// later one.
func (k *key) checkAbsent(r *read) {
	gone := k.goneBy(r.end())
	if r.Version == 0 || k.run.Pruned || gone.unversioned || !r.Hit && gone.version >= r.Version {
		return
	}
	if w := k.rowAt(r.Version); w != nil {
		k.violated(Mislabelled, []*history.Op{r.Op, w.Op}, "%v saw no row, but at the version of its label there was that of %v")
	}
}

// rowAt is the write that a row was of at a version, as far as is known; nil if there can have been no row.
func (k *key) rowAt(version int64) *write {
	i := sort.Search(len(k.versions), func(i int) bool { return k.versions[i].Version > version })
	if i == 0 {
		return nil
	}
	current := k.versions[i-1]
	for ; i > 0 && k.versions[i-1].Version == current.Version; i-- {
		if k.versions[i-1].deletes() {
			return nil
		}
	}
	return current
}
