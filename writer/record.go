package writer

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Pending is what Record has written into a transaction that its caller has yet to commit.
type Pending struct {
	w       *Writer
	records []outbox.Record
}

// Record writes the changes' records into the caller's own transaction. Call it last, right before the commit: it holds the
// keys' row locks until then. After the commit call Apply; a process that dies in between leaves the keys to a relay.
// A deadlock or serialization failure is the caller's to retry.
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
	records, err := w.record(ctx, tx, changes, &b)
	if err != nil {
		return nil, err
	}
	if b.Len() > 0 {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return nil, outbox.Explain(err)
		}
	}
	return &Pending{w: w, records: records}, nil
}

// Apply brings the changes to the cache once the caller has committed. It asks Postgres whether that is so, for a value
// that was rolled back must never be served: ErrNotCommitted says it is not, and that the cache was not touched. Any
// other error is Postgres's: the write may be committed, and a relay settles it if so.
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
		return p.w.settle(ctx, p.records), nil
	}
	committed := false
	for _, r := range p.records {
		if latest[r.Key] < r.Version {
			return Result{}, ErrNotCommitted
		}
		committed = committed || latest[r.Key] == r.Version
	}
	if !committed {
		return p.leave(), nil
	}
	return p.w.settle(ctx, p.records), nil
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
