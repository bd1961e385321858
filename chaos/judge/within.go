package judge

import (
	"cmp"
	"slices"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// bounded is a read within a bound: it begins, as far as writes are concerned, when its bound did.
type bounded struct{ *read }

func (b bounded) begin() int64 { return b.Begin - b.Within }

// checkBounds holds that a read within a bound saw what was acknowledged before that: the acknowledgement is later than the commit. It
// owes other reads nothing.
func (k *key) checkBounds() {
	var asked []bounded
	for _, r := range k.reads {
		if r.Level == history.Within {
			asked = append(asked, bounded{r})
		}
	}
	slices.SortFunc(asked, func(a, b bounded) int { return cmp.Compare(a.begin(), b.begin()) })
	var writes front
	sweep(k.acked, asked, func(w *write) { writes.fold(point{n: w.after, version: w.Version}, w.Op) }, func(b bounded) {
		if got := k.reached(b.read); got.below(writes.point) {
			k.violated(OutOfBound, []*history.Op{b.Op, writes.before(got)}, "%v saw less than was acknowledged longer before it began than its bound, %v")
		}
	})
}
