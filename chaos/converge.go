package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/chaos/judge"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	// bound is how long the cache may take to agree with Postgres after the faults.
	bound = 5 * time.Second
	// lookEvery is the pause between two looks at all keys.
	lookEvery = 10 * ms
	// lookTimeout bounds one look.
	lookTimeout = 2 * time.Second
	// looksAgreed is how many looks in a row have to find every key in agreement.
	looksAgreed = 3
)

// observer compares the cache with Postgres, over connections of its own that no fault reaches.
type observer struct {
	db     *pgxpool.Pool
	cache  *cache.Cache  // for Tidelock's entries
	client valkey.Client // for those of the others
	keys   []string
	finals map[string]*judge.Final
	// pending is how many records wait in Tidelock's outbox, by the last look that found every key in agreement.
	pending int64
}

// observe connects to the servers that count after the faults.
func (s *scene) observe(ctx context.Context, subject string, keys int) (*observer, error) {
	db, err := pgxpool.New(ctx, s.databaseAt())
	if err != nil {
		return nil, fmt.Errorf("connecting the observer to postgres: %w", err)
	}
	o := &observer{db: db, client: s.client(), finals: map[string]*judge.Final{}}
	for i := range keys {
		key := drive.RowKey(i)
		o.keys, o.finals[key] = append(o.keys, key), &judge.Final{Key: key}
	}
	if subject == ours {
		if o.cache, err = cache.New(ctx, cache.Config{URL: s.primaryURL(), Timeout: lookTimeout}); err != nil {
			db.Close()
			return nil, fmt.Errorf("connecting the observer to valkey: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, lookTimeout)
		defer cancel()
		_ = o.cache.Wait(ctx) // else looking will tell
	}
	// The first look costs the making of connections, which are not what is measured.
	if _, err := o.look(ctx, time.Now()); ctx.Err() != nil {
		o.close()
		return nil, err
	}
	for _, f := range o.finals {
		f.Converged = false
	}
	return o, nil
}

func (o *observer) close() {
	o.db.Close()
	if o.cache != nil {
		o.cache.Close()
	}
}

// converge looks at all keys until they agree with Postgres for good and no record waits any more, or the bound is over. The traffic has
// ended once quiet is closed.
func (o *observer) converge(ctx context.Context, healed time.Time, quiet <-chan struct{}) error {
	agreed, last := 0, error(nil)
	var ended time.Time
	for agreed < looksAgreed {
		all, err := o.look(ctx, healed)
		last = err
		select {
		case <-quiet:
			if ended.IsZero() {
				ended = time.Now()
			}
		default:
			all = false
		}
		if agreed++; err != nil || !all {
			agreed = 0
		}
		// Keys are written until the traffic has ended, so each gets the whole bound from then on.
		if !ended.IsZero() && time.Since(ended) > bound+lookTimeout {
			return last
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

// look compares all keys once.
func (o *observer) look(ctx context.Context, healed time.Time) (all bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := o.readRows(ctx); err != nil {
		return false, err
	}
	if err := o.readCache(ctx); err != nil {
		return false, err
	}
	all = true
	for _, f := range o.finals {
		switch agree := agrees(f); {
		case !agree:
			f.Converged, all = false, false
		case !f.Converged:
			f.Converged, f.Settled = true, time.Since(healed)
		}
	}
	if !all || o.cache == nil {
		return all, nil
	}
	stats, err := outbox.Count(ctx, o.db)
	o.pending = stats.Pending
	return err == nil && o.pending == 0, err
}

// agrees reports whether nobody who reads the key from the cache gets anything but what Postgres holds.
func agrees(f *judge.Final) bool {
	c := f.Cached
	switch {
	case c == nil || c.Placeholder:
		return true
	case f.Version != 0 && c.Version != 0 && c.Version != f.Version:
		return false
	case c.Absent:
		return !f.Exists || f.Gone
	default:
		return f.Exists && !f.Gone && c.N == f.N && c.Op == f.Op
	}
}

const selectRows = `SELECT r.id, r.n, r.op, r.gone, coalesce(v.version, 0) FROM chaos_rows r LEFT JOIN tidelock.versions v ON v.key = r.id`

func (o *observer) readRows(ctx context.Context) error {
	rows, err := o.db.Query(ctx, selectRows)
	if err != nil {
		return fmt.Errorf("reading the rows: %w", err)
	}
	var id string
	var n, op, version int64
	var gone bool
	_, err = pgx.ForEachRow(rows, []any{&id, &n, &op, &gone, &version}, func() error {
		f := o.finals[id]
		if f == nil {
			return fmt.Errorf("the row %q is none of the run's", id)
		}
		f.Exists, f.N, f.Op, f.Gone, f.Version = true, n, op, gone, version
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the rows: %w", err)
	}
	return nil
}

// body is what the subjects keep in the cache.
type body struct {
	N  int64 `json:"n"`
	Op int64 `json:"op"`
}

func (o *observer) readCache(ctx context.Context) error {
	if o.cache == nil {
		return o.readPlain(ctx)
	}
	entries, err := o.cache.GetMany(ctx, o.keys)
	if err != nil {
		return err
	}
	for i, e := range entries {
		var held *judge.Cached
		if e.Kind != cache.None {
			held = &judge.Cached{Version: e.Version, Absent: e.Kind == cache.Absent, Placeholder: e.Kind == cache.Placeholder}
		}
		if e.Kind == cache.Value {
			var b body
			if err := json.Unmarshal(e.Payload, &b); err != nil {
				return fmt.Errorf("reading the entry of %s: %w", o.keys[i], err)
			}
			held.N, held.Op = b.N, b.Op
		}
		o.finals[o.keys[i]].Cached = held
	}
	return nil
}

// readPlain reads entries without versions. One that a subject cannot read either counts as none.
func (o *observer) readPlain(ctx context.Context) error {
	commands := make([]valkey.Completed, len(o.keys))
	for i, key := range o.keys {
		commands[i] = o.client.B().Get().Key(key).Build()
	}
	for i, reply := range o.client.DoMulti(ctx, commands...) {
		text, err := reply.AsBytes()
		if _, answered := errors.AsType[*valkey.ValkeyError](err); err != nil && !answered {
			return fmt.Errorf("reading the cache: %w", err)
		}
		f := o.finals[o.keys[i]]
		f.Cached = nil
		var b body
		if err == nil && json.Unmarshal(text, &b) == nil {
			f.Cached = &judge.Cached{N: b.N, Op: b.Op}
		}
	}
	return nil
}

// result lists what was found.
func (o *observer) result() []judge.Final {
	all := make([]judge.Final, 0, len(o.keys))
	for _, key := range o.keys {
		all = append(all, *o.finals[key])
	}
	return all
}
