package writer

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// StrictError says that a key is strict (outbox.DeclareStrict) and its writer has no Config.Leases. Nothing is committed.
type StrictError struct{ Key string }

// Error says what to do.
func (e *StrictError) Error() string {
	return fmt.Sprintf("the key %q is strict, and this writer cannot keep what that promises: make a lease.Client and give it as Config.Leases", e.Key)
}

// UnsettledError says that a write to a strict key is committed, and that it is not certain whether every strict read sees it: neither Valkey nor the guardian nor,
// in its stead, Postgres could be asked within Config.SettleTimeout. A relay settles it as soon as that is possible. It must not be repeated
// unless its statement can be.
type UnsettledError struct {
	// Result is the committed write.
	Result Result
	// Err is the cause.
	Err error
}

// Error says that the write is committed, and why it is not acknowledged.
func (e *UnsettledError) Error() string {
	return fmt.Sprintf("the write is committed, but strict reads may not see it yet: %v", e.Err)
}

// Unwrap returns the cause.
func (e *UnsettledError) Unwrap() error { return e.Err }

// readStrict reads which keys are strict. One reads at a time, so that what is read last is kept.
func (w *Writer) readStrict(ctx context.Context) error {
	w.reading.Lock()
	defer w.reading.Unlock()
	strict, err := outbox.ReadStrict(ctx, w.db)
	if err != nil {
		return err
	}
	w.strict.Store(&strict)
	if err := w.cache.SetFormat(strict.Format()); err != nil {
		w.log.Warn("entry_format_unknown", zap.Error(err))
	}
	return nil
}

// overtaken reports whether an attempt has failed only because the strict prefixes are others by now, and reads them. It must not be called from within a
// transaction, which would wait for another connection while it keeps its own.
func (w *Writer) overtaken(ctx context.Context, err error) (bool, error) {
	_, refused := errors.AsType[*StrictError](err)
	if !refused && !errors.Is(err, outbox.ErrStrictChanged) {
		return false, nil
	}
	before := *w.strict.Load()
	if e := w.readStrict(ctx); e != nil {
		return false, errors.Join(err, e)
	}
	return !refused || !w.strict.Load().Same(before), nil
}

// follow reads the strict prefixes for those who found out in a transaction of their caller's that they have changed.
func (w *Writer) follow() {
	for {
		select {
		case <-w.stop:
			return
		case <-w.behind:
		}
		ctx, cancel := context.WithTimeout(context.Background(), w.cfg.commitTimeout())
		if err := w.readStrict(ctx); err != nil {
			w.log.Warn("reading_strict_failed", zap.Error(err))
		}
		cancel()
	}
}

// allowed returns a *StrictError for a record that this writer may not write.
func (w *Writer) allowed(strict outbox.Strict, records ...outbox.Record) error {
	for _, r := range records {
		if w.cfg.Leases == nil && strict.Has(r.Key) {
			return &StrictError{Key: r.Key}
		}
	}
	return nil
}

// committed is what a transaction has recorded, and what it took for strict when Postgres let it.
type committed struct {
	records []outbox.Record
	strict  outbox.Strict
}

// open returns those of the strict keys' versions, as the cache has replied, that some strict read may not see yet. A version is seen by all if it is settled on
// a server that our lease names after the reply: whoever is served from the cache is served from that one, until trust has ended, everything that was
// committed by then was settled, and trust has begun anew. If nobody trusts the cache, all read from Postgres.
func (w *Writer) open(c committed, replies []cache.Reply) (open []lease.Version) {
	now := w.strict.Load()
	for i, r := range c.records {
		if !c.strict.Has(r.Key) && !now.Has(r.Key) || w.cfg.Leases == nil || mutant.On("strict-settled") {
			continue
		}
		held, at := w.cfg.Leases.Held(), lease.Now()
		if !held.Suspended(at) && !(replies[i].Outcome.Done() && held.Trusts(at, []string{replies[i].Server})) {
			open = append(open, lease.Version{Key: r.Key, Version: r.Version})
		}
	}
	return open
}

// close waits until every strict read sees these versions.
func (w *Writer) close(ctx context.Context, open []lease.Version) error {
	if len(open) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.settleTimeout())
	defer cancel()
	return w.cfg.Leases.Settle(ctx, open)
}

// acknowledge returns a committed write once every strict read sees it, or an *UnsettledError.
func (w *Writer) acknowledge(ctx context.Context, result Result, open []lease.Version) (Result, error) {
	if err := w.close(ctx, open); err != nil {
		return result, &UnsettledError{Result: result, Err: err}
	}
	return result, nil
}
