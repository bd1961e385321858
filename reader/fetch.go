package reader

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/lease"
)

// fetch is the flight itself: ticket, version, row, version again, fill, in this order.
func (r *Raw) fetch(ctx context.Context, f *flight) map[string]landing {
	ctx, span := r.traceFlight(ctx, f)
	defer span.End()
	held := r.cache.Ticket(ctx, f.keys)
	results := make(map[string]landing, len(f.keys))
	var missing []string
	var tickets []cache.Held
	for i, key := range f.keys {
		if held[i].Err == nil && serves(&held[i].Entry, f.need[key]) {
			results[key] = served(&held[i].Entry)
			continue
		}
		missing, tickets = append(missing, key), append(tickets, held[i])
	}
	if len(missing) == 0 {
		return results
	}
	if !r.readRows(ctx, missing, results) {
		return results
	}
	ticketed := slices.ContainsFunc(tickets, func(held cache.Held) bool { return held.Err == nil })
	if ticketed || f.look {
		r.lookAgain(ctx, missing, results)
	}
	if ticketed {
		r.offer(ctx, tickets, missing, results)
	}
	if f.settle {
		r.outdate(ctx, missing, results)
	}
	return results
}

// readRows reads the keys' versions and then their rows into results, and reports whether it could.
func (r *Raw) readRows(ctx context.Context, keys []string, results map[string]landing) bool {
	r.counts.loads.Add(1)
	r.counts.loaded.Add(int64(len(keys)))
	r.counts.loading.Add(1)
	defer r.counts.loading.Add(-1)
	versions, rows, err := r.readBoth(ctx, keys)
	if err != nil {
		traces.Fail(trace.SpanFromContext(ctx), err)
		maps.Copy(results, failed(keys, err))
		return false
	}
	for _, key := range keys {
		e := cache.Entry{Kind: cache.Absent, Version: versions[key]}
		if bytes, exists := rows[key]; exists {
			e.Kind, e.Payload = cache.Value, bytes
		}
		results[key] = landing{entry: e}
	}
	return true
}

// readBoth reads the versions before the rows: whatever is committed in between makes a row newer than its label, never older.
func (r *Raw) readBoth(ctx context.Context, keys []string) (versions map[string]int64, rows map[string][]byte, err error) {
	if mutant.On("version-before-row") {
		if rows, err = r.rows(ctx, keys); err != nil {
			return nil, nil, err
		}
		versions, err = r.versions(ctx, keys)
		return versions, rows, err
	}
	if versions, err = r.versions(ctx, keys); err != nil {
		return nil, nil, err
	}
	rows, err = r.rows(ctx, keys)
	return versions, rows, err
}

// lookAgain reads the keys' versions once more, after the rows, and notes in results how new each row may be.
func (r *Raw) lookAgain(ctx context.Context, keys []string, results map[string]landing) {
	versions, err := r.versions(ctx, keys)
	for _, key := range keys {
		l := results[key]
		l.seen, l.unseen = versions[key], err
		results[key] = l
	}
}

// exact reports whether the row is of the very version that it is labelled with. Only then may it fill the cache: a value newer than its label would be
// replaced by a late apply of a version between the two, and readers would see the key go back.
func (l landing) exact() bool {
	return l.unseen == nil && l.seen == l.entry.Version || mutant.On("exact-label")
}

func (r *Raw) versions(ctx context.Context, keys []string) (map[string]int64, error) {
	rows, err := r.cfg.DB.Query(ctx, versionsSQL, keys)
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	versions := make(map[string]int64, len(keys))
	var key string
	var version int64
	var format int
	_, err = pgx.ForEachRow(rows, []any{&key, &version, &format}, func() error {
		versions[key] = version
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	if len(versions) > 0 {
		_ = r.cache.SetFormat(format) // one that is not known costs loads: writers and relays say so
	}
	return versions, nil
}

// rows runs the caller's load. A panic in it is the caller's, but it runs on our goroutine, where the caller cannot recover it.
func (r *Raw) rows(ctx context.Context, keys []string) (rows map[string][]byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the load function panicked: %v", p)
		}
	}()
	return r.cfg.Load(ctx, keys)
}

// offer fills the cache with what was read, one pipeline for all keys. Whatever becomes of it, the callers get what was read.
func (r *Raw) offer(ctx context.Context, tickets []cache.Held, keys []string, results map[string]landing) {
	if mutant.On("ticket-before-load") {
		tickets = r.cache.Ticket(ctx, keys)
	}
	var fills []cache.Change
	for i, key := range keys {
		if tickets[i].Err != nil {
			continue
		}
		if !results[key].exact() {
			r.counts.changed.Add(1)
			continue
		}
		e := results[key].entry
		fills = append(fills, cache.Change{Key: key, Version: e.Version, Kind: e.Kind, Payload: e.Payload, TTL: r.jittered(e.Kind), Ticket: tickets[i].Ticket})
	}
	if len(fills) == 0 {
		return
	}
	for i, reply := range r.cache.Fill(ctx, fills...) {
		switch reply.Outcome {
		case cache.Applied, cache.Superseded: // it holds nothing older than the row
			settledOn(reply.Server, results, fills[i].Key)
		case cache.Refused:
			r.counts.late.Add(1)
		case cache.Rejected:
			r.log.Warn("fill_rejected", zap.String("key", fills[i].Key), zap.Error(reply.Err))
		}
	}
}

// outdate settles what no fill has settled: the row was changed while it was read, or the fill came too late. It leaves no older value to be served, and
// lets none in.
func (r *Raw) outdate(ctx context.Context, keys []string, results map[string]landing) {
	if r.cfg.Leases.Held().Suspended(lease.Now()) {
		return
	}
	var changes []cache.Change
	for _, key := range keys {
		if l := results[key]; l.server == "" && l.unseen == nil {
			changes = append(changes, cache.Change{Key: key, Version: l.seen, Kind: cache.Placeholder})
		}
	}
	if len(changes) == 0 {
		return
	}
	for i, reply := range r.cache.Apply(ctx, changes...) {
		if reply.Outcome.Done() {
			settledOn(reply.Server, results, changes[i].Key)
		}
	}
}

// settledOn notes in results that a server has said that the version of the second look is settled.
func settledOn(server string, results map[string]landing, key string) {
	l := results[key]
	l.server = server
	results[key] = l
}

func (r *Raw) jittered(kind cache.Kind) time.Duration {
	ttl := r.cfg.ttl()
	if kind == cache.Absent {
		ttl = r.cfg.absentTTL()
	}
	return max(ttl-rand.N(ttl/10+1), time.Millisecond)
}
