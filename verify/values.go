package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

// scanCost is what a step over a thousand keys of the cache, whosever they are, counts for Config.Rate.
const scanCost = 50

// values walks over what the cache holds, and compares what is of declared rows with these.
type values struct {
	*walk
	told map[string]bool // differences: a key may come twice
}

// run goes over one server after the other.
func (v *values) run(ctx context.Context) error {
	servers, err := v.cfg.Cache.Watch(ctx, "", nil)
	if err != nil {
		return fmt.Errorf("looking for the cache's servers: %w", err)
	}
	for _, s := range servers {
		if err := v.visit(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (v *values) visit(ctx context.Context, s cache.Server) error {
	visit, err := v.cfg.Cache.Visit(ctx, s)
	if err != nil {
		return fmt.Errorf("walking over the cache: %w", err)
	}
	defer visit.Close()
	for cursor := uint64(0); ; {
		if err := v.limit.WaitN(ctx, scanCost); err != nil {
			return err
		}
		keys, next, err := visit.Keys(ctx, cursor)
		if err != nil {
			return fmt.Errorf("walking over the cache: %w", err)
		}
		for _, r := range v.cfg.Rows {
			if err := v.step(ctx, r, keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// step compares those of the keys that are of these rows. Rows that cannot be read are noted, and left out from then on.
func (v *values) step(ctx context.Context, r Rows, keys []string) error {
	if v.report.Unread[r.Prefix()] != "" {
		return nil
	}
	var theirs []string
	for _, key := range keys {
		if strings.HasPrefix(key, r.Prefix()) && r.Has(key) && v.takes(key) {
			theirs = append(theirs, key)
		}
	}
	for chunk := range slices.Chunk(theirs, page) {
		if err := v.limit.WaitN(ctx, len(chunk)); err != nil {
			return err
		}
		err := v.compare(ctx, r, chunk)
		if refusal, ok := errors.AsType[*unreadError](err); ok {
			v.report.Unread[r.Prefix()] = refusal.Error()
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takes reports whether a key is in the sample.
func (v *values) takes(key string) bool {
	share := v.cfg.Keys.Share
	if share == 0 || share == 1 {
		return true
	}
	h := fnv.New64a()
	fmt.Fprint(h, v.cfg.Keys.Seed, ":", key)
	sum := h.Sum64()
	return float64((sum^sum>>32)&0xffff) < share*65536
}

// compare looks at entries and rows as they are read, and again at what differs.
func (v *values) compare(ctx context.Context, r Rows, keys []string) error {
	entries, err := v.cfg.Cache.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	var held []string
	var of []cache.Entry
	for i, e := range entries {
		if e.Hit() {
			held, of = append(held, keys[i]), append(of, e)
		}
	}
	rows, err := load(ctx, r, v.cfg.DB, held)
	if err != nil {
		return err
	}
	v.report.Values += int64(len(held))
	v.progress()
	var suspects []string
	for i, key := range held {
		if !v.told[key] && differs(of[i], rows, key) != "" {
			suspects = append(suspects, key)
		}
	}
	return v.suspect(ctx, r, suspects)
}

// differs says how an entry is not what its row would make of it, empty if it is.
func differs(e cache.Entry, rows map[string][]byte, key string) Kind {
	row, there := rows[key]
	switch {
	case there && e.Kind == cache.Absent:
		return Inserted
	case !there && e.Kind == cache.Value:
		return Deleted
	case there && !bytes.Equal(row, e.Payload):
		return Changed
	default:
		return ""
	}
}

// suspect reads suspects again, entries before and after the rows, and takes note of the differences.
func (v *values) suspect(ctx context.Context, r Rows, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	before, err := v.cfg.Cache.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	rows, states, err := v.snapshot(ctx, r, keys)
	if err != nil {
		return err
	}
	after, err := v.cfg.Cache.GetMany(ctx, keys)
	if err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	var found []Difference
	for i, key := range keys {
		e, state := before[i], states[key]
		switch {
		case !e.Hit():
		case state.Version != 0 && state.Version != e.Version: // the walk by versions tells what it is
		case state.Waits && !mutant.On("value-nothing-waits"):
		case !same(e, after[i]) && !mutant.On("value-read-again"):
		default:
			if how := differs(e, rows, key); how != "" {
				found = append(found, Difference{Key: key, Kind: how, Postgres: state.Version, Cache: e.Version})
			}
		}
	}
	return v.tellAll(ctx, found)
}

// same reports whether an entry is still the one that it was.
func same(a, b cache.Entry) bool {
	return a.Kind == b.Kind && a.Version == b.Version && bytes.Equal(a.Payload, b.Payload)
}

// snapshot reads rows and the states of their keys as they were at one moment.
func (v *values) snapshot(ctx context.Context, r Rows, keys []string) (rows map[string][]byte, states map[string]outbox.State, err error) {
	at := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	if mutant.On("value-one-snapshot") {
		at.IsoLevel = pgx.ReadCommitted
	}
	err = pgx.BeginTxFunc(ctx, v.cfg.DB, at, func(tx pgx.Tx) error {
		// A part of the outbox that was emptied after the snapshot looks as if nothing had waited in it: the lock comes first, and takes no snapshot.
		if _, err := tx.Exec(ctx, "LOCK TABLE tidelock.outbox IN ACCESS SHARE MODE"); err != nil {
			return err
		}
		if states, err = outbox.Look(ctx, tx, keys); err != nil {
			return err
		}
		rows, err = load(ctx, r, tx, keys)
		return err
	})
	return rows, states, err
}

// unreadError says that Postgres will not read these rows: the role may not, or the table is not what it was.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

func load(ctx context.Context, r Rows, db outbox.DB, keys []string) (map[string][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := r.Load(ctx, db, keys)
	if reply, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(reply.Code, "42") {
		return nil, &unreadError{err}
	}
	return rows, err
}

// tellAll takes note of differences, and mends them if that is asked for.
func (v *values) tellAll(ctx context.Context, found []Difference) error {
	if len(found) > 0 && v.cfg.Fix {
		if err := v.mend(ctx, found); err != nil {
			return err
		}
	}
	for _, d := range found {
		d.Fixed = v.cfg.Fix
		v.told[d.Key] = true
		v.tell(d)
	}
	return nil
}
