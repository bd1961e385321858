package subject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// Tidelock is the product, with the defaults of its settings.
type Tidelock struct {
	// Deferred counts writes that did not reach the cache, Misses reads that came from Postgres. Neither should be.
	Deferred, Misses atomic.Int64
	// Loads counts the loads of missed keys, MostLoading is how many were under way at once.
	Loads, MostLoading atomic.Int64
	loading            atomic.Int64

	db     *pgxpool.Pool
	writer *writer.Writer
	reader *reader.Raw
	leases *lease.Client
	prefix string
}

// NewTidelock makes a lease client, a writer and a reader. Its keys begin with prefix; strict says that they are strict keys.
func NewTidelock(ctx context.Context, db *pgxpool.Pool, c *cache.Cache, conn *nats.Conn, prefix string, strict bool) (t *Tidelock, err error) {
	t = &Tidelock{db: db, prefix: prefix}
	if t.leases, err = lease.NewClient(lease.Config{DB: db, NATS: conn}); err != nil {
		return nil, err
	}
	cfg := writer.Config{DB: db, Cache: c, NATS: conn}
	if strict {
		cfg.Leases = t.leases
	}
	if t.writer, err = writer.New(ctx, cfg); err != nil {
		return nil, err
	}
	t.reader, err = reader.NewRaw(reader.Config{Cache: c, DB: db, Load: t.load, Leases: t.leases})
	return t, err
}

// Writer is the writer itself.
func (t *Tidelock) Writer() *writer.Writer { return t.writer }

// Close stops it.
func (t *Tidelock) Close() {
	t.writer.Close()
	t.reader.Close()
	t.leases.Close()
}

func (t *Tidelock) key(n int) string { return t.prefix + strconv.Itoa(n) }

func (t *Tidelock) load(ctx context.Context, keys []string) (map[string][]byte, error) {
	t.Loads.Add(1)
	now := t.loading.Add(1)
	defer t.loading.Add(-1)
	for most := t.MostLoading.Load(); now > most && !t.MostLoading.CompareAndSwap(most, now); most = t.MostLoading.Load() {
	}
	ids := make([]int, len(keys))
	for i, key := range keys {
		var err error
		if ids[i], err = strconv.Atoi(strings.TrimPrefix(key, t.prefix)); err != nil {
			return nil, err
		}
	}
	rows, err := t.db.Query(ctx, "SELECT id, body FROM items WHERE id = ANY ($1)", ids)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]byte, len(keys))
	var n int
	var body string
	_, err = pgx.ForEachRow(rows, []any{&n, &body}, func() error {
		found[t.key(n)] = []byte(body)
		return nil
	})
	return found, err
}

// Put is one statement, in whatever company there is.
func (t *Tidelock) Put(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	result, err := t.writer.Put(ctx, writer.Put{Key: t.key(n), SQL: returningSQL, Args: []any{n, c.Payload()}})
	return t.count(result, err)
}

// Write is a transaction of the caller's own.
func (t *Tidelock) Write(ctx context.Context, c *turns.Client) error {
	n, body := c.Key(), c.Payload()
	result, err := t.writer.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		_, err := tx.Exec(ctx, updateSQL, n, body)
		return err
	}, writer.Set(t.key(n), body))
	return t.count(result, err)
}

func (t *Tidelock) count(result writer.Result, err error) error {
	if result.Deferred() {
		t.Deferred.Add(1)
	}
	return err
}

// Get returns a subject's work: a read with these options.
func (t *Tidelock) Get(options ...reader.Option) func(context.Context, *turns.Client) error {
	return func(ctx context.Context, c *turns.Client) error {
		p, err := t.reader.Get(ctx, t.key(c.Key()), options...)
		if err == nil && !p.Hit {
			t.Misses.Add(1)
		}
		return err
	}
}

// GetMany returns a subject's work: a read of Many keys with these options.
func (t *Tidelock) GetMany(options ...reader.Option) func(context.Context, *turns.Client) error {
	return func(ctx context.Context, c *turns.Client) error {
		got, err := t.reader.GetMany(ctx, keys(c, t.key), options...)
		for _, p := range got {
			if !p.Hit {
				t.Misses.Add(1)
			}
		}
		return err
	}
}

// Fill brings all keys to the cache.
func (t *Tidelock) Fill(ctx context.Context, n int) error {
	const step = 500
	for from := 0; from < n; from += step {
		names := make([]string, 0, step)
		for i := from; i < min(from+step, n); i++ {
			names = append(names, t.key(i))
		}
		got, err := t.reader.GetMany(ctx, names)
		if err != nil {
			return err
		}
		if len(got) != len(names) {
			return fmt.Errorf("filling the cache: %d of %d keys have a row", len(got), len(names))
		}
	}
	return nil
}

// Install gives every row a version and the cache its entry, in far fewer statements than a million reads would take. The tables of versions
// and of records must be empty.
func (t *Tidelock) Install(ctx context.Context, client valkey.Client) error {
	_, err := t.db.Exec(ctx, "INSERT INTO tidelock.versions SELECT $1 || id, nextval('tidelock.version_seq'), pg_current_xact_id() FROM items", t.prefix)
	if err == nil {
		_, err = t.db.Exec(ctx, "VACUUM ANALYZE tidelock.versions")
	}
	if err != nil {
		return err
	}
	const entries = `SELECT id, convert_to('tl1 V ' || v.version || E'\n' || body, 'UTF8') FROM items JOIN tidelock.versions v ON v.key = '%s' || id`
	return setRows(ctx, t.db, client, fmt.Sprintf(entries, t.prefix), func(n int, entry []byte) (string, []byte) { return t.key(n), entry })
}

// AwaitTrust waits until the guardian has granted a lease.
func (t *Tidelock) AwaitTrust(ctx context.Context) error {
	return t.await(ctx, "the guardian grants no lease", func(h *lease.Held) bool { return h.TrustedUntil > lease.Now() })
}

// AwaitStrict waits until leases name a strict prefix.
func (t *Tidelock) AwaitStrict(ctx context.Context, prefix string) error {
	return t.await(ctx, "no lease names the strict prefix", func(h *lease.Held) bool { return slices.Contains(h.Strict, prefix) })
}

func (t *Tidelock) await(ctx context.Context, otherwise string, holds func(*lease.Held) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New(otherwise))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds(t.leases.Held()) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// WriteOf returns a subject's work: a transaction of n keys, with one UPDATE.
func (t *Tidelock) WriteOf(n int) func(context.Context, *turns.Client) error {
	return func(ctx context.Context, c *turns.Client) error {
		ids, body := c.Own(n), c.Payload()
		changes := make([]writer.Change, n)
		for i, id := range ids {
			changes[i] = writer.Set(t.key(id), body)
		}
		result, err := t.writer.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
			_, err := tx.Exec(ctx, updateManySQL, ids, body)
			return err
		}, changes...)
		return t.count(result, err)
	}
}
