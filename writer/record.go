package writer

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Pending is what Record has written into a transaction that its caller has yet to commit.
type Pending struct {
	w *Writer
	committed
}

// explain says what the failure of a caller's transaction means. What has changed is read for the next one, but not by this one, which has a connection.
func (w *Writer) explain(err error) error {
	err = outbox.Explain(err)
	if _, refused := errors.AsType[*StrictError](err); refused || errors.Is(err, outbox.ErrStrictChanged) {
		rouse(w.behind)
	}
	return err
}

// Record writes the changes' records into the caller's own transaction. Call it last, right before the commit: it holds the
// keys' row locks until then. After the commit call Apply; a process that dies in between leaves the keys to a relay.
// A deadlock, a serialization failure and outbox.ErrStrictChanged are the caller's to retry, in another transaction.
func (w *Writer) Record(ctx context.Context, tx pgx.Tx, changes ...Change) (*Pending, error) {
	leave, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := w.check(changes); err != nil {
		return nil, err
	}
	var b pgx.Batch
	done, err := w.record(ctx, tx, changes, &b)
	if err != nil {
		return nil, w.explain(err)
	}
	if b.Len() > 0 {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return nil, w.explain(err)
		}
	}
	return &Pending{w: w, committed: done}, nil
}

// Apply brings the changes to the cache once the caller has committed. It asks Postgres whether that is so, for a value
// that was rolled back must never be served: ErrNotCommitted says it is not, and that the cache was not touched. Any
// other error is Postgres's: the write may be committed, and a relay settles it if so. A write to a strict key may be acknowledged to others only after Apply
// has returned no error; it may return an *UnsettledError.
func (p *Pending) Apply(ctx context.Context) (Result, error) {
	leave, err := p.w.enter()
	if err != nil {
		return Result{}, err
	}
	defer leave()
	if len(p.records) == 0 {
		return Result{}, nil
	}
	keys := make([]string, len(p.records))
	for i, r := range p.records {
		keys[i] = r.Key
	}
	latest, err := outbox.Latest(ctx, p.w.db, keys)
	if err != nil {
		return Result{}, err
	}
	if mutant.On("apply-only-committed") {
		return p.settle(ctx)
	}
	committed := false
	for _, r := range p.records {
		if latest[r.Key] < r.Version {
			return Result{}, ErrNotCommitted
		}
		committed = committed || latest[r.Key] == r.Version
	}
	if !committed {
		return p.w.acknowledge(ctx, p.leave(), p.w.open(p.committed, make([]cache.Reply, len(p.records))))
	}
	return p.settle(ctx)
}

func (p *Pending) settle(ctx context.Context) (Result, error) {
	result, open := p.w.settle(ctx, p.committed)
	return p.w.acknowledge(ctx, result, open)
}

// leave reports keys that all have newer versions: whether this transaction has committed cannot be seen from them, and
// does not matter to the cache, which gets the newer ones.
func (p *Pending) leave() Result {
	result := Result{Keys: make([]KeyResult, len(p.records))}
	for i, r := range p.records {
		result.Keys[i] = KeyResult{Key: r.Key, Version: r.Version, Outcome: Superseded}
	}
	return result
}
