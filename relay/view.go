package relay

import (
	"sync/atomic"
	"time"

	"github.com/tidelock-cache/tidelock/lease"
)

// granted counts what a relay has done as the guardian.
type granted struct {
	trusted, suspended, calls atomic.Int64
}

// View is what the guardian lets others believe at a moment.
type View struct {
	Term  int64
	Phase lease.Phase
	// For is how long the phase lasts, Reason why the cache was distrusted the last time.
	For    time.Duration
	Reason string
	// Behind is how old the oldest commit may be that is not known to be settled, 0 while nothing is known.
	Behind time.Duration
}

// Guardian returns what this relay lets others believe of the cache, and false while it is not the guardian. It asks nobody.
func (r *Relay) Guardian() (View, bool) {
	t := r.guarding.Load()
	if t == nil {
		return View{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := lease.Now()
	if t.machine == nil || !t.machine.Holds(now) {
		return View{}, false
	}
	phase, since, reason := t.machine.State()
	v := View{Term: t.office.Term, Phase: phase, For: now - since, Reason: reason}
	if settled, known := t.proof.Settled(); known {
		v.Behind = now - settled
	}
	return v, true
}
