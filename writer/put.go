package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
)

// Put is one statement and the one cache key that it changes.
type Put struct {
	// Key is the cache key.
	Key string
	// SQL is one statement that returns exactly one row. For a value its first column is the payload: text, json, jsonb
	// or bytea, made of the row that the statement writes and of nothing else: a subquery over other rows may not see what a
	// transaction under way does to them, and the older aggregate would stay in the cache. Write with Refresh is for that. It must
	// not end the transaction, and no trigger may change the row after it.
	SQL string
	// Args are the statement's parameters.
	Args []any
	// Kind is what becomes of the key. Default outbox.Set. With outbox.Absent (a DELETE … RETURNING) or
	// outbox.Invalidate the columns returned do not matter.
	Kind outbox.Kind
	// TTL is as in Change.
	TTL time.Duration
}

// queued is a Put on its way through a committer.
type queued struct {
	ctx    context.Context
	put    Put
	record outbox.Record // filled in by the committer
	value  []byte        // what its statement returned
	strict outbox.Strict // likewise
	result Result
	err    error
	done   chan struct{}
}

// Put runs one statement and commits it with its record. Puts that are under way at the same moment share a transaction,
// sorted by key, and a pipeline to each server; a lone Put does not wait for company. A statement that fails, fails alone.
//
// It costs its caller nothing to be in company but this: when ctx ends while the group is under way, Put returns at once
// with ErrUnknown. Errors are otherwise as for Write, and ErrOneRow, ErrPayloadColumn or a *cache.PayloadError for a
// statement that does not return what it must.
func (w *Writer) Put(ctx context.Context, put Put) (result Result, err error) {
	ctx, span := w.trace.Start(ctx, putSpan)
	defer func() { ended(span, result, err) }()
	leave, err := w.enter()
	if err != nil {
		return Result{}, err
	}
	defer leave()
	if put.Kind == "" {
		put.Kind = outbox.Set
	}
	if err := w.check([]Change{{Key: put.Key, Kind: put.Kind, TTL: put.TTL}}); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	w.putting.Add(1)
	defer w.putting.Add(-1)
	q := &queued{ctx: ctx, put: put, done: make(chan struct{})}
	select {
	case w.puts <- q:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	select {
	case <-q.done:
		return q.result, w.counts.ended(q.err)
	case <-ctx.Done():
		return Result{}, w.counts.ended(fmt.Errorf("%w: %w", ErrUnknown, ctx.Err()))
	}
}

func (q *queued) fail(err error) {
	q.err = err
	close(q.done)
}
