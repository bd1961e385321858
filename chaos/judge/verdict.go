package judge

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// Rule names what was promised.
type Rule string

// The rules, in the order in which violations are listed.
const (
	// Lost: no acknowledged write is lost, none that failed shows, and the order of the writes is that of their commits.
	Lost Rule = "A"
	// Diverged: the cache agrees with Postgres soon after the faults.
	Diverged Rule = "C"
	// Backwards: what the cache serves never goes backwards, nor does what a session sees.
	Backwards Rule = "N"
	// TooOld: a read that names a version gets at least that.
	TooOld Rule = "R"
	// NotLinear: a level that promises it is linearizable for each key.
	NotLinear Rule = "L"
	// OutOfBound: a read within a bound sees every write that was acknowledged longer ago than that.
	OutOfBound Rule = "B"
	// Mislabelled: what is read is what was written under that label.
	Mislabelled Rule = "X"
)

var rules = []Rule{Lost, Diverged, Backwards, TooOld, NotLinear, OutOfBound, Mislabelled}

// Violation is one breach of a rule.
type Violation struct {
	Rule Rule
	Key  string
	// Text says in a sentence what happened, Ops which operations show it.
	Text string
	Ops  []history.Op
}

// Verdict is what a run comes to.
type Verdict struct {
	// Violations are the first ones of each rule, at most Kept. ByRule counts them all.
	Violations []Violation
	ByRule     map[Rule]int64
	Counts     Counts
	Settled    Settled
}

// Kept is how many violations of each rule a verdict describes.
const Kept = 100

// OK reports whether nothing was violated.
func (v Verdict) OK() bool { return v.Total() == 0 }

// Total counts the violations of all rules.
func (v Verdict) Total() int64 {
	var total int64
	for _, n := range v.ByRule {
		total += n
	}
	return total
}

// Counts says what the operations were.
type Counts struct {
	Operations, Reads, Writes int64 // whatever became of them; a delete is a write
	Unknown, Failed, Deferred int64 // of the writes
	ReadErrors                int64
	Hits                      int64
	// Stale are the reads, of whatever level, that returned less than a write acknowledged before they began.
	Stale int64
	// Levels has the reads by level.
	Levels map[history.Level]*Reads
	// StaleTime is the longest that a newer write had been acknowledged when a stale read began, StaleWrites the most commits that one
	// was behind.
	StaleTime   time.Duration
	StaleWrites int64
	// SessionBack are the session reads that saw an older row than an earlier one of the same session, with a subject that has no versions and so
	// promises nothing else.
	SessionBack int64
	// NoFinal are the keys whose end is not known.
	NoFinal int64
	// Searched are the operations for which porcupine has looked for an order too, Unsearched those for which it would have taken too long.
	Searched, Unsearched int64
}

// Reads counts those of one level.
type Reads struct {
	Reads, Errors, Hits, Stale int64 // Reads are whatever became of them
	// Calm are the reads that ended well before the faults began, CalmHits those of them that the cache served.
	Calm, CalmHits int64
}

// level is what is counted of a level.
func (c *Counts) level(l history.Level) *Reads {
	r := c.Levels[l]
	if r == nil {
		r = &Reads{}
		c.Levels[l] = r
	}
	return r
}

// Settled is how long the keys took to agree with Postgres, of those that did.
type Settled struct {
	P50, P99, Max time.Duration
}
