package reader

import (
	"context"
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
	return fmt.Sprintf("reader: Within(%v): no less than %v can be proved; take Strict, or a read with a token or a session instead", e.Asked, WithinLeast)
}

// StrictError says that a key was to be read with Strict, and is not strict: some of its writers may not see to it.
type StrictError struct{ Key string }

// Error says what to do.
func (e *StrictError) Error() string {
	return fmt.Sprintf(`reader: Strict: the key %q is not strict, or not yet: declare a prefix of it, with "tidelock strict add" or outbox.DeclareStrict, and wait until it is in force`, e.Key)
}

var (
	// ErrNoLeases says that a reader was asked for Within or Strict, and has no Config.Leases.
	ErrNoLeases = errors.New("reader: Within and Strict need leases: make a lease.Client and give it as Config.Leases")
	// ErrUnsettled says that a row was read, but that Strict may not return it: another strict read could still be served an older value from the
	// cache, and nobody could be asked within Config.SettleTimeout. It is the cause in a *LoadError.
	ErrUnsettled = errors.New("others may still be served an older value")
)

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

// Strict asks for a read that is linearizable with every write of its key and every other strict read of it: it returns the latest value that was acknowledged, or
// returned to anybody, before it began. The key must begin with a prefix that is declared strict (outbox.DeclareStrict), else there is a *StrictError.
//
// The cache serves it, at the cost of a default read, while the process holds a lease that names the servers that its connections lead to. Else it is
// read from Postgres, and returned once no other strict read can be served an older value: at once if nobody trusts the cache (Valkey is down, say) or
// if the fill of the cache says so, or when the guardian has seen to it. That may take a little more than a second right after Valkey has gone away; and
// Config.SettleTimeout at most, after which there is a *LoadError with ErrUnsettled.
func Strict() Option {
	return func(asked *demand) { asked.strict = true }
}

// leased returns the lease that a read goes by, or why the read cannot be had.
func (r *Raw) leased(asked demand, keys ...string) (*lease.Held, error) {
	if !asked.leased() {
		return nil, nil
	}
	if r.cfg.Leases == nil {
		return nil, ErrNoLeases
	}
	held := r.cfg.Leases.Held()
	for _, key := range keys {
		if asked.strict && held.Refuses(key) {
			return nil, &StrictError{Key: key}
		}
	}
	return held, nil
}

// proof is what an answer of the cache is believed by: the lease that was held before it was asked, and whom the connections led to.
type proof struct {
	held  *lease.Held
	links *cache.Links
}

// prove begins a proof, before the cache is asked. It reports whether that is of any use.
func (r *Raw) prove(asked demand, held *lease.Held) (p proof, useful bool) {
	if !asked.leased() {
		return p, true
	}
	p = proof{held: held, links: r.cache.Links()}
	if asked.strict && mutant.On("lease-before-answer") {
		return p, p.held.Trusts(lease.Now(), p.links.Runs)
	}
	return p, p.held.Names(p.links.Runs) || asked.within > 0 && mutant.On("within-proven")
}

// holds reports, once the cache has answered, whether it may be believed: the lease that was held before it was asked is still held, and nobody else was
// connected since, who may have answered. So the answer is not too old; and it is not too new either, for whoever asks afterwards is shown the same.
func (r *Raw) holds(asked demand, p proof) bool {
	switch {
	case !asked.leased():
		return true
	case asked.strict && mutant.On("lease-before-answer"), !asked.strict && mutant.On("within-proven"):
		return true
	case asked.strict && mutant.On("lease-after-answer"):
		p = proof{held: r.cfg.Leases.Held(), links: r.cache.Links()}
	case r.cache.Links() != p.links:
		return false
	}
	now := lease.Now()
	return p.held.Trusts(now, p.links.Runs) && (asked.within == 0 || p.held.Within(now, p.links.Runs, asked.within))
}

// settle waits until no strict read can be served anything older than what was loaded. What cannot be made certain gets an error.
func (r *Raw) settle(ctx context.Context, keys []string, found map[string]landing) {
	if mutant.On("fill-awaited") {
		return
	}
	held, now := r.cfg.Leases.Held(), lease.Now()
	var open []lease.Version
	for _, key := range keys {
		l := found[key]
		switch {
		case l.err != nil:
		case l.unseen != nil:
			l.err = &LoadError{Keys: []string{key}, Err: l.unseen}
			found[key] = l
		case !held.Suspended(now) && !(l.server != "" && held.Trusts(now, []string{l.server})):
			open = append(open, lease.Version{Key: key, Version: l.seen})
		}
	}
	if len(open) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.settleTimeout())
	defer cancel()
	if err := r.cfg.Leases.Settle(ctx, open); err != nil {
		for _, v := range open {
			found[v.Key] = landing{err: &LoadError{Keys: []string{v.Key}, Err: fmt.Errorf("%w: %w", ErrUnsettled, err)}}
		}
	}
}
