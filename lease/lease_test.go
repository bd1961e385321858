package lease_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

const term = time.Second

// world is guardians and holders with clocks of their own, and the row in Postgres.
type world struct {
	*rand.Rand
	now       time.Duration // real time
	rates     []float64     // of the clocks: guardians', then holders'
	guardians []*lease.Guardian
	holders   []lease.Held
	silences  []lease.Silence
	reading   []struct { // what a holder has read, and is told later
		asked time.Duration
		row   outbox.Row
		under bool
	}
	row struct {
		outbox.Row
		holder int // which guardian
		kept   int
	}
	keeping struct { // a statement that keeps the office, under way
		of         int
		sent       time.Duration
		done, sure bool // by Postgres; and under way at all
	}
	questions []question
}

type question struct {
	holder   int
	asked    time.Duration // by the holder's clock
	reply    lease.Reply
	answered bool
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), now: time.Hour}
	for range 5 {
		w.rates = append(w.rates, 1+lease.Drift*(w.Float64()-0.5))
	}
	for i := range 2 {
		w.guardians = append(w.guardians, lease.NewGuardian(w.clock(i), term))
	}
	w.holders, w.silences = make([]lease.Held, 3), make([]lease.Silence, 3)
	w.reading = make([]struct {
		asked time.Duration
		row   outbox.Row
		under bool
	}, 3)
	w.row.Lasts = term
	return w
}

func (w *world) clock(i int) time.Duration { return time.Duration(float64(w.now) * w.rates[i]) }

func (w *world) holds(h int) time.Duration { return w.clock(len(w.guardians) + h) }

func (w *world) guardian() *lease.Guardian { return w.guardians[w.row.holder] }

// step does one thing that may happen at any time.
func (w *world) step() {
	i, of := w.IntN(len(w.guardians)), w.row.holder
	switch w.IntN(11) {
	case 0: // another guardian takes over, at any time: Postgres may have a clock that jumps
		if i != of && w.IntN(10) == 0 {
			w.guardians[i], w.row.holder = lease.NewGuardian(w.clock(i), term), i
			w.keep()
			w.guardians[i].Kept(w.clock(i), term)
		}
	case 1:
		w.keeps(of)
	case 2:
		if w.IntN(5) == 0 {
			w.guardian().Distrust(w.clock(of), "a test")
		}
	case 3:
		w.guardian().Well(w.clock(of), []string{"a"})
	case 4:
		w.act(of)
	case 5:
		h := w.IntN(len(w.holders))
		w.questions = append(w.questions, question{holder: h, asked: w.holds(h)})
	case 6: // any guardian answers, also one that was deposed
		if len(w.questions) > 0 {
			q := &w.questions[w.IntN(len(w.questions))]
			if !q.answered {
				q.reply, q.answered = w.guardians[i].Ask(w.clock(i), w.clock(i))
			}
		}
	case 7: // an answer arrives, perhaps late, or is lost
		if len(w.questions) > 0 {
			n := w.IntN(len(w.questions))
			q := w.questions[n]
			w.questions = slices.Delete(w.questions, n, n+1)
			if q.answered {
				w.holders[q.holder] = w.holders[q.holder].Granted(q.asked, q.reply)
			}
		}
	case 8:
		w.reads(w.IntN(len(w.holders)))
	default:
		w.now += time.Duration(w.Int64N(int64(300 * time.Millisecond)))
		if w.IntN(20) == 0 {
			w.now += time.Duration(w.Int64N(int64(4 * term))) // everybody sleeps
		}
	}
}

// keep changes the row as a statement does that keeps the office.
func (w *world) keep() {
	w.row.kept++
	w.row.Until = fmt.Sprint(w.row.kept)
}

// keeps sends a statement that keeps the office, or has it reach Postgres, or its answer the guardian.
func (w *world) keeps(of int) {
	k := &w.keeping
	switch {
	case !k.sure:
		k.of, k.sent, k.done, k.sure = of, w.clock(of), false, true
	case !k.done:
		if k.done = k.of == w.row.holder; k.done {
			w.keep()
		} else {
			k.sure = false // another one holds it
		}
	default:
		if k.of == w.row.holder {
			w.guardians[k.of].Kept(k.sent, term)
		}
		k.sure = false
	}
}

// reads has a holder read the row, or be told what it has read.
func (w *world) reads(h int) {
	r := &w.reading[h]
	if !r.under {
		r.asked, r.row, r.under = w.holds(h), w.row.Row, true
		return
	}
	if w.silences[h].Read(r.asked, w.holds(h), r.row) {
		w.holders[h] = w.holders[h].Silent(r.asked)
	}
	r.under = false
}

// act does what the guardian in office asks for.
func (w *world) act(of int) {
	g := w.guardian()
	switch action := g.Next(w.clock(of)); action {
	case lease.WriteSuspended:
		w.row.Suspended = true
		g.Written(w.clock(of), action)
	case lease.WriteResuming:
		w.row.Suspended = false
		g.Written(w.clock(of), action)
	case lease.Drain:
		g.Drained(w.clock(of), []string{"a"})
	case lease.Nothing:
	}
}

// vouches reports whether a guardian vouches for what is not settled, and for what is settled on the server that is trusted; and whether it grants trust.
func (w *world) vouches(g int) (open, settled, grants bool) {
	now := w.clock(g)
	phase, _, _ := w.guardians[g].State()
	open, settled = w.guardians[g].Vouch(now, nil), w.guardians[g].Vouch(now, []string{"a"})
	return open, settled, settled && phase == lease.Trusted
}

// TestNobodyBelievesTheOther plays guardians and holders at random, with clocks whose rates differ by as much as is allowed, delays of any length
// and guardians that wake up after they were deposed, or after their office has lapsed. While it is known that the cache is suspended, by a lease, by the row in
// Postgres or from the guardian itself, nobody trusts it; and nobody who believes that it is suspended does so while trust is granted.
func TestNobodyBelievesTheOther(t *testing.T) {
	t.Parallel()
	seen := make(map[string]int)
	for seed := range uint64(100) {
		w := newWorld(seed)
		for range 2000 {
			w.step()
			trusted, suspended := -1, -1
			for h := range w.holders {
				now := w.holds(h)
				if w.holders[h].Trusts(now, []string{"a"}) {
					trusted = h
				}
				if w.holders[h].Suspended(now) {
					suspended = h
				}
			}
			if trusted >= 0 && suspended >= 0 {
				t.Fatalf("seed %d: holder %d trusts the cache, and holder %d knows that it is suspended", seed, trusted, suspended)
			}
			for g := range w.guardians {
				open, settled, grants := w.vouches(g)
				if open && trusted >= 0 {
					t.Fatalf("seed %d: guardian %d vouches for what is not settled, and holder %d trusts the cache", seed, g, trusted)
				}
				if grants && suspended >= 0 {
					t.Fatalf("seed %d: guardian %d grants trust, and holder %d believes that the cache is suspended", seed, g, suspended)
				}
				count(seen, "vouched open", open)
				count(seen, "vouched settled", settled)
				count(seen, "granted", grants)
			}
			count(seen, "trusted", trusted >= 0)
			count(seen, "suspended", suspended >= 0)
		}
	}
	for _, what := range []string{"vouched open", "vouched settled", "granted", "trusted", "suspended"} {
		if seen[what] == 0 {
			t.Errorf("%s: never", what)
		}
	}
}

func count(seen map[string]int, what string, is bool) {
	if is {
		seen[what]++
	}
}
