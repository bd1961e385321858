package writer

import (
	"context"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// settle applies committed records to the cache and hands their versions to the background: to be retired where they
// are settled, to be announced to the relays where not. The write is committed, so the end of ctx no longer matters; the cache's own deadline does.
// It returns which of the strict keys' versions are still open.
func (w *Writer) settle(ctx context.Context, c committed) (Result, []lease.Version) {
	records := c.records
	ctx, span := w.trace.Start(context.WithoutCancel(ctx), applySpan)
	changes := make([]cache.Change, len(records))
	for i, r := range records {
		changes[i] = cache.Change{Key: r.Key, Version: r.Version, Kind: kinds[r.Kind], Payload: r.Payload, TTL: r.TTL, Allocate: r.Allocate}
	}
	began := time.Now()
	replies := w.cache.Apply(ctx, changes...)
	w.allocate(ctx, changes, replies)
	result := Result{Keys: make([]KeyResult, len(records))}
	for i, r := range records {
		result.Keys[i] = KeyResult{Key: r.Key, Version: r.Version, Outcome: outcome(replies[i]), Err: replies[i].Err}
		w.settler.add(r.Key, r.Version, replies[i])
	}
	w.counts.applied(result, began)
	ended(span, result, nil)
	return result, w.open(c, replies)
}

// allocateTimeout bounds the look at Postgres that lets a value into an empty key. The write is committed and settled by then;
// its caller should not wait long for a connection only to have it cached.
const allocateTimeout = 250 * time.Millisecond

// allocate stores the values of keys that the cache did not hold, where the version is still the key's latest: a value
// may be stored without an older one to replace only by whoever read Postgres after the placeholder was left.
func (w *Writer) allocate(ctx context.Context, changes []cache.Change, replies []cache.Reply) {
	var at []int
	var keys []string
	for i, reply := range replies {
		if reply.Outcome == cache.Check {
			at, keys = append(at, i), append(keys, changes[i].Key)
		}
	}
	if len(at) == 0 {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, allocateTimeout)
	defer cancel()
	latest, err := outbox.Latest(bounded, w.db, keys)
	if err != nil {
		return // settled as it is: the next read loads the value
	}
	var again []cache.Change
	var where []int
	for _, i := range at {
		c := changes[i]
		if latest[c.Key] != c.Version && !mutant.On("check-before-allocate") {
			continue // the newer write settles the key
		}
		c.Ticket, c.Allocate = replies[i].Ticket, false
		again, where = append(again, c), append(where, i)
	}
	if len(again) == 0 {
		return
	}
	for j, reply := range w.cache.Apply(ctx, again...) {
		replies[where[j]] = reply
	}
}

func outcome(r cache.Reply) Outcome {
	switch r.Outcome {
	case cache.Applied:
		return Applied
	case cache.Superseded:
		return Superseded
	case cache.Failed:
		return Deferred
	default:
		return Settled
	}
}
