package lease

import (
	"time"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Held is what a process may believe. It does not change.
type Held struct {
	// Servers are those trusted, by their run ids.
	Servers []string
	// TrustedUntil and SuspendedUntil are when it ends, by the holder's clock.
	TrustedUntil, SuspendedUntil time.Duration
	// Settled is a time up to which everything that was committed is visible on the servers.
	Settled time.Duration
}

// Granted returns what may be believed after a reply to a question that was asked at a time. A reply that came late is worth less, and one that was
// overtaken nothing.
func (h Held) Granted(asked time.Duration, r Reply) Held {
	until := asked + Length
	switch {
	case r.Trusted && until > h.TrustedUntil:
		return Held{Servers: r.Servers, TrustedUntil: until, Settled: asked - r.Behind}
	case r.Suspended && until > h.SuspendedUntil:
		return Held{SuspendedUntil: until}
	default:
		return h
	}
}

// Trusts reports whether servers may be believed now: each must be named.
func (h Held) Trusts(now time.Duration, servers []string) bool {
	return now < h.TrustedUntil && len(servers) > 0 && (named(h.Servers, servers) || mutant.On("run-id-compared"))
}

func named(among, servers []string) bool {
	for _, s := range servers {
		found := false
		for _, one := range among {
			found = found || one == s
		}
		if !found {
			return false
		}
	}
	return true
}

// Within reports whether servers show now everything that was committed more than d ago.
func (h Held) Within(now time.Duration, servers []string, d time.Duration) bool {
	return h.Trusts(now, servers) && slow(now-h.Settled) <= d
}

// Suspended reports whether it is known now that nobody believes the cache.
func (h Held) Suspended(now time.Duration) bool { return now < h.SuspendedUntil }
