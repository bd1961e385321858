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
	servers []string      // those trusted, or about to be: being drained
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

// Kept says that the office was kept by a statement that was sent at a time, for the length of term. Beyond that nothing is granted. If it had lapsed
// before, somebody may have found out (Silence) and believe that nobody trusts the cache: then trust begins anew.
func (g *Guardian) Kept(sent, term time.Duration) {
	if sent >= g.office && !mutant.On("office-lapses") {
		g.Distrust(sent, "the guardian was out of office")
	}
	g.office = sent + term
}

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

// Well says that the cache answers, on these servers, which are on record with nothing in doubt. It begins the way back to trust.
func (g *Guardian) Well(now time.Duration, servers []string) {
	if g.phase == Suspended {
		g.servers = slices.Clone(servers)
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

// Due returns when Next may have something to do without anything else happening, 0 for at once.
func (g *Guardian) Due(now time.Duration) time.Duration {
	if g.phase == Suspending || g.phase == Resuming {
		return max(0, g.alive-now)
	}
	return time.Hour
}

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

// Written says that what Next asked for stands in Postgres. Whoever has read there that the cache is suspended believes it for a lease's length. If the phase
// has changed since Next it says nothing.
func (g *Guardian) Written(now time.Duration, what Action) {
	switch {
	case g.phase == Suspending && what == WriteSuspended:
		g.enter(now, Suspended)
	case g.phase == Resuming && what == WriteResuming:
		g.written, g.alive = true, max(g.alive, outlasts(now))
	}
}

// Drained says that everything that was committed before the draining began is settled, on these servers, which are on record with nothing in doubt.
func (g *Guardian) Drained(now time.Duration, servers []string) {
	switch {
	case g.phase != Draining:
	case len(servers) != len(g.servers) || !named(g.servers, servers):
		g.Distrust(now, "the cache is another server")
	default:
		g.enter(now, Trusted)
	}
}

// Holds reports whether the office is ours for certain.
func (g *Guardian) Holds(now time.Duration) bool { return now < g.office || mutant.On("office-ends") }

// Vouch reports whether nobody can be served an older value of something that is committed by now, and is settled on these servers, nil for none. They were
// asked by the guardian. It is true of the moment, and all that comes after keeps it so: it is no lease.
func (g *Guardian) Vouch(now time.Duration, servers []string) bool {
	if !g.Holds(now) {
		return false
	}
	switch g.phase {
	case Suspended, Resuming: // nobody trusts the cache, and what is committed by now will be drained
		return true
	case Draining, Trusted:
		return len(servers) > 0 && named(g.servers, servers) || mutant.On("vouch-settled")
	default:
		return false
	}
}

// Ask answers somebody who asks for a lease. settled is up to when everything that was committed is known to be settled. While nothing is
// granted ok is false.
func (g *Guardian) Ask(now, settled time.Duration) (r Reply, ok bool) {
	if !g.Holds(now) {
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
	// Strict are the prefixes of the keys whose writers all see to it that strict reads are true.
	Strict []string `json:"strict,omitempty"`
}

// Version is one version of a key.
type Version struct {
	Key     string `json:"key"`
	Version int64  `json:"version"`
}
