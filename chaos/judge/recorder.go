package judge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// recorder collects what one goroutine finds. It goes through the keys in their order, so the first violations of all recorders
// together are the first of all, whoever found them.
type recorder struct {
	key    int // the place of the key under way
	found  map[Rule][]finding
	byRule map[Rule]int64
	counts Counts
}

type finding struct {
	key int
	Violation
}

func newRecorder() *recorder {
	return &recorder{found: make(map[Rule][]finding), byRule: make(map[Rule]int64), counts: Counts{Levels: make(map[history.Level]*Reads)}}
}

// full reports whether a further violation of the rule would only be counted.
func (r *recorder) full(rule Rule) bool { return len(r.found[rule]) == Kept }

func (r *recorder) add(v Violation) {
	r.byRule[v.Rule]++
	if !r.full(v.Rule) {
		r.found[v.Rule] = append(r.found[v.Rule], finding{key: r.key, Violation: v})
	}
}

// sum is the verdict of all recorders.
func sum(recorders []*recorder) Verdict {
	v := Verdict{ByRule: make(map[Rule]int64), Counts: Counts{Levels: make(map[history.Level]*Reads)}}
	for _, r := range recorders {
		v.Counts.add(r.counts)
		for rule, n := range r.byRule {
			v.ByRule[rule] += n
		}
	}
	for _, rule := range rules {
		var found []finding
		for _, r := range recorders {
			found = append(found, r.found[rule]...)
		}
		slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.key, b.key) })
		for _, f := range found[:min(len(found), Kept)] {
			v.Violations = append(v.Violations, f.Violation)
		}
	}
	return v
}

func (c *Counts) add(o Counts) {
	c.Operations += o.Operations
	c.Reads += o.Reads
	c.Writes += o.Writes
	c.Unknown += o.Unknown
	c.Failed += o.Failed
	c.Deferred += o.Deferred
	c.ReadErrors += o.ReadErrors
	c.Hits += o.Hits
	c.Stale += o.Stale
	for level, n := range o.Levels {
		r := c.level(level)
		r.Reads += n.Reads
		r.Errors += n.Errors
		r.Hits += n.Hits
		r.Stale += n.Stale
		r.Calm += n.Calm
		r.CalmHits += n.CalmHits
	}
	c.StaleTime = max(c.StaleTime, o.StaleTime)
	c.StaleWrites = max(c.StaleWrites, o.StaleWrites)
	c.SessionBack += o.SessionBack
	c.NoFinal += o.NoFinal
	c.Searched += o.Searched
	c.Unsearched += o.Unsearched
}

// count counts an operation. It is calm before an instant.
func (c *Counts) count(op *history.Op, calm int64) {
	c.Operations++
	if op.Kind == history.Read {
		c.countRead(op, op.End < calm)
		return
	}
	c.Writes++
	if op.Deferred {
		c.Deferred++
	}
	switch op.Outcome {
	case history.Unknown:
		c.Unknown++
	case history.Fail:
		c.Failed++
	}
}

func (c *Counts) countRead(op *history.Op, calm bool) {
	level := c.level(op.Level)
	c.Reads++
	level.Reads++
	if op.Outcome != history.OK {
		c.ReadErrors++
		level.Errors++
		return
	}
	if op.Hit {
		c.Hits++
		level.Hits++
	}
	if calm {
		level.Calm++
		if op.Hit {
			level.CalmHits++
		}
	}
}

// tell describes an operation, once somebody wants to know.
type tell struct {
	op    *history.Op
	start int64
}

// String is "write 17 of w0/3 (N 5, version 9) from 1.234567 to 1.235000 s".
func (t tell) String() string {
	op := t.op
	text := fmt.Sprintf("%s %d of %s/%d (N %d", op.Kind, op.ID, op.Process, op.Client, op.N)
	if op.Kind == history.Read {
		text = fmt.Sprintf("%s read of %s/%d (op %d, N %d", op.Level, op.Process, op.Client, op.ID, op.N)
	}
	if op.Version > 0 {
		text += fmt.Sprintf(", version %d", op.Version)
	}
	if op.Hit {
		text += ", hit"
	}
	text += ") from " + t.at(op.Begin)
	if op.End > 0 {
		return text + " to " + t.at(op.End) + " s"
	}
	return text + " s on"
}

func (t tell) at(instant int64) string {
	return fmt.Sprintf("%.6f", time.Duration(instant-t.start).Seconds())
}
