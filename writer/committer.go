package writer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// committer takes whatever is queued, commits it as a group, and takes what has gathered meanwhile. So groups grow with
// the load by themselves, and a lone Put goes at once.
func (w *Writer) committer() {
	for {
		select {
		case <-w.stop:
			return
		case first := <-w.puts:
			w.commitGroup(w.gather(first))
		}
	}
}

// gather lets whoever else is about to put come along: callers of one group go on at the same moment, and the first of them would be taken by itself. A lone
// Put waits for nobody.
func (w *Writer) gather(first *queued) []*queued {
	group := w.join([]*queued{first})
	for n := 0; n < len(group) && int64(len(group)) < min(w.putting.Load(), int64(w.cfg.groupMax())); group = w.join(group) {
		n = len(group)
		runtime.Gosched()
	}
	return group
}

// join adds those who wait.
func (w *Writer) join(group []*queued) []*queued {
	for len(group) < w.cfg.groupMax() {
		select {
		case q := <-w.puts:
			group = append(group, q)
		default:
			return group
		}
	}
	return group
}

// commitGroup commits all Puts of a group. When a statement fails the transaction is lost, so the rest goes again without
// it; when a second one fails, or the culprit cannot be told, each goes in a transaction of its own. A statement that
// waits for somebody's lock must not keep its neighbours waiting, nor their locks, nor the committer: it is tried again by itself.
func (w *Writer) commitGroup(group []*queued) {
	slices.SortStableFunc(group, func(a, b *queued) int { return cmp.Compare(a.put.Key, b.put.Key) })
	for range 2 {
		if group = present(group); len(group) == 0 {
			return
		}
		alone := len(group) == 1
		ctx, failed, err := w.run(group, false)
		switch {
		case err == nil:
			w.finish(ctx, group)
			return
		case alone && lockTimeout(err):
			w.work.Go(func() { w.commitWaiting(group[0]) })
			return
		case errors.Is(err, ErrUnknown) || lost(err) || alone:
			failAll(group, err)
			return
		case failed == nil:
			w.commitEach(group)
			return
		}
		group = slices.DeleteFunc(group, func(q *queued) bool { return q == failed })
		if lockTimeout(err) {
			w.work.Go(func() { w.commitWaiting(failed) })
			continue
		}
		failed.fail(err)
	}
	w.commitEach(group)
}

// commitEach commits each Put in a transaction of its own, a few at a time, while the committer goes on. Any of them may be
// one that waits for a lock, which must not keep the next from its turn.
func (w *Writer) commitEach(group []*queued) {
	for _, q := range group {
		w.work.Go(func() {
			if err := w.commitAlone(q, w.alone, false); lockTimeout(err) {
				w.commitWaiting(q)
			} else if err != nil {
				q.fail(err)
			}
		})
	}
}

// commitWaiting commits a Put that waits for a lock, for as long as it may take.
func (w *Writer) commitWaiting(q *queued) {
	if err := w.commitAlone(q, w.waiting, true); err != nil {
		q.fail(err)
	}
}

// commitAlone commits one Put once there is a slot for it. An error is the caller's to pass on.
func (w *Writer) commitAlone(q *queued, slots chan struct{}, patient bool) error {
	slots <- struct{}{}
	defer func() { <-slots }()
	one := present([]*queued{q})
	if len(one) == 0 {
		return nil
	}
	ctx, _, err := w.run(one, patient)
	if err != nil {
		return err
	}
	w.finish(ctx, one)
	return nil
}

// present leaves out, with its context's error, whoever has gone before anything was done for it.
func present(group []*queued) []*queued {
	return slices.DeleteFunc(group, func(q *queued) bool {
		err := q.ctx.Err()
		if err != nil {
			q.fail(err)
		}
		return err != nil
	})
}

func failAll(group []*queued, err error) {
	for _, q := range group {
		q.fail(err)
	}
}

// finish settles a committed group, in the context that run gave it, while the committer goes on with the next.
func (w *Writer) finish(ctx context.Context, group []*queued) {
	w.work.Go(func() {
		defer trace.SpanFromContext(ctx).End()
		w.counts.groups.Observe(float64(len(group)))
		records, of := distinct(group)
		result, open := w.settle(ctx, committed{records, group[0].strict})
		values := make(map[string][]byte, len(records))
		for _, q := range group {
			values[q.put.Key] = q.value
		}
		waiting := slices.DeleteFunc(group, func(q *queued) bool {
			q.result = Result{Keys: []KeyResult{result.Keys[of[q.put.Key]]}, Payload: values[q.put.Key]}
			settled := !slices.ContainsFunc(open, func(v lease.Version) bool { return v.Key == q.put.Key })
			if settled {
				close(q.done)
			}
			return settled
		})
		err := w.close(ctx, open)
		for _, q := range waiting {
			if err != nil {
				q.err = &UnsettledError{Result: q.result, Err: err}
			}
			close(q.done)
		}
	})
}

