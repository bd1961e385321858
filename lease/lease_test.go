package lease_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/lease"
)

const term = time.Second

// world is guardians and holders with clocks of their own, and the row in Postgres.
type world struct {
	*rand.Rand
	now       time.Duration // real time
	rates     []float64     // of the clocks: guardians', then holders'
	guardians []*lease.Guardian
	holders   []lease.Held
	row       struct {
		holder    int           // which guardian
		kept      time.Duration // real time of the last keeping
		suspended bool
	}
	questions []question
}

type question struct {
	holder   int
	asked    time.Duration // by the holder's clock
	reply    lease.Reply
	answered bool
}

func (w *world) clock(i int) time.Duration { return time.Duration(float64(w.now) * w.rates[i]) }

func (w *world) guardian() *lease.Guardian { return w.guardians[w.row.holder] }

// step does one thing that may happen at any time.
func (w *world) step() {
	i, of := w.IntN(len(w.guardians)), w.row.holder
	switch w.IntN(9) {
	case 0: // another guardian takes over, at any time: Postgres may have a clock that jumps
		if i != of && w.IntN(10) == 0 {
			w.guardians[i], w.row.holder, w.row.kept = lease.NewGuardian(w.clock(i), term), i, w.now
			w.guardians[i].Kept(w.clock(i), term)
		}
	case 1:
		w.guardian().Kept(w.clock(of), term)
		w.row.kept = w.now
	case 2:
		if w.IntN(5) == 0 {
			w.guardian().Distrust(w.clock(of), "a test")
		}
	case 3:
		w.guardian().Well(w.clock(of))
	case 4:
		w.act(of)
	case 5:
		h := w.IntN(len(w.holders))
		w.questions = append(w.questions, question{holder: h, asked: w.clock(len(w.guardians) + h)})
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
	default:
		w.now += time.Duration(w.Int64N(int64(300 * time.Millisecond)))
	}
}

// act does what the guardian in office asks for.
func (w *world) act(of int) {
	g := w.guardian()
	switch g.Next(w.clock(of)) {
	case lease.WriteSuspended:
		w.row.suspended = true
		g.Written(w.clock(of))
	case lease.WriteResuming:
		w.row.suspended = false
		g.Written(w.clock(of))
	case lease.Drain:
		g.Drained(w.clock(of), []string{"a"})
	case lease.Nothing:
	}
}

// TestNobodyBelievesTheOther plays guardians and holders at random, with clocks whose rates differ by as much as is allowed, delays of any length
// and guardians that wake up after they were deposed. While the cache is suspended nobody trusts it; while it is trusted nobody believes
// that it is suspended.
func TestNobodyBelievesTheOther(t *testing.T) {
	t.Parallel()
	trusted, suspended := 0, 0
	for seed := range uint64(300) {
		w := &world{Rand: rand.New(rand.NewPCG(seed, 1)), now: time.Hour}
		for range 5 {
			w.rates = append(w.rates, 1+lease.Drift*(w.Float64()-0.5))
		}
		for i := range 2 {
			w.guardians = append(w.guardians, lease.NewGuardian(w.clock(i), term))
		}
		w.holders = make([]lease.Held, 3)
		for range 2000 {
			w.step()
			phase, _, _ := w.guardian().State()
			for i, h := range w.holders {
				now := w.clock(len(w.guardians) + i)
				trusts, distrusts := h.Trusts(now, []string{"a"}), h.Suspended(now)
				if phase == lease.Suspended && trusts {
					t.Fatalf("seed %d: the cache is suspended, and holder %d trusts it", seed, i)
				}
				if phase == lease.Trusted && distrusts {
					t.Fatalf("seed %d: the cache is trusted, and holder %d believes that it is suspended", seed, i)
				}
				if trusts {
					trusted++
				}
				if distrusts {
					suspended++
				}
			}
		}
	}
	if trusted == 0 || suspended == 0 {
		t.Errorf("nobody ever trusted (%d) or nobody ever knew of a suspension (%d)", trusted, suspended)
	}
}
