package judge

import (
	"slices"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// pair is a history that violates a rule and one that all but does.
type pair struct {
	name      string
	rule      Rule
	bad, good []history.Op
	// The ends of the two, if any; and the faults of both.
	badEnd, goodEnd *Final
	events          []history.Event
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, p := range slices.Concat(lost, diverged, backwards, tooOld, mislabelled, notLinear, outOfBound) {
		t.Run(string(p.rule)+" "+p.name, func(t *testing.T) {
			t.Parallel()
			if v := Judge(trialOf(p.badEnd, p.events, p.bad...)); v.ByRule[p.rule] == 0 {
				t.Errorf("the bad one: %v, want a violation of %s", v.ByRule, p.rule)
			} else {
				for _, found := range v.Violations {
					t.Log(found.Rule, found.Text)
				}
			}
			clean(t, Judge(trialOf(p.goodEnd, p.events, p.good...)))
		})
	}
}

var lost = []pair{
	{name: "fewer commits than acknowledgements", rule: Lost,
		bad: ops(put(1, 0, 0, 1, 2), put(2, 0, 0, 3, 4)), badEnd: row(2, 1, 0),
		good: ops(put(1, 0, 0, 1, 2), put(2, 0, 0, 3, 4)), goodEnd: row(2, 2, 0)},
	{name: "more commits than attempts", rule: Lost,
		bad: ops(put(1, 0, 0, 1, 2), unknown(put(2, 0, 0, 1, 2))), badEnd: row(1, 3, 0),
		good: ops(put(1, 0, 0, 1, 2), unknown(put(2, 0, 0, 1, 2))), goodEnd: row(1, 2, 0)},
	{name: "no row", rule: Lost,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: &Final{Key: "k", Converged: true},
		good: ops(unknown(put(1, 0, 0, 1, 2))), goodEnd: &Final{Key: "k", Converged: true}},
	{name: "a failed write is read", rule: Lost,
		bad:  ops(failed(put(1, 0, 0, 1, 2)), get(1, 1, 0, 3, 4)),
		good: ops(unknown(put(1, 0, 0, 1, 2)), get(1, 1, 0, 3, 4))},
	{name: "a failed write is the last row", rule: Lost,
		bad: ops(put(1, 0, 0, 1, 2), failed(put(2, 0, 0, 3, 4))), badEnd: row(2, 1, 0),
		good: ops(put(1, 0, 0, 1, 2), unknown(put(2, 0, 0, 3, 4))), goodEnd: row(2, 2, 0)},
	{name: "the last row is not of the greatest N", rule: Lost,
		bad: ops(put(1, 1, 0, 1, 9), put(2, 2, 0, 1, 9)), badEnd: row(1, 2, 0),
		good: ops(put(1, 1, 0, 1, 9), put(2, 2, 0, 1, 9)), goodEnd: row(2, 2, 0)},
	{name: "the last row precedes an acknowledged write", rule: Lost,
		bad: ops(put(1, 0, 0, 1, 2), put(2, 0, 0, 3, 4)), badEnd: row(1, 2, 0),
		good: ops(put(1, 0, 0, 1, 3), put(2, 0, 0, 3, 4)), goodEnd: row(1, 2, 0)},
	{name: "the last version is below an acknowledged one", rule: Lost,
		bad: ops(put(1, 0, 5, 1, 9), put(2, 0, 6, 1, 9)), badEnd: row(1, 2, 5),
		good: ops(put(1, 0, 5, 1, 9), put(2, 0, 6, 1, 9)), goodEnd: row(2, 2, 6)},
	{name: "the last version is another one's", rule: Lost,
		bad: ops(put(1, 1, 5, 1, 9)), badEnd: row(1, 1, 6),
		good: ops(put(1, 1, 5, 1, 9)), goodEnd: row(1, 1, 5)},
	{name: "an unknown write comes last", rule: Lost,
		bad: ops(put(1, 1, 5, 1, 2), failed(put(2, 0, 0, 1, 2))), badEnd: row(2, 2, 7),
		good: ops(put(1, 1, 5, 1, 2), unknown(put(2, 0, 0, 1, 2))), goodEnd: row(2, 2, 7)},
	{name: "a later write has a lower N", rule: Lost,
		bad:  ops(put(1, 2, 0, 1, 2), put(2, 1, 0, 3, 4)),
		good: ops(put(1, 2, 0, 1, 3), put(2, 1, 0, 3, 4))},
	{name: "two writes have one N", rule: Lost,
		bad:  ops(put(1, 2, 5, 1, 9), put(2, 2, 6, 1, 9)),
		good: ops(put(1, 2, 5, 1, 9), put(2, 3, 6, 1, 9))},
	{name: "two writes have one N, without versions", rule: Lost,
		bad:  ops(unknown(put(1, 0, 0, 1, 0)), get(1, 2, 0, 2, 3), put(2, 2, 0, 1, 9)),
		good: ops(unknown(put(1, 0, 0, 1, 0)), get(1, 2, 0, 2, 3), put(2, 3, 0, 1, 9))},
	{name: "a later write has a lower version", rule: Lost,
		bad:  ops(put(1, 0, 6, 1, 2), put(2, 0, 5, 3, 4)),
		good: ops(put(1, 0, 6, 1, 3), put(2, 0, 5, 3, 4))},
	{name: "a later write has the same version", rule: Lost,
		bad:  ops(put(1, 0, 6, 1, 2), put(2, 0, 6, 3, 4)),
		good: ops(put(1, 0, 6, 1, 3), put(2, 0, 6, 3, 4))},
	{name: "an unknown write is later, and seen to be lower", rule: Lost,
		bad:  ops(put(1, 2, 0, 1, 2), unknown(put(2, 0, 0, 3, 0)), get(2, 1, 0, 4, 5)),
		good: ops(put(1, 2, 0, 1, 3), unknown(put(2, 0, 0, 3, 0)), get(2, 1, 0, 4, 5))},
	{name: "versions and N differ in order", rule: Lost,
		bad:  ops(put(1, 2, 5, 1, 9), put(2, 1, 6, 1, 9)),
		good: ops(put(1, 1, 5, 1, 9), put(2, 2, 6, 1, 9))},
	{name: "two of one version are seen", rule: Lost,
		bad:  ops(put(1, 1, 5, 1, 9), put(2, 2, 5, 1, 9), hit(1, 1, 5, 4, 5), hit(2, 2, 5, 6, 7)),
		good: ops(put(1, 1, 5, 1, 9), put(2, 2, 5, 1, 9), hit(2, 2, 5, 4, 5), hit(2, 2, 5, 6, 7))},
	{name: "one that its own transaction overwrote is seen", rule: Lost,
		bad:  ops(put(1, 1, 5, 1, 9), put(2, 2, 5, 1, 9), hit(1, 1, 5, 4, 5)),
		good: ops(put(1, 1, 5, 1, 9), put(2, 2, 6, 1, 9), hit(1, 1, 5, 4, 5))},
	{name: "a write has an N that was seen before it began", rule: Lost,
		bad:  ops(unknown(put(1, 0, 0, 1, 0)), get(1, 3, 0, 2, 3), put(2, 3, 0, 4, 5)),
		good: ops(unknown(put(1, 0, 0, 1, 0)), get(1, 3, 0, 2, 4), put(2, 2, 0, 4, 5))},
}

var diverged = []pair{
	{name: "late", rule: Diverged,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: but(row(1, 1, 5), func(f *Final) { f.Settled = time.Second + 1 }),
		good: ops(put(1, 1, 5, 1, 2)), goodEnd: row(1, 1, 5)},
	{name: "not converged", rule: Diverged,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: but(row(1, 1, 5), func(f *Final) { f.Converged = false }),
		good: ops(put(1, 1, 5, 1, 2)), goodEnd: but(row(1, 1, 5), func(f *Final) { f.Cached = nil })},
	{name: "an older entry", rule: Diverged,
		bad:     ops(put(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4)),
		good:    ops(put(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4)),
		badEnd:  but(row(2, 2, 6), func(f *Final) { f.Cached = &Cached{Version: 5, N: 1, Op: 1} }),
		goodEnd: but(row(2, 2, 6), func(f *Final) { f.Cached = &Cached{Version: 6, Placeholder: true} })},
	{name: "a label without its content", rule: Diverged,
		bad: ops(put(1, 1, 0, 1, 2)), badEnd: but(row(1, 1, 0), func(f *Final) { f.Cached.Op = 2 }),
		good: ops(put(1, 1, 0, 1, 2)), goodEnd: row(1, 1, 0)},
	{name: "another label", rule: Diverged,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: but(row(1, 1, 5), func(f *Final) { f.Cached.Version = 6 }),
		good: ops(del(1, 1, 5, 1, 2)), goodEnd: gone(1, 1, 5)},
	{name: "absent", rule: Diverged,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: but(row(1, 1, 5), func(f *Final) { f.Cached = &Cached{Version: 5, Absent: true} }),
		good: ops(), goodEnd: &Final{Key: "k", Converged: true, Cached: &Cached{Version: 4, Absent: true}}},
	{name: "not absent", rule: Diverged,
		bad: ops(del(1, 1, 5, 1, 2)), badEnd: but(gone(1, 1, 5), func(f *Final) { f.Cached = &Cached{Version: 5, N: 1, Op: 1} }),
		good: ops(del(1, 1, 5, 1, 2)), goodEnd: but(gone(1, 1, 5), func(f *Final) { f.Cached = nil })},
}

// written are two writes that have ended.
func written(more ...history.Op) []history.Op {
	return append(ops(put(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4)), more...)
}

var rolledBack = []history.Event{{At: 20, Name: "valkey killed", Begin: true}, {At: 30, Name: "valkey killed", Rollback: true}, {At: 50, Name: "failover", Begin: true, Rollback: true}}

var backwards = []pair{
	{name: "a hit after a newer one", rule: Backwards,
		bad:  written(hit(2, 2, 6, 5, 6), hit(1, 1, 5, 7, 8)),
		good: written(hit(2, 2, 6, 5, 7), hit(1, 1, 5, 7, 8))},
	{name: "a hit, not a read from Postgres", rule: Backwards,
		bad:  written(hit(2, 2, 6, 5, 6), hit(1, 1, 5, 7, 8)),
		good: written(hit(2, 2, 6, 5, 6), get(1, 1, 5, 7, 8))},
	{name: "no versions", rule: Backwards,
		bad:  ops(put(1, 1, 0, 1, 2), put(2, 2, 0, 3, 4), hit(2, 2, 0, 5, 6), hit(1, 1, 0, 7, 8)),
		good: ops(put(1, 1, 0, 1, 2), put(2, 2, 0, 3, 4), hit(2, 2, 0, 5, 6), hit(0, 0, 0, 7, 8))},
	{name: "before the rollback", rule: Backwards, events: rolledBack,
		bad:  written(hit(2, 2, 6, 5, 6), hit(1, 1, 5, 7, 19)),
		good: written(hit(2, 2, 6, 5, 6), hit(1, 1, 5, 7, 20))},
	{name: "after the rollback", rule: Backwards, events: rolledBack,
		bad:  written(hit(2, 2, 6, 31, 32), hit(1, 1, 5, 33, 34)),
		good: written(hit(2, 2, 6, 30, 32), hit(1, 1, 5, 33, 34))},
	{name: "across a rollback without an end", rule: Backwards, events: rolledBack,
		bad:  written(hit(2, 2, 6, 41, 42), hit(1, 1, 5, 43, 44)),
		good: written(hit(2, 2, 6, 41, 42), hit(1, 1, 5, 53, 54))},
	{name: "a session", rule: Backwards, events: rolledBack,
		bad:  written(at(history.Session, by(1, get(2, 2, 6, 5, 6))), at(history.Session, by(1, hit(1, 1, 5, 60, 61)))),
		good: written(at(history.Session, by(1, get(2, 2, 6, 5, 6))), at(history.Session, by(2, hit(1, 1, 5, 60, 61))))},
	{name: "a session that read more than the label", rule: Backwards,
		bad:  written(at(history.Session, by(1, get(2, 2, 5, 5, 6))), at(history.Session, by(1, hit(1, 1, 5, 7, 8)))),
		good: written(at(history.Session, by(1, get(2, 2, 5, 5, 6))), at(history.Session, by(2, hit(1, 1, 5, 7, 8))))},
	{name: "a session back to no row", rule: Backwards,
		bad:  ops(del(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4), at(history.Session, by(1, get(2, 2, 5, 5, 6))), at(history.Session, by(1, hit(0, 0, 5, 7, 8)))),
		good: ops(del(1, 2, 6, 1, 4), put(2, 1, 5, 1, 4), at(history.Session, by(1, get(2, 1, 5, 2, 3))), at(history.Session, by(1, hit(0, 0, 6, 7, 8))))},
	{name: "a session's own write whose N is not known", rule: Backwards,
		bad:  ops(put(1, 1, 5, 1, 2), by(1, put(2, 0, 6, 3, 4)), at(history.Session, by(1, get(1, 1, 5, 5, 6)))),
		good: ops(put(1, 1, 5, 1, 2), by(2, put(2, 0, 6, 3, 4)), at(history.Session, by(1, get(1, 1, 5, 5, 6))))},
	{name: "a session's own write", rule: Backwards,
		bad:  ops(put(1, 1, 5, 1, 2), by(1, put(2, 2, 6, 3, 4)), at(history.Session, by(1, hit(1, 1, 5, 5, 6)))),
		good: ops(put(1, 1, 5, 1, 2), by(1, unknown(put(2, 2, 6, 3, 4))), at(history.Session, by(1, hit(1, 1, 5, 5, 6))))},
}

// TestSegments: a fault lasts until its end, whichever of the two bears the mark, also within another one of its name.
func TestSegments(t *testing.T) {
	t.Parallel()
	spans := rollbacks([]history.Event{
		{At: 10, Name: "a", Begin: true, Rollback: true}, {At: 20, Name: "a", Begin: true}, {At: 30, Name: "a"}, {At: 40, Name: "a"},
		{At: 50, Name: "b", Rollback: true}, {At: 60, Name: "c", Begin: true}, {At: 70, Name: "c"}, {At: 35, Name: "d", Rollback: true, Begin: true},
	})
	if want := []span{{10, 40}, {50, 50}}; !slices.Equal(spans, want) {
		t.Errorf("%v, want %v", spans, want)
	}
}

var tooOld = []pair{
	{name: "a hit", rule: TooOld,
		bad:  written(needs(6, hit(1, 1, 5, 5, 6))),
		good: written(needs(5, hit(1, 1, 5, 5, 6)))},
	{name: "no row and no label", rule: TooOld,
		bad:  written(needs(6, get(0, 0, 0, 3, 6)), del(3, 3, 7, 7, 8)),
		good: written(needs(6, get(0, 0, 0, 3, 6)), del(3, 3, 7, 6, 8))},
	{name: "no row yet, and the label of that", rule: TooOld,
		bad:  written(needs(5, get(0, 0, 0, 3, 6))),
		good: written(needs(4, get(0, 0, 0, 1, 6)))},
	{name: "no row, by an unknown delete", rule: TooOld,
		bad:  written(needs(6, hit(0, 0, 5, 3, 6)), unknown(del(3, 0, 0, 3, 0))),
		good: written(needs(6, get(0, 0, 0, 3, 6)), unknown(del(3, 0, 0, 3, 0)))},
	{name: "newer than its label", rule: TooOld,
		bad:  written(needs(6, get(1, 1, 5, 5, 6))),
		good: written(needs(6, get(2, 2, 5, 5, 6)))},
}

var mislabelled = []pair{
	{name: "a hit without a label", rule: Mislabelled,
		bad:  written(hit(2, 2, 0, 5, 6)),
		good: written(get(2, 2, 0, 5, 6))},
	{name: "a hit labelled too high", rule: Mislabelled,
		bad:  written(hit(1, 1, 6, 5, 6)),
		good: written(hit(1, 1, 5, 5, 6))},
	{name: "a hit labelled too low", rule: Mislabelled,
		bad:  written(hit(2, 2, 5, 5, 6)),
		good: written(get(2, 2, 5, 5, 6))},
	{name: "a read from Postgres labelled too high", rule: Mislabelled,
		bad:  written(get(1, 1, 6, 3, 6)),
		good: written(get(1, 1, 5, 3, 6))},
	{name: "an unknown write has two labels", rule: Mislabelled,
		bad:  ops(unknown(put(1, 0, 0, 1, 0)), hit(1, 1, 5, 5, 6), hit(1, 1, 6, 7, 8)),
		good: ops(unknown(put(1, 0, 0, 1, 0)), hit(1, 1, 5, 5, 6), hit(1, 1, 5, 7, 8))},
	{name: "an unknown write under the label of a group", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 1, 9), put(2, 0, 6, 1, 9), hit(2, 2, 5, 5, 6)),
		good: ops(put(1, 1, 5, 1, 9), unknown(put(2, 0, 0, 1, 9)), hit(2, 2, 5, 5, 6))},
	{name: "another N", rule: Mislabelled,
		bad:  written(get(2, 3, 6, 5, 6)),
		good: written(get(2, 2, 6, 5, 6))},
	{name: "nobody's", rule: Mislabelled,
		bad:  written(get(3, 3, 6, 5, 6)),
		good: written(unknown(put(3, 0, 0, 5, 6)), get(3, 3, 6, 5, 6))},
	{name: "from the future", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 5, 6), get(1, 1, 5, 3, 4)),
		good: ops(put(1, 1, 5, 4, 6), get(1, 1, 5, 3, 4))},
	{name: "an absent hit under the label of a row", rule: Mislabelled,
		bad:  ops(del(1, 1, 5, 1, 2), put(2, 2, 6, 3, 9), hit(0, 0, 6, 3, 9)),
		good: ops(del(1, 1, 5, 1, 2), put(2, 2, 6, 3, 9), hit(0, 0, 5, 3, 9))},
	{name: "an absent hit above all rows", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 1, 9), hit(0, 0, 7, 3, 9)),
		good: ops(put(1, 1, 5, 1, 9), unknown(del(2, 0, 0, 1, 9)), hit(0, 0, 7, 3, 9))},
	{name: "an absent hit before the first row", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 1, 9), hit(0, 0, 5, 3, 9)),
		good: ops(put(1, 1, 5, 1, 9), hit(0, 0, 4, 3, 9))},
	{name: "a group that deletes and puts", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 1, 9), put(2, 2, 5, 1, 9), hit(0, 0, 5, 3, 9)),
		good: ops(put(1, 1, 5, 1, 9), del(2, 2, 5, 1, 9), hit(0, 0, 5, 3, 9))},
	{name: "no row in Postgres", rule: Mislabelled,
		bad:  ops(put(1, 1, 5, 1, 2), del(2, 2, 6, 7, 8), get(0, 0, 5, 3, 6)),
		good: ops(put(1, 1, 5, 1, 2), del(2, 2, 6, 6, 8), get(0, 0, 5, 3, 6))},
	{name: "the last row is gone, or not", rule: Mislabelled,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: gone(1, 1, 5),
		good: ops(del(1, 1, 5, 1, 2)), goodEnd: gone(1, 1, 5)},
	{name: "the last row is nobody's", rule: Mislabelled,
		bad: ops(put(1, 1, 5, 1, 2)), badEnd: row(2, 1, 5),
		good: ops(put(1, 1, 5, 1, 2)), goodEnd: row(1, 1, 5)},
}

