package chaos

import (
	"slices"
	"testing"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// TestWhatAStandbyLacksIsNotHeldAgainstReads: the old primary had acknowledged versions 5 and 6 of one row, and its standby has 4.
func TestWhatAStandbyLacksIsNotHeldAgainstReads(t *testing.T) {
	t.Parallel()
	l := &loss{at: 100, survivors: map[string]survivor{"row:1": {n: 4, version: 4}}}
	write := func(id, version, begin int64, kind history.Kind, outcome history.Outcome) history.Op {
		return history.Op{Key: "row:1", Kind: kind, ID: id, N: version, Version: version, Begin: begin, End: begin + 1, Outcome: outcome}
	}
	read := func(id, version int64) history.Op {
		return history.Op{Key: "row:1", Kind: history.Read, Level: history.Strict, ID: id, N: id, Version: version, Hit: true, Begin: 101, End: 102, Outcome: history.OK}
	}
	survived := write(4, 4, 1, history.Write, history.OK)
	deletion := write(6, 6, 3, history.Delete, history.OK)
	pending := write(7, 0, 4, history.Delete, history.Unknown)
	again := write(8, 1008, 103, history.Delete, history.OK)
	for name, c := range map[string]struct {
		read   history.Op
		writes []history.Op
		kept   bool
	}{
		"of a write that survived":          {read(4, 4), []history.Op{survived}, true},
		"of a write that was lost":          {read(5, 5), []history.Op{write(5, 5, 2, history.Write, history.OK)}, false},
		"absent, of a deletion that was":    {read(0, 6), []history.Op{deletion}, false},
		"absent, of one that may have been": {read(0, 7), []history.Op{pending}, false},
		"absent, of a later deletion":       {read(0, 1008), []history.Op{deletion, pending, again}, true},
		"absent, of nothing known":          {read(0, 9), []history.Op{survived}, true},
	} {
		kept := l.without(append(slices.Clone(c.writes), c.read))
		if got := slices.ContainsFunc(kept, func(op history.Op) bool { return op.Kind == history.Read }); got != c.kept {
			t.Errorf("a read %s: kept is %t", name, got)
		}
	}
}
