package reader

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/lease"
)

// WithinLeast is the least that Within can promise: how old a lease is when it is renewed, what the guardian needs to see that all is settled, and
// some room for both.
const WithinLeast = 2 * lease.RenewEvery

// BoundError says that a bound is less than can be proved.
type BoundError struct{ Asked time.Duration }

// Error says what can be had.
func (e *BoundError) Error() string {
	return fmt.Sprintf("reader: Within(%v): no less than %v can be proved; take a read with a token or a session instead", e.Asked, WithinLeast)
}

// ErrNoLeases says that a reader was asked for Within, and has no Config.Leases.
var ErrNoLeases = errors.New("reader: Within needs leases: make a lease.Client and give it as Config.Leases")

// Within asks for a value that includes every write which was committed more than d before the read began, whoever wrote it. The cache serves it while
// the process's lease proves that: everything that was committed by then is settled, on the servers that the connections lead to. Else the read goes to
// Postgres: while the guardian or NATS is away, after a server was replaced until it is repaired, and while writes cannot reach the cache. It costs
// no command more than any other read.
//
// It returns a *BoundError for less than WithinLeast: such a read would always go to Postgres.
func Within(d time.Duration) (Option, error) {
	if d < WithinLeast {
		return nil, &BoundError{Asked: d}
	}
	return func(asked *demand) { asked.within = d }, nil
}

// proven reports whether what these servers hold now is as new as is asked.
func (r *Raw) proven(asked demand, by *cache.Links) bool {
	if asked.within == 0 || mutant.On("within-proven") {
		return true
	}
	return r.cfg.Leases.Held().Within(lease.Now(), by.Runs, asked.within)
}

// same reports whether nobody else was connected since. One may have answered.
func (r *Raw) same(asked demand, by *cache.Links) bool {
	return asked.within == 0 || r.cache.Links() == by
}

// leased returns why the read cannot be had.
func (r *Raw) leased(asked demand) error {
	if asked.within > 0 && r.cfg.Leases == nil {
		return ErrNoLeases
	}
	return nil
}
