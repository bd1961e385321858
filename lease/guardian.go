package lease

import (
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Phase is what the guardian lets others believe. Package lease draws how one leads to the next.
type Phase string

const (
	// Suspending waits until every trust lease has run out.
	Suspending Phase = "suspending"
	// Suspended lets nobody believe the cache.
	Suspended Phase = "suspended"
	// Resuming waits until every suspension lease has run out.
	Resuming Phase = "resuming"
	// Draining waits until everything that was committed before is settled.
	Draining Phase = "draining"
	// Trusted lets everybody believe the cache.
	Trusted Phase = "trusted"
)

// Guardian decides what is granted. Its times are readings of one monotonic clock. It is not safe for concurrent use.
type Guardian struct {
	phase   Phase
	since   time.Duration
	reason  string
	alive   time.Duration // no lease that was granted lives longer
	office  time.Duration // until when the office is ours for certain
	written bool          // that the phase is Suspended, or is no more
	servers []string      // trusted ones
}

// NewGuardian begins a term. The guardian of the term before has kept its office before that for the last time, and believes it for the length of term
// at most; what it has granted runs out a lease's length later.
func NewGuardian(now, term time.Duration) *Guardian {
	g := &Guardian{phase: Suspending, since: now, reason: "a new guardian", alive: outlasts(now + slow(term))}
	if mutant.On("new-guardian-waits") {
		g.alive = now
	}
	return g
}

// Kept says that the office was kept by a statement that was sent at a time, for the length of term. Beyond that nothing is granted.
func (g *Guardian) Kept(sent, term time.Duration) { g.office = sent + term }

// State returns the phase, since when it lasts, and why the cache was distrusted last.
func (g *Guardian) State() (phase Phase, since time.Duration, reason string) {
	return g.phase, g.since, g.reason
}

func (g *Guardian) enter(now time.Duration, p Phase) {
	g.phase, g.since, g.written = p, now, false
}

// Distrust ends the trust: somebody could not settle, or a server is another one. It is safe at any time.
func (g *Guardian) Distrust(now time.Duration, reason string) {
	switch g.phase {
	case Suspending, Suspended:
	case Trusted:
		g.reason = reason
		g.enter(now, Suspending)
	default: // no trust lease lives: the way back is short
		g.reason = reason
		g.alive = min(g.alive, now)
		g.enter(now, Suspending)
	}
}

// Well says that the cache answers, on servers that are on record with nothing in doubt. It begins the way back to trust.
func (g *Guardian) Well(now time.Duration) {
	if g.phase == Suspended {
		g.enter(now, Resuming)
	}
}

// Action is what the guardian's owner has to do for it to go on.
type Action string

const (
	// Nothing is to be done but wait.
	Nothing Action = ""
	// WriteSuspended is to write down in Postgres that the cache is suspended, and to call Written after.
	WriteSuspended Action = "write suspended"
	// WriteResuming is to write down that it is suspended no more, and to call Written after.
	WriteResuming Action = "write resuming"
	// Drain is to see to it that everything that was committed before is settled, and to call Drained after.
	Drain Action = "drain"
)

// Next returns what is to be done.
func (g *Guardian) Next(now time.Duration) Action {
	switch {
	case g.phase == Suspending && (now >= g.alive || mutant.On("suspending-waits")):
		return WriteSuspended
	case g.phase == Resuming && !g.written:
		return WriteResuming
	case g.phase == Resuming && (now >= g.alive || mutant.On("resuming-waits")):
		g.enter(now, Draining)
		return Drain
	case g.phase == Draining:
		return Drain
	default:
		return Nothing
	}
}

// Written says that what Next asked for stands in Postgres. Whoever has read there that the cache is suspended believes it for a lease's length.
func (g *Guardian) Written(now time.Duration) {
	switch g.phase {
	case Suspending:
		g.enter(now, Suspended)
	case Resuming:
		g.written, g.alive = true, max(g.alive, outlasts(now))
	}
}

// Drained says that everything that was committed before the draining began is settled, on these servers, which are on record with nothing in doubt.
func (g *Guardian) Drained(now time.Duration, servers []string) {
	if g.phase == Draining {
		g.servers = slices.Clone(servers)
		g.enter(now, Trusted)
	}
}

// Ask answers somebody who asks for a lease. settled is up to when everything that was committed is known to be settled. While nothing is
// granted ok is false.
func (g *Guardian) Ask(now, settled time.Duration) (r Reply, ok bool) {
	if now >= g.office && !mutant.On("office-ends") {
		return Reply{}, false
	}
	switch g.phase {
	case Trusted:
		r = Reply{Trusted: true, Servers: g.servers, Behind: max(0, now-settled)}
	case Suspended:
		r = Reply{Suspended: true}
	default:
		return Reply{}, false
	}
	g.alive = max(g.alive, outlasts(now))
	return r, true
}

// Reply is what is granted, for Length from when it was asked for.
type Reply struct {
	// Trusted says that what is committed and settled is visible in the cache, on these servers, by their run ids.
	Trusted bool     `json:"trusted,omitempty"`
	Servers []string `json:"servers,omitempty"`
	// Behind is how old the oldest commit may be that is not settled, in nanoseconds.
	Behind time.Duration `json:"behind,omitempty"`
	// Suspended says that nobody believes the cache.
	Suspended bool `json:"suspended,omitempty"`
}