// distinct returns one record a key, the last: several Puts of one key in one transaction are one change to the cache.
func distinct(group []*queued) ([]outbox.Record, map[string]int) {
	of := make(map[string]int, len(group))
	var records []outbox.Record
	for _, q := range group {
		if i, twice := of[q.put.Key]; twice {
			records[i] = q.record
			continue
		}
		of[q.put.Key] = len(records)
		records = append(records, q.record)
	}
	return records, of
}

// run commits the group in one transaction, again while Postgres ends it for the sake of others. A patient one waits for locks as
// long as it may take. On an error it names the Put whose statement failed, nil if it cannot tell; else the group's span goes on in ctx.
func (w *Writer) run(group []*queued, patient bool) (ctx context.Context, failed *queued, err error) {
	ctx, span := w.traceGroup(group)
	bounded, cancel := context.WithTimeout(ctx, w.cfg.commitTimeout())
	defer cancel()
	err = w.retry(bounded, func() error {
		failed, err = w.runOnce(bounded, group, patient)
		return err
	})
	if err != nil {
		traces.End(span, err)
	}
	return ctx, failed, err
}

func (w *Writer) runOnce(ctx context.Context, group []*queued, patient bool) (failed *queued, err error) {
	ctx, span := w.trace.Start(ctx, commitSpan)
	defer func() { traces.End(span, err) }()
	conn, err := w.db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer conn.Release()
	defer rollback(ctx, conn)
	strict := *w.strict.Load()
	for _, q := range group {
		if err := w.allowed(strict, outbox.Record{Key: q.put.Key}); err != nil {
			return q, err
		}
	}
	if failed, err := w.statements(ctx, conn, group, patient); err != nil {
		return failed, err
	}
	records, of := distinct(group)
	w.omit(records)
	var b pgx.Batch
	outbox.Append(&b, records, w.cfg.grace(), strict)
	if err := w.sendCommit(ctx, conn, &b); err != nil {
		return nil, err
	}
	for _, q := range group {
		q.record, q.strict = records[of[q.put.Key]], strict
	}
	return nil, nil
}

// statements runs BEGIN and every Put's statement in one round trip. An argument may have a method that panics: that is its
// caller's affair, but on this goroutine nobody could recover it.
func (w *Writer) statements(ctx context.Context, conn *pgxpool.Conn, group []*queued, patient bool) (failed *queued, err error) {
	defer func() {
		if p := recover(); p != nil {
			failed, err = nil, fmt.Errorf("encoding the arguments: panic: %v", p)
		}
	}()
	var b pgx.Batch
	opening := []string{"begin"}
	if !patient {
		opening = append(opening, "set local lock_timeout = '100ms'")
	}
	for _, sql := range opening {
		b.Queue(sql)
	}
	for _, q := range group {
		b.Queue(q.put.SQL, q.put.Args...)
	}
	results := conn.SendBatch(ctx, &b)
	defer results.Close()
	for range opening {
		if _, err := results.Exec(); err != nil {
			return nil, fmt.Errorf("beginning the transaction: %w", err)
		}
	}
	for _, q := range group {
		rows, err := results.Query()
		if err == nil {
			err = w.take(q, rows)
		}
		if retryable(err) || err != nil && !attributable(err) {
			return nil, err
		}
		if err != nil {
			return q, err
		}
	}
	if err := results.Close(); err != nil {
		return nil, err
	}
	if conn.Conn().PgConn().TxStatus() == 'I' {
		return nil, ErrOwnTx
	}
	return nil, nil
}

// attributable reports whether the error is surely that of the statement at hand.
func attributable(err error) bool {
	_, tooLarge := errors.AsType[*cache.PayloadError](err)
	return tooLarge || statementFailed(err) || errors.Is(err, ErrOneRow) || errors.Is(err, ErrPayloadColumn)
}

// take reads the row that a Put's statement returned and makes the record of it.
func (w *Writer) take(q *queued, rows pgx.Rows) error {
	defer rows.Close()
	n := 0
	var payload []byte
	for rows.Next() {
		if n++; n > 1 || q.put.Kind != outbox.Set {
			continue
		}
		if !payloadColumn(rows.FieldDescriptions()) {
			return ErrPayloadColumn
		}
		if err := rows.Scan(append([]any{&payload}, make([]any, len(rows.FieldDescriptions())-1)...)...); err != nil {
			return fmt.Errorf("%w: %w", ErrPayloadColumn, err)
		}
		if payload == nil {
			return ErrPayloadColumn
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w, not %d", ErrOneRow, n)
	}
	if err := w.cache.CheckPayload(q.put.Key, payload); err != nil {
		return err
	}
	q.value = payload
	q.record = w.records([]Change{{Key: q.put.Key, Kind: q.put.Kind, Payload: payload, TTL: q.put.TTL}})[0]
	q.record.Trace = w.traceparent(q.ctx)
	return nil
}

func payloadColumn(fields []pgconn.FieldDescription) bool {
	if len(fields) == 0 {
		return false
	}
	switch fields[0].DataTypeOID {
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.ByteaOID:
		return true
	}
	return false
}
