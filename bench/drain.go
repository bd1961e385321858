package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/cache"
)

//go:embed sql/backlog.sql
var backlogSQL string

// drains measures how fast the relay gets through what an outage has left, and how much memory it needs for it: each record of a key
// of its own, and many records of each key.
func (b *bench) drains(ctx context.Context) error {
	fmt.Fprintln(b.table.out)
	for _, d := range []struct {
		name string
		keys int
	}{{"one_a_key", b.cfg.Records}, {"twenty_a_key", max(1, b.cfg.Records/20)}} {
		if err := b.drain(ctx, d.name, d.keys); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return b.save()
}

func (b *bench) drain(ctx context.Context, name string, keys int) error {
	if err := b.site.Fill(ctx, 1, 32); err != nil {
		return err
	}
	d, err := b.drainOnce(ctx, b.cfg.Records, keys)
	if err != nil {
		return err
	}
	prefix := "drain." + name + "."
	b.results.Set(prefix+"records", float64(b.cfg.Records))
	b.results.Set(prefix+"keys", float64(keys))
	b.results.Set(prefix+"seconds", d.took.Seconds())
	b.results.Set(prefix+"records_per_s", d.perSecond)
	b.results.Set(prefix+"relay_rss_mib", float64(d.resident)/(1<<20))
	b.results.Set(prefix+"foreign_cpu", d.foreign)
	fmt.Fprintf(b.table.out, "drain of %d records over %d keys: %.1f s, %.0f records/s, relay's memory at most %.0f MiB, others used %.0f%%\n",
		b.cfg.Records, keys, d.took.Seconds(), d.perSecond, float64(d.resident)/(1<<20), 100*d.foreign)
	return nil
}

// drained is what one drain has shown.
type drained struct {
	took      time.Duration
	perSecond float64
	resident  int64   // the most memory that the first relay had
	foreign   float64 // the share of the machine that others used
}

// drainOnce leaves so many records over so many keys, and waits until they are settled.
func (b *bench) drainOnce(ctx context.Context, records, keys int) (d drained, err error) {
	if err := b.leaveBacklog(ctx, records, keys); err != nil {
		return d, fmt.Errorf("leaving the backlog: %w", err)
	}
	began, before := time.Now(), turns.Others()
	if d.resident, err = b.awaitEmpty(ctx); err != nil {
		return d, err
	}
	d.took = time.Since(began)
	d.foreign = before.Until(turns.Others())
	d.perSecond = float64(records) / d.took.Seconds()
	return d, b.allNewest(ctx, keys)
}

// leaveBacklog leaves the records in one transaction, so that the relay sees all of them at once when it commits. Postgres has looked at the tables
// by then, as it does about once a minute while a backlog grows.
func (b *bench) leaveBacklog(ctx context.Context, records, keys int) error {
	return pgx.BeginFunc(ctx, b.site.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, backlogSQL, records, keys, string(letters(b.cfg.Payloads[0]))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "ANALYZE tidelock.outbox, tidelock.versions")
		return err
	})
}

// awaitEmpty waits until no record is left and returns the most memory that the relay had.
func (b *bench) awaitEmpty(ctx context.Context) (resident int64, err error) {
	for left := true; left; {
		if err := b.site.DB.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM tidelock.outbox)").Scan(&left); err != nil {
			return 0, err
		}
		now, err := residentBytes(b.site.Relays[0].Pid)
		if err != nil {
			return 0, err
		}
		resident = max(resident, now)
		select {
		case <-b.site.Relays[0].Done():
			return 0, errors.New("the relay has ended")
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return resident, nil
}

// residentBytes reads how much memory a process holds; 0 where /proc does not tell.
func residentBytes(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0, nil
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

// allNewest is an error unless the cache holds, of every key, the version that Postgres has.
func (b *bench) allNewest(ctx context.Context, keys int) error {
	c, err := b.site.NewCache(ctx, 0)
	if err != nil {
		return err
	}
	rows, err := b.site.DB.Query(ctx, "SELECT key, version FROM tidelock.versions WHERE starts_with(key, 'backlog:')")
	if err != nil {
		return err
	}
	var names []string
	var versions []int64
	var key string
	var version int64
	if _, err = pgx.ForEachRow(rows, []any{&key, &version}, func() error {
		names, versions = append(names, key), append(versions, version)
		return nil
	}); err != nil {
		return err
	}
	if len(names) != keys {
		return fmt.Errorf("%d keys have a version, want %d", len(names), keys)
	}
	const step = 1000
	for from := 0; from < len(names); from += step {
		to := min(from+step, len(names))
		if err := newest(ctx, c, names[from:to], versions[from:to]); err != nil {
			return err
		}
	}
	return nil
}

func newest(ctx context.Context, c *cache.Cache, names []string, versions []int64) error {
	entries, err := c.GetMany(ctx, names)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e.Kind != cache.Value || e.Version != versions[i] {
			return fmt.Errorf("the cache holds version %d of %s, want %d", e.Version, names[i], versions[i])
		}
	}
	return nil
}