var notLinear = []pair{
	{name: "older than an acknowledged write", rule: NotLinear,
		bad:  written(exact(1, 1, 5, 5, 6)),
		good: written(exact(1, 1, 5, 4, 6))},
	{name: "another level", rule: NotLinear,
		bad:  written(exact(1, 1, 5, 5, 6)),
		good: written(hit(1, 1, 5, 5, 6))},
	{name: "older than another read", rule: NotLinear,
		bad:  ops(put(1, 1, 0, 1, 2), put(2, 2, 0, 3, 9), exact(2, 2, 0, 4, 5), exact(1, 1, 0, 6, 7)),
		good: ops(put(1, 1, 0, 1, 2), put(2, 2, 0, 3, 9), exact(2, 2, 0, 4, 6), exact(1, 1, 0, 6, 7))},
	{name: "older than an unknown write that was read", rule: NotLinear,
		bad:  ops(put(1, 1, 0, 1, 2), unknown(put(2, 0, 0, 3, 0)), exact(2, 2, 0, 4, 5), exact(1, 1, 0, 6, 7)),
		good: ops(put(1, 1, 0, 1, 2), unknown(put(2, 0, 0, 3, 0)), exact(1, 1, 0, 4, 5), exact(2, 2, 0, 6, 7))},
	{name: "from the future", rule: NotLinear,
		bad:  ops(put(1, 1, 0, 5, 6), exact(1, 1, 0, 3, 4)),
		good: ops(put(1, 1, 0, 4, 6), exact(1, 1, 0, 3, 4))},
	{name: "absent after a write", rule: NotLinear,
		bad:  ops(put(1, 1, 0, 1, 2), exact(0, 0, 0, 3, 4)),
		good: ops(put(1, 1, 0, 1, 3), exact(0, 0, 0, 3, 4))},
	{name: "absent by an older delete", rule: NotLinear,
		bad:  ops(del(1, 1, 0, 1, 2), put(2, 2, 0, 3, 4), exact(0, 0, 0, 5, 6)),
		good: ops(del(1, 2, 0, 1, 4), put(2, 1, 0, 3, 4), exact(0, 0, 0, 5, 6))},
	{name: "absent by an unknown delete", rule: NotLinear,
		bad:  ops(put(2, 1, 0, 3, 4), exact(0, 0, 0, 5, 6), unknown(del(1, 0, 0, 7, 0))),
		good: ops(put(2, 1, 0, 3, 4), exact(0, 0, 0, 5, 6), unknown(del(1, 0, 0, 6, 0)))},
	{name: "back to absent", rule: NotLinear,
		bad:  ops(del(1, 1, 0, 1, 9), put(2, 2, 0, 1, 9), exact(2, 2, 0, 2, 3), exact(0, 0, 0, 4, 5)),
		good: ops(del(1, 2, 0, 1, 9), put(2, 1, 0, 1, 9), exact(2, 1, 0, 2, 3), exact(0, 0, 0, 4, 5))},
	{name: "back from absent", rule: NotLinear,
		bad:  ops(put(1, 1, 0, 1, 9), del(2, 2, 0, 1, 9), exact(1, 1, 0, 2, 3), exact(0, 0, 0, 4, 5), exact(1, 1, 0, 6, 7)),
		good: ops(put(1, 1, 0, 1, 9), del(2, 2, 0, 1, 9), exact(0, 0, 0, 2, 3), exact(1, 1, 0, 4, 5), exact(0, 0, 0, 6, 7))},
	{name: "the N of the write are not known", rule: NotLinear,
		bad:  ops(put(1, 0, 5, 1, 2), put(2, 0, 6, 3, 4), exact(1, 1, 5, 5, 6)),
		good: ops(put(1, 0, 5, 1, 2), put(2, 0, 6, 3, 5), exact(1, 1, 5, 5, 6))},
	{name: "the order of the writes is known by their versions", rule: NotLinear,
		bad:  ops(unknown(put(3, 0, 0, 1, 0)), put(1, 0, 5, 1, 9), put(2, 0, 6, 1, 9), exact(1, 2, 5, 10, 11)),
		good: ops(unknown(put(3, 0, 0, 1, 0)), put(1, 0, 5, 1, 9), put(2, 0, 6, 1, 9), exact(1, 2, 5, 9, 11))},
	{name: "older than a write whose client was told that it is not settled", rule: NotLinear,
		bad:  ops(put(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4), exact(1, 1, 5, 5, 6)),
		good: ops(put(1, 1, 5, 1, 2), ended(4, unknown(put(2, 2, 6, 3, 0))), exact(1, 1, 5, 5, 6), exact(2, 2, 6, 7, 8), exact(2, 2, 6, 90, 91))},
	{name: "seen, and then no more, though its client was told that it is not settled", rule: NotLinear,
		bad:  ops(put(1, 1, 5, 1, 2), ended(4, unknown(put(2, 2, 6, 3, 0))), exact(2, 2, 6, 50, 51), exact(1, 1, 5, 52, 53)),
		good: ops(put(1, 1, 5, 1, 2), ended(4, unknown(put(2, 2, 6, 3, 0))), exact(1, 1, 5, 50, 51), exact(2, 2, 6, 52, 53))},
	{name: "overwritten within a group", rule: NotLinear,
		bad:  ops(put(1, 1, 5, 1, 9), put(2, 0, 5, 1, 2), exact(1, 1, 5, 3, 4)),
		good: ops(put(1, 2, 5, 1, 9), put(2, 0, 5, 1, 2), exact(1, 2, 5, 3, 4))},
}

