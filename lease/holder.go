package lease

import (
	"time"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Held is what a process may believe. It does not change.
type Held struct {
	// Servers are those trusted, by their run ids.
	Servers []string
	// TrustedUntil and SuspendedUntil are when it ends, by the holder's clock.
	TrustedUntil, SuspendedUntil time.Duration
	// Settled is a time up to which everything that was committed is visible on the servers.
	Settled time.Duration
	// Strict are the prefixes of strict keys. Known says that the guardian has told them.
	Strict []string
	Known  bool
}

// Granted returns what may be believed after a reply to a question that was asked at a time. A reply that came late is worth less, and one that was
// overtaken nothing.
func (h *Held) Granted(asked time.Duration, r Reply) Held {
	until := asked + Length
	switch {
	case r.Trusted && until > h.TrustedUntil:
		return Held{Servers: r.Servers, TrustedUntil: until, Settled: asked - r.Behind, Strict: r.Strict, Known: true}
	case r.Suspended && until > h.SuspendedUntil:
		return Held{SuspendedUntil: until, Strict: r.Strict, Known: true}
	default:
		return *h
	}
}

// Trusts reports whether servers may be believed now: each must be named.
func (h *Held) Trusts(now time.Duration, servers []string) bool {
	return now < h.TrustedUntil && h.Names(servers)
}

// Names reports whether servers may be believed as long as the lease lasts.
func (h *Held) Names(servers []string) bool {
	return h.TrustedUntil > 0 && len(servers) > 0 && (named(h.Servers, servers) || mutant.On("run-id-compared"))
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

// Refuses reports whether it is known that a key is not strict: some of its writers may not see to it that strict reads are true.
func (h *Held) Refuses(key string) bool { return h.Known && !outbox.HasPrefix(h.Strict, key) }

// Within reports whether servers show now everything that was committed more than d ago.
func (h *Held) Within(now time.Duration, servers []string, d time.Duration) bool {
	return h.Trusts(now, servers) && slow(now-h.Settled) <= d
}

// Silent returns what may be believed after the office's row has said, in answer to a question that was asked at a time, that nobody trusts the cache.
func (h *Held) Silent(asked time.Duration) Held {
	return Held{SuspendedUntil: max(h.SuspendedUntil, asked+Length), Strict: h.Strict, Known: h.Known}
}

// Suspended reports whether it is known now that nobody believes the cache.
func (h *Held) Suspended(now time.Duration) bool { return now < h.SuspendedUntil }
