package judge

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// never is later than every instant, and beyond every N.
const never = math.MaxInt64

// key is what there is to judge of one key.
type key struct {
	*trial
	*recorder
	name  string
	final *Final

	writes []*write              // that are or may be committed, by their begins
	acked  []*write              // those of them that are acknowledged, by their ends
	byID   map[int64]*write      // writes
	failed map[int64]*history.Op // writes that were not committed
	reads  []*read               // that returned something, by their begins
	ended  []*read               // the same by their ends

	versions []*write // the acknowledged writes that have a version, by it
	marks    []mark
	gone     []reach
	goneAt   []int64 // the N of the deletes, 0 for not known
}

// write is a write that is or may be committed.
type write struct {
	*history.Op
	n       int64 // its N, also when others saw it first; 0 if nobody did
	version int64 // 0 if not known
	after   int64 // the least that N was when it was acknowledged
	seen    *read // the first read that saw it
}

func (w *write) begin() int64 { return w.Begin }

// end is never for a write that may take effect at any time.
func (w *write) end() int64 {
	if w.Outcome != history.OK {
		return never
	}
	return ends(w.Op)
}

func (w *write) deletes() bool { return w.Kind == history.Delete }

// read is a read that returned something.
type read struct {
	*history.Op
	of      *write // what it saw; nil for no row, and for what nobody wrote
	segment int    // between rollbacks, noSegment if it overlaps one
	least   point  // how far writes had got that were acknowledged before it began
	at      point  // how far it got itself, at least
}

func (r *read) begin() int64 { return r.Begin }
func (r *read) end() int64   { return ends(r.Op) }

func ends(op *history.Op) int64 {
	if op.End == 0 {
		return never
	}
	return op.End
}

// open sorts out what there is of a key.
func open(t *trial, d *docket, rec *recorder) *key {
	k := &key{trial: t, recorder: rec, name: d.name, final: d.final, failed: make(map[int64]*history.Op)}
	reads, writes := k.room(d)
	for _, op := range d.ops {
		k.counts.count(op, k.run.Calm)
		switch {
		case op.Kind == history.Read:
			if op.Outcome == history.OK {
				reads = append(reads, read{Op: op, segment: t.segment(op)})
				k.reads = append(k.reads, &reads[len(reads)-1])
			}
		case op.Outcome == history.Fail:
			k.failed[op.ID] = op
		default:
			writes = append(writes, write{Op: op, n: op.N, version: op.Version})
			w := &writes[len(writes)-1]
			k.writes = append(k.writes, w)
			k.byID[op.ID] = w
		}
	}
	k.sort()
	k.learn()
	k.bound()
	return k
}

// room makes room for all reads and writes, so that each of them stays where it is put.
func (k *key) room(d *docket) ([]read, []write) {
	n := 0
	for _, op := range d.ops {
		if op.Kind == history.Read {
			n++
		}
	}
	k.reads, k.writes = make([]*read, 0, n), make([]*write, 0, len(d.ops)-n)
	k.byID = make(map[int64]*write, len(d.ops)-n)
	return make([]read, 0, n), make([]write, 0, len(d.ops)-n)
}

func (k *key) sort() {
	slices.SortFunc(k.writes, func(a, b *write) int { return cmp.Compare(a.Begin, b.Begin) })
	slices.SortFunc(k.reads, func(a, b *read) int { return cmp.Compare(a.Begin, b.Begin) })
	for _, w := range k.writes {
		if w.Outcome == history.OK {
			k.acked = append(k.acked, w)
		}
	}
	slices.SortFunc(k.acked, func(a, b *write) int { return cmp.Compare(a.end(), b.end()) })
	k.ended = slices.Clone(k.reads)
	slices.SortFunc(k.ended, func(a, b *read) int { return cmp.Compare(a.end(), b.end()) })
}

// learn takes from the reads and from the last row what the writers did not get to know.
func (k *key) learn() {
	for _, r := range k.reads {
		w := k.byID[r.ID]
		if w == nil {
			continue
		}
		r.of = w
		if w.seen == nil {
			w.seen = r
		}
		if w.n == 0 {
			w.n = r.N
		}
		if w.version == 0 && r.Hit && !k.run.Pruned {
			w.version = r.Version
		}
	}
	if k.final == nil {
		return
	}
	if w := k.byID[k.final.Op]; w != nil && k.final.Exists {
		if w.n == 0 {
			w.n = k.final.N
		}
		if w.version == 0 {
			w.version = k.final.Version
		}
	}
}

// judge holds the key against all rules. A further rule is a further line.
func (k *key) judge() {
	k.checkContent()
	k.checkOrder()
	k.checkTwice()
	k.checkGroups()
	k.checkFinal()
	k.checkCached()
	k.checkHits()
	k.checkSessions()
	k.checkNeeds()
	k.checkLinear()
	k.checkBounds()
	k.searchOrder()
}

// violated records a violation. What the text says in place of its verbs are the ops, in their order.
func (k *key) violated(rule Rule, ops []*history.Op, text string, more ...any) {
	if k.full(rule) {
		k.byRule[rule]++
		return
	}
	v := Violation{Rule: rule, Key: k.name}
	args := make([]any, 0, len(ops)+len(more))
	for _, op := range ops {
		v.Ops = append(v.Ops, *op)
		args = append(args, tell{op, k.start})
	}
	v.Text = fmt.Sprintf(text, append(args, more...)...)
	k.add(v)
}

// timed is an operation with its interval.
type timed interface {
	begin() int64
	end() int64
}

// sweep visits later, which is sorted by begins; before each of them it folds whatever of earlier, which is sorted by ends, had ended when
// it began.
func sweep[E, L timed](earlier []E, later []L, fold func(E), visit func(L)) {
	i := 0
	for _, l := range later {
		for ; i < len(earlier) && earlier[i].end() < l.begin(); i++ {
			fold(earlier[i])
		}
		visit(l)
	}
}
