package judge

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// world makes valid histories: concurrent clients of a store that is linearizable. Every operation takes effect at one instant between its begin
// and its end; an unknown write much later, or never.
type world struct {
	rand     *rand.Rand
	ops      []history.Op
	effects  []effect
	drawn    int64 // the last version
	rows     map[string]*rowOf
	floors   map[string]int64 // the labels of absent keys that were never written: they only rise
	sessions map[clientKey]int64
	commits  map[string][]commit
}

type effect struct {
	at int64
	op int
}

// rowOf is what a key is at the moment.
type rowOf struct {
	commit
	former int64 // the version before
}

// commit is a write that took effect.
type commit struct {
	op         int // in ops
	id, n      int64
	version    int64
	at         int64
	gone, last bool // last: not overwritten within its transaction
}

type clientKey struct {
	client client
	key    string
}

// quantum is the grid on which writes take effect: those of one key at one instant share a transaction. Reads keep off it.
const quantum = 64

func newWorld(seed uint64) *world {
	return &world{rand: rand.New(rand.NewPCG(seed, 1)), rows: make(map[string]*rowOf), floors: make(map[string]int64), sessions: make(map[clientKey]int64), commits: make(map[string][]commit)}
}

// run makes a history of that many operations, with clients and keys.
func (w *world) run(ops, clients, keys int) Run {
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("k%d", i)
	}
	w.ops = make([]history.Op, 0, ops)
	now := make([]int64, clients)
	for len(w.ops) < ops {
		c := len(w.ops) % clients
		key := names[min(w.rand.IntN(keys), w.rand.IntN(keys))] // some more often than others
		now[c] = w.begin(c, key, now[c]+1+w.rand.Int64N(200))
	}
	slices.SortFunc(w.effects, func(a, b effect) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(w.ops[a.op].Key, w.ops[b.op].Key), cmp.Compare(a.op, b.op))
	})
	for _, e := range w.effects {
		w.apply(e)
	}
	return Run{Subject: "tidelock", Ops: w.ops, Finals: w.finals(), Bound: time.Second, Linear: []history.Level{history.Strict},
		Events: []history.Event{{At: 5000, Name: "restart", Begin: true, Rollback: true}, {At: 9000, Name: "restart"}}}
}

// begin plans an operation and returns when its client is free again.
func (w *world) begin(c int, key string, begin int64) int64 {
	op := history.Op{Process: fmt.Sprintf("p%d", c%3), Client: c, Key: key, Begin: begin, Outcome: history.OK}
	i := int64(len(w.ops))
	if w.rand.IntN(100) < 65 {
		op.Kind, op.Level = history.Read, []history.Level{history.Default, history.Strict, history.Token, history.Session, history.Within}[w.rand.IntN(5)]
		at := begin + w.rand.Int64N(300)
		if at%quantum == 0 {
			at++
		}
		op.End = at + w.rand.Int64N(300)
		if w.rand.IntN(200) == 0 {
			op.Outcome = history.Fail
		} else {
			w.effects = append(w.effects, effect{at, int(i)})
		}
		w.ops = append(w.ops, op)
		return op.End
	}
	op.Kind, op.ID = history.Write, i+1
	if w.rand.IntN(6) == 0 {
		op.Kind = history.Delete
	}
	at := (begin + w.rand.Int64N(300) + quantum) / quantum * quantum
	op.End = at + w.rand.Int64N(300)
	free := op.End
	switch p := w.rand.IntN(1000); {
	case p < 10:
		op.Outcome = history.Fail
	case p < 15:
		op.Outcome, op.End = history.Unknown, 0
	case p < 25:
		op.Outcome = history.Unknown
		at = (begin + w.rand.Int64N(20_000) + quantum) / quantum * quantum
		w.effects = append(w.effects, effect{at, int(i)})
	default:
		w.effects = append(w.effects, effect{at, int(i)})
	}
	w.ops = append(w.ops, op)
	return free
}

// apply lets an operation take effect.
func (w *world) apply(e effect) {
	op := &w.ops[e.op]
	row := w.rows[op.Key]
	if op.Kind == history.Read {
		w.read(op, row)
		return
	}
	if row == nil {
		row = &rowOf{}
		w.rows[op.Key] = row
	}
	if row.at != e.at {
		w.drawn++
		row.former, row.version = row.version, w.drawn
	} else {
		w.commits[op.Key][len(w.commits[op.Key])-1].last = false
	}
	row.n++
	row.commit = commit{op: e.op, id: op.ID, n: row.n, version: row.version, at: e.at, gone: op.Kind == history.Delete, last: true}
	w.commits[op.Key] = append(w.commits[op.Key], row.commit)
	if op.Outcome != history.OK {
		return
	}
	op.Version = row.version
	if w.rand.IntN(2) == 0 { // a Put does not get to know it
		op.N = row.n
	}
	w.saw(op)
}

func (w *world) saw(op *history.Op) {
	s := clientKey{client{op.Process, op.Client}, op.Key}
	w.sessions[s] = max(w.sessions[s], op.Version)
}

func (w *world) read(op *history.Op, row *rowOf) {
	op.Hit = w.rand.IntN(3) > 0
	switch {
	case row == nil: // labelled with the floor
		w.floors[op.Key] = max(w.floors[op.Key], w.rand.Int64N(w.drawn+1))
		op.Version = w.floors[op.Key]
	case op.Hit || op.Level == history.Session || w.rand.IntN(2) == 0:
		op.Version = row.version
	default:
		op.Version = row.former
	}
	if row != nil && !row.gone {
		op.ID, op.N = row.id, row.n
	}
	defer func() {
		if op.ID == 0 && w.rand.IntN(3) == 0 { // one of several keys
			op.Version, op.Hit = 0, false
		}
	}()
	switch op.Level {
	case history.Within:
		w.late(op)
	case history.Token:
		op.Need = w.rand.Int64N(op.Version + 1)
	case history.Session:
		if row == nil {
			op.Level = history.Default // a floor is no version
			return
		}
		op.Need = w.sessions[clientKey{client{op.Process, op.Client}, op.Key}]
		w.saw(op)
	}
}

// late lets a read within a bound return what was overwritten within it, at times.
func (w *world) late(op *history.Op) {
	op.Within = w.rand.Int64N(400)
	commits := w.commits[op.Key]
	i := len(commits) - 1 - w.rand.IntN(3)
	if i < 0 || i+1 >= len(commits) || commits[i+1].at < op.Begin-op.Within {
		return
	}
	if c := commits[i]; c.last && !c.gone && w.ops[c.op].Outcome == history.OK {
		op.ID, op.N, op.Version, op.Hit = c.id, c.n, c.version, false
	}
}

func (w *world) finals() []Final {
	var finals []Final
	for key, row := range w.rows {
		f := Final{Key: key, N: row.n, Op: row.id, Version: row.version, Gone: row.gone, Exists: true, Converged: true,
			Settled: time.Duration(w.rand.Int64N(int64(time.Second)))}
		switch w.rand.IntN(4) {
		case 0:
			f.Cached = &Cached{Version: row.version, Placeholder: true}
		case 1:
		default:
			f.Cached = &Cached{Version: row.version, Absent: row.gone}
			if !row.gone {
				f.Cached.N, f.Cached.Op = row.n, row.id
			}
		}
		finals = append(finals, f)
	}
	return finals
}
