package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
)

// attempts is how often a transaction is run that Postgres ends for a deadlock or a serialization failure.
const attempts = 10

// Tx is the transaction of a Write. Its embedded pgx.Tx runs statements; Change declares what they mean to the cache.
type Tx struct {
	pgx.Tx
	w       *Writer
	changes []Change
}

// Change declares what the transaction does to cache keys. Of two changes of one key the later counts. A key that cannot be a key or
// a payload over the limit is a typed error, and the transaction should be given up.
func (tx *Tx) Change(changes ...Change) error {
	if err := tx.w.check(changes); err != nil {
		return err
	}
	tx.changes = append(tx.changes, changes...)
	return nil
}

// Begin begins a savepoint. Changes that are declared within it are forgotten when it is rolled back.
func (tx *Tx) Begin(ctx context.Context) (pgx.Tx, error) { return beginSavepoint(ctx, tx.Tx, tx) }

// Commit returns ErrOwnTx.
func (tx *Tx) Commit(context.Context) error { return ErrOwnTx }

// Rollback returns ErrOwnTx.
func (tx *Tx) Rollback(context.Context) error { return ErrOwnTx }

// Write runs do in a transaction of its own, together with the changes named here and those that do declares, commits
// and applies them to the cache. do may run again after a deadlock or a serialization failure.
//
// The changes named here are checked before the transaction begins. The error is do's, Postgres's, or ErrUnknown; with any other
// error than ErrUnknown, or *UnsettledError for a strict key, nothing is committed. A cache that is down is no error: see Result.Deferred. The end of ctx ends
// the write up to its COMMIT; after it, it ends no more than the wait that a strict key may need.
func (w *Writer) Write(ctx context.Context, do func(ctx context.Context, tx *Tx) error, changes ...Change) (result Result, err error) {
	traced, span := w.trace.Start(ctx, writeSpan)
	defer func() { ended(span, result, err) }()
	leave, err := w.enter()
	if err != nil {
		return Result{}, err
	}
	defer leave()
	if err := w.check(changes); err != nil {
		return Result{}, err
	}
	var done committed
	err = w.retry(traced, func() error {
		var err error
		done, err = w.commit(traced, do, changes)
		return err
	})
	if w.counts.ended(err) != nil {
		return Result{}, err
	}
	result, open := w.settle(traced, done)
	return w.acknowledge(traced, result, open)
}

// retry runs a transaction again, after a growing pause, while Postgres ends it for the sake of others, or because the strict prefixes have changed.
func (w *Writer) retry(ctx context.Context, run func() error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(2*time.Millisecond), backoff.WithMaxInterval(200*time.Millisecond), backoff.WithMaxElapsedTime(0))
	return backoff.Retry(func() error {
		err := run()
		again, failure := w.overtaken(ctx, err)
		if again {
			return err
		}
		if failure != nil {
			return backoff.Permanent(failure)
		}
		if err != nil && (!retryable(err) || errors.Is(err, ErrUnknown)) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(backoff.WithMaxRetries(pause, attempts-1), ctx))
}

// commit runs one attempt and returns what it committed.
func (w *Writer) commit(ctx context.Context, do func(context.Context, *Tx) error, changes []Change) (done committed, err error) {
	ctx, span := w.trace.Start(ctx, commitSpan)
	defer func() { traces.End(span, err) }()
	conn, err := w.db.Acquire(ctx)
	if err != nil {
		return done, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer conn.Release()
	defer rollback(ctx, conn)
	inner := &opening{conn: conn, ctx: ctx}
	tx := &Tx{Tx: inner, w: w, changes: append([]Change(nil), changes...)}
	if err := do(ctx, tx); err != nil {
		return done, err
	}
	if conn.Conn().PgConn().IsBusy() {
		return done, errors.New("writer: do has left rows open: close them, or scan the row")
	}
	if _, err := inner.begin(ctx); err != nil { // do may have passed over that
		return done, fmt.Errorf("beginning the transaction: %w", err)
	}
	if conn.Conn().PgConn().TxStatus() == 'I' {
		return done, ErrOwnTx // ended by SQL; the record would be committed apart from the row
	}
	var b pgx.Batch
	if mutant.On("record-in-transaction") {
		if err := inner.Commit(ctx); err != nil {
			return done, err
		}
	}
	if done, err = w.record(ctx, inner, tx.changes, &b); err != nil {
		return done, err
	}
	return done, w.sendCommit(ctx, conn, &b)
}

// rollback ends the transaction if it is still open. A connection that cannot even do that is dropped by the pool.
func rollback(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() || conn.Conn().PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, "rollback")
}

// record queues the statements that write the records; when a payload has to be computed it takes the locks first.
func (w *Writer) record(ctx context.Context, tx pgx.Tx, changes []Change, b *pgx.Batch) (committed, error) {
	records, strict := w.records(changes), *w.strict.Load()
	w.sign(ctx, records)
	done := committed{records, strict}
	if len(records) == 0 {
		return done, nil
	}
	if err := w.allowed(strict, records...); err != nil {
		return done, err
	}
	if !needsRefresh(changes) {
		w.omit(records)
		outbox.Append(b, records, w.cfg.grace(), strict)
		return done, nil
	}
	if mutant.On("refresh-after-lock") {
		if err := w.refresh(ctx, tx, changes, records, outbox.Locked{}); err != nil {
			return done, err
		}
	}
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = r.Key
	}
	locked, err := outbox.Lock(ctx, tx, keys, strict)
	if err != nil {
		return done, err
	}
	if !mutant.On("refresh-after-lock") {
		if err := w.refresh(ctx, tx, changes, records, locked); err != nil {
			invalidateAll(ctx, tx, locked, records)
			return done, err
		}
	}
	w.omit(records)
	locked.Insert(b, records, w.cfg.grace())
	return done, nil
}

// invalidateAll records that the values of locked keys are not known, for a caller of Record who commits although it has failed. It fails only where the transaction is lost, or
// the connection, and then nobody can commit.
func invalidateAll(ctx context.Context, tx pgx.Tx, locked outbox.Locked, records []outbox.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for i := range records {
		records[i].Kind, records[i].Payload = outbox.Invalidate, nil
	}
	var b pgx.Batch
	locked.Insert(&b, records, 0)
	_ = tx.SendBatch(ctx, &b).Close()
}

func needsRefresh(changes []Change) bool {
	for _, c := range changes {
		if c.Refresh != nil {
			return true
		}
	}
	return false
}

// sendCommit sends the last statements and the COMMIT in one round trip.
//
// When ctx ends while it waits (for a row's lock, say) the statement is cancelled in the server: then the outcome is
// known, which it would not be if the connection were cut. That cancel may come late and hit whatever the connection does
// next, so the connection is given up.
func (w *Writer) sendCommit(ctx context.Context, conn *pgxpool.Conn, b *pgx.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	committed := false
	b.Queue("commit").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.cfg.commitTimeout())
	defer cancel()
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		_ = conn.Conn().PgConn().CancelRequest(bounded)
	})
	err := conn.SendBatch(bounded, b).Close()
	if !stop() {
		<-cancelled
		_ = conn.Conn().Close(bounded)
	}
	switch {
	case committed:
		return nil
	case err == nil:
		return pgx.ErrTxCommitRollback
	default:
		return commitError(ctx, err)
	}
}
