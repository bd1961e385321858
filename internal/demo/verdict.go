package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Report is what the demo found. Its JSON is the demo's last line.
type Report struct {
	StaleNaive    int     `json:"stale_naive"`
	StaleTidelock int     `json:"stale_tidelock"`
	MissingWrites int     `json:"missing_writes"` // acknowledged by Tidelock's writer, not in Postgres
	FailedReads   int64   `json:"failed_reads"`   // of Tidelock's reader
	Keys          int     `json:"keys"`           // compared, on each board
	CachedNaive   int     `json:"cached_naive"`   // of them, those in the cache
	CachedOurs    int     `json:"cached_tidelock"`
	Writes        int64   `json:"writes"`
	Deferred      int64   `json:"deferred"`
	Reads         int64   `json:"reads"`
	HitRatio      float64 `json:"hit_ratio"`
	NaiveHitRatio float64 `json:"naive_hit_ratio"`
	Pending       int64   `json:"pending"`         // records left in the outbox at the end
	SettledAfter  float64 `json:"settled_after_s"` // from the last write to an empty outbox
	Seconds       float64 `json:"seconds"`         // of traffic
	WritesPerSec  float64 `json:"writes_per_second"`
}

// Good reports whether Tidelock kept its word.
func (r Report) Good() bool {
	return r.StaleTidelock == 0 && r.MissingWrites == 0 && r.Pending == 0
}

// settleWithin is how long the relay gets, after the last fault has ended, to empty the outbox.
const settleWithin = 30 * time.Second

// awaitSettled waits until the outbox is empty and returns how many records are left when it gives up.
func awaitSettled(ctx context.Context, db *pgxpool.Pool) (int64, error) {
	deadline := time.Now().Add(settleWithin)
	for {
		stats, err := outbox.Count(ctx, db)
		if err != nil || stats.Pending == 0 || time.Now().After(deadline) {
			return stats.Pending, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return stats.Pending, ctx.Err()
		}
	}
}

// compareChunk is how many keys one MGET asks for.
const compareChunk = 500

// compareTidelock counts the keys whose entry may be served and is not what Postgres holds.
func compareTidelock(ctx context.Context, db *pgxpool.Pool, c *cache.Cache, all []flight) (stale, cached int, err error) {
	truth, err := rows(ctx, db, tidelockTable, nil)
	if err != nil {
		return 0, 0, err
	}
	for chunk := range slices.Chunk(all, compareChunk) {
		keys := make([]string, len(chunk))
		for i, f := range chunk {
			keys[i] = tidelockKey(f.id)
		}
		entries, err := c.GetMany(ctx, keys)
		if err != nil {
			return 0, 0, fmt.Errorf("comparing: %w", err)
		}
		for i, f := range chunk {
			if !entries[i].Hit() {
				continue
			}
			cached++
			row, exists := truth[f.id]
			if exists != (entries[i].Kind == cache.Value) || row != string(entries[i].Payload) {
				stale++
			}
		}
	}
	return stale, cached, nil
}

// compareNaive does the same for the naive board.
func compareNaive(ctx context.Context, db *pgxpool.Pool, client valkey.Client, all []flight) (stale, cached int, err error) {
	truth, err := rows(ctx, db, naiveTable, nil)
	if err != nil {
		return 0, 0, err
	}
	for chunk := range slices.Chunk(all, compareChunk) {
		ids := make(map[string]int, len(chunk))
		for _, f := range chunk {
			ids[naiveKey(f.id)] = f.id
		}
		entries, err := valkey.MGet(client, ctx, slices.Collect(maps.Keys(ids)))
		if err != nil {
			return 0, 0, fmt.Errorf("comparing: %w", err)
		}
		for key, entry := range entries {
			held, err := entry.ToString()
			if err != nil {
				continue // nothing there
			}
			cached++
			if row := truth[ids[key]]; row != held {
				stale++
			}
		}
	}
	return stale, cached, nil
}

// missing counts the acknowledged writes of Tidelock's board that Postgres does not show.
func (t *traffic) missing(ctx context.Context, db *pgxpool.Pool) (int, error) {
	held, err := db.Query(ctx, `SELECT id, departed IS NOT NULL, delay IS NOT NULL FROM `+tidelockTable)
	if err != nil {
		return 0, fmt.Errorf("reading the flights: %w", err)
	}
	defer held.Close()
	type state struct{ departed, delayed bool }
	truth := make(map[int]state)
	for held.Next() {
		var id int
		var s state
		if err := held.Scan(&id, &s.departed, &s.delayed); err != nil {
			return 0, err
		}
		truth[id] = s
	}
	missing := 0
	for i, f := range t.flights {
		a := &t.acked[i]
		row, exists := truth[f.id]
		gone := a.steps[cancelled].Load()
		for _, lost := range []bool{
			gone && exists,
			!gone && a.steps[scheduled].Load() && !exists,
			!gone && a.steps[departed].Load() && !row.departed,
			!gone && a.steps[delayed].Load() && !row.delayed,
		} {
			if lost {
				missing++
			}
		}
	}
	return missing, held.Err()
}