var outOfBound = []pair{
	{name: "older than its bound", rule: OutOfBound,
		bad:  written(within(5, hit(1, 1, 5, 10, 11))),
		good: written(within(6, hit(1, 1, 5, 10, 11)))},
	{name: "by what each read may be", rule: OutOfBound,
		bad:  written(within(20, hit(1, 1, 5, 20, 21)), within(10, hit(1, 1, 5, 19, 21))),
		good: written(within(20, hit(1, 1, 5, 20, 21)), within(16, hit(1, 1, 5, 19, 21)))},
	{name: "another level", rule: OutOfBound,
		bad:  written(within(5, hit(1, 1, 5, 10, 11))),
		good: written(hit(1, 1, 5, 10, 11))},
	{name: "no row any more", rule: OutOfBound,
		bad:  ops(del(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4), within(5, hit(0, 0, 5, 10, 11))),
		good: ops(del(1, 1, 5, 1, 2), put(2, 2, 6, 3, 4), within(5, hit(0, 0, 5, 9, 11)))},
	{name: "an unknown write", rule: OutOfBound,
		bad:  written(within(5, hit(1, 1, 5, 10, 11))),
		good: ops(put(1, 1, 5, 1, 2), unknown(put(2, 0, 0, 3, 0)), within(5, hit(1, 1, 5, 10, 11)))},
	{name: "not what another read has seen", rule: OutOfBound,
		bad:  written(within(50, hit(2, 2, 6, 60, 61)), within(50, hit(1, 1, 5, 62, 63))),
		good: written(within(50, get(2, 2, 6, 40, 41)), within(50, get(1, 1, 5, 42, 43)))},
}
