package writer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Change is what a transaction does to one cache key. Make it with Set, Absent, Invalidate or Refresh.
type Change struct {
	// Key is the cache key: see cache.CheckKey.
	Key string
	// Kind says what becomes of the key.
	Kind outbox.Kind
	// Payload is the value, as the reader's codec will read it. With outbox.Set alone.
	Payload []byte
	// TTL is the entry's time to live, at most cache.TTLMax. 0 means Config.TTL. The entry gets up to a tenth less, by chance, so that
	// entries written together do not expire together.
	TTL time.Duration
	// Refresh, if set, computes the payload once the key is locked; it may run again when the transaction is retried.
	// When it returns pgx.ErrNoRows the key becomes absent.
	Refresh func(ctx context.Context, tx pgx.Tx) ([]byte, error)
}

// Set gives the key a value. The payload must come from rows that this transaction has written or locked, as they are at its
// end: an UPDATE that met no row gives nothing to set, a trigger that changes the row afterwards (AFTER, deferred) makes the payload
// wrong. For anything wider take Refresh, or Invalidate.
func Set(key string, payload []byte) Change {
	return Change{Key: key, Kind: outbox.Set, Payload: payload}
}

// Absent says that the key's row is deleted: readers are told so from the cache. Declare it only if a row was deleted: a DELETE
// that met none may have overlooked one that another transaction has yet to commit.
func Absent(key string) Change { return Change{Key: key, Kind: outbox.Absent} }

// Invalidate says that the key's value has changed to something that this transaction does not know.
func Invalidate(key string) Change { return Change{Key: key, Kind: outbox.Invalidate} }

// Refresh gives the key a value that is computed from several rows, some of which other transactions may change at the same
// time. The function runs while the key's lock is held, so the last to commit has seen all that were before it.
func Refresh(key string, compute func(ctx context.Context, tx pgx.Tx) ([]byte, error)) Change {
	return Change{Key: key, Kind: outbox.Set, Refresh: compute}
}

// Within returns the change with another time to live.
func (c Change) Within(ttl time.Duration) Change {
	c.TTL = ttl
	return c
}

// check returns a typed error for what could not be stored: *cache.KeyError, *cache.PayloadError.
func (w *Writer) check(changes []Change) error {
	for _, c := range changes {
		if err := cache.CheckKey(c.Key); err != nil {
			return err
		}
		if c.TTL != 0 {
			if err := cache.CheckTTL(c.TTL); err != nil {
				return fmt.Errorf("change of %q: %w", c.Key, err)
			}
		}
		switch c.Kind {
		case outbox.Set, outbox.Absent, outbox.Invalidate:
		default:
			return fmt.Errorf("change of %q: unknown kind %q: use Set, Absent, Invalidate or Refresh", c.Key, c.Kind)
		}
		if c.Kind != outbox.Set && (c.Payload != nil || c.Refresh != nil) {
			return fmt.Errorf("change of %q: its kind is %q, which goes without Payload and Refresh: use Set or Refresh for a value", c.Key, c.Kind)
		}
		if err := w.cache.CheckPayload(c.Key, c.Payload); err != nil {
			return err
		}
	}
	return nil
}

// records turns changes into records, the last change of a key winning.
func (w *Writer) records(changes []Change) []outbox.Record {
	at := make(map[string]int, len(changes))
	records := make([]outbox.Record, 0, len(changes))
	for _, c := range changes {
		r := outbox.Record{Key: c.Key, Kind: c.Kind, TTL: w.ttl(c.TTL), Allocate: w.cfg.Allocate == AllocateOnWrite}
		if c.Kind == outbox.Set {
			r.Payload = c.Payload
		}
		if i, twice := at[c.Key]; twice {
			records[i] = r
			continue
		}
		at[c.Key] = len(records)
		records = append(records, r)
	}
	return records
}

// omit marks the records whose payloads are too large to be stored twice.
func (w *Writer) omit(records []outbox.Record) {
	for i, r := range records {
		records[i].Omit = len(r.Payload) > w.cfg.recordMax()
	}
}

func (w *Writer) ttl(ttl time.Duration) time.Duration {
	if ttl == 0 {
		ttl = w.cfg.ttl()
	}
	return max(ttl-rand.N(ttl/10+1), time.Millisecond)
}

// refresh fills in the payloads that are computed under the keys' locks, and leaves out those that were read before and may be out of date.
func (w *Writer) refresh(ctx context.Context, tx pgx.Tx, changes []Change, records []outbox.Record, locked outbox.Locked) error {
	compute := make(map[string]func(context.Context, pgx.Tx) ([]byte, error))
	for _, c := range changes {
		compute[c.Key] = c.Refresh
	}
	for i := range records {
		r := &records[i]
		f := compute[r.Key]
		if f == nil {
			if locked.Outdated(r.Key) {
				r.Kind, r.Payload = outbox.Invalidate, nil
			}
			continue
		}
		payload, err := f(ctx, tx)
		if errors.Is(err, pgx.ErrNoRows) {
			r.Kind, r.Payload = outbox.Absent, nil
			continue
		}
		if err != nil {
			return fmt.Errorf("refreshing %q: %w", r.Key, err)
		}
		if err := w.cache.CheckPayload(r.Key, payload); err != nil {
			return err
		}
		r.Payload = payload
	}
	return nil
}
