package lease

import (
	"time"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// proofMost is how many readings a Proof keeps. Thinned out, they reach back far enough for any outage.
const proofMost = 1024

// Proof finds up to when everything that was committed is settled, without a look at a wall clock. The guardian reads the highest version that was
// drawn, again and again: what was committed before such a reading has a version up to that one. Once no record of such a version waits, all of
// it is settled.
type Proof struct {
	readings []reading // oldest first
	settled  time.Duration
	known    bool
}

type reading struct {
	at    time.Duration
	drawn int64
}

// Drew notes a reading of the highest version drawn, which began at a time.
func (p *Proof) Drew(at time.Duration, drawn int64) {
	if len(p.readings) >= proofMost {
		p.thin()
	}
	p.readings = append(p.readings, reading{at, drawn})
}

// thin keeps every other reading: the proof gets coarser, not wrong.
func (p *Proof) thin() {
	kept := p.readings[:0]
	for i, r := range p.readings {
		if i%2 == 0 {
			kept = append(kept, r)
		}
	}
	p.readings = kept
}

// Waits notes, of a snapshot that is later than every reading, the lowest version of a record that waits in it, and false when none does.
func (p *Proof) Waits(lowest int64, any bool) {
	n := 0
	for n < len(p.readings) && (!any || p.readings[n].drawn < lowest || mutant.On("proof-by-version")) {
		n++
	}
	if n > 0 {
		p.settled, p.known = p.readings[n-1].at, true
		p.readings = append(p.readings[:0], p.readings[n:]...)
	}
}

// Settled returns up to when everything that was committed is settled, and false while nothing is known.
func (p *Proof) Settled() (time.Duration, bool) { return p.settled, p.known }
