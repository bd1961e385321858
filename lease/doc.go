// Package lease lets readers and writers trust the cache for a while: leases in the sense of Gray and Cheriton ("Leases: an efficient
// fault-tolerant mechanism for distributed file cache consistency", 1989). A fault may cost speed, never correctness.
//
// The guardian, which is one of the relays, grants them over NATS. A process holds one for its cache and renews it in the background, so
// a read or a write costs no command more. A lease is counted from the moment at which it was asked for, so it ends at its holder before
// the guardian believes it to have ended, whatever the network does. Only the rates of monotonic clocks are trusted, and those
// within Drift of each other: no wall clock, and no clock of another machine.
//
// The guardian's phases:
//
//	    elected
//	       │
//	       ▼          every trust lease has run out;
//	┌─ Suspending ───── and it is written down ─────▶ Suspended
//	│      ▲                                              │
//	│      │ distrust:                                    │ the cache is well;
//	│      │ cannot settle, server changed                │ and it is written down
//	│      │                                              ▼
//	│   Trusted ◀──── drained ──── Draining ◀───────── Resuming
//	│                                  every suspension
//	│                                  lease has run out
//	│
//	└─ a new term begins here, for it cannot know what the old one has granted
//
// Trusted grants trust leases, Suspended grants suspension leases, and the other phases grant nothing: there, nobody new may believe
// either. A trust lease names the servers that hold the cache, and says up to when everything that was committed is visible there. A
// suspension lease says that nobody may believe the cache, so that nobody needs to make it right before they go on.
//
// The machines of the guardian and of the holder are pure: time and messages are passed in. What talks to NATS and Postgres is Client, here,
// and the guardian of package relay.
package lease

import "time"

const (
	// Length is how long a lease lasts, from when it was asked for.
	Length = time.Second
	// RenewEvery is how often a holder asks anew.
	RenewEvery = Length / 4
	// Drift is the part by which one monotonic clock may run faster than another: a hundred times more than crystals do.
	Drift = 0.01
)

// outlasts is when a lease has ended that was granted now, at the latest, by the guardian's clock.
func outlasts(now time.Duration) time.Duration { return now + slow(Length) }

// slow is how long a time may last by another clock.
func slow(d time.Duration) time.Duration { return d + time.Duration(2*Drift*float64(d)) }
