package judge

import (
	"cmp"
	"slices"
	"sort"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// span is a time within which entries may have gone back.
type span struct{ begin, end int64 }

// rollbacks are the spans of the faults that may take entries back, merged and in their order. A fault lasts from its begin to its
// end, if both are there, whichever of the two bears the mark: what is recorded as the end may be recorded late.
func rollbacks(events []history.Event) []span {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b history.Event) int { return cmp.Compare(a.At, b.At) })
	var spans []span
	begun := make(map[string][]history.Event)
	for _, e := range events {
		open := begun[e.Name]
		last := len(open) - 1
		switch {
		case e.Begin:
			begun[e.Name] = append(open, e)
			fallthrough
		case last < 0:
			if e.Rollback {
				spans = append(spans, span{begin: e.At, end: e.At})
			}
		default:
			if e.Rollback || open[last].Rollback {
				spans = append(spans, span{begin: open[last].At, end: e.At})
			}
			begun[e.Name] = open[:last]
		}
	}
	return merge(spans)
}

func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	var merged []span
	for _, s := range spans {
		if last := len(merged) - 1; last >= 0 && s.begin <= merged[last].end {
			merged[last].end = max(merged[last].end, s.end)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// noSegment is where reads belong that overlap a rollback.
const noSegment = -1

// segment numbers the times between rollbacks.
func (t *trial) segment(op *history.Op) int {
	i := sort.Search(len(t.rollbacks), func(i int) bool { return t.rollbacks[i].end >= op.Begin })
	if i < len(t.rollbacks) && t.rollbacks[i].begin <= ends(op) {
		return noSegment
	}
	return i
}
