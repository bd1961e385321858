package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/outbox"
)

// bulk is a statement that changes all rows of a table, or copies them there.
type bulk struct {
	name, before, sql string
}

var bulks = []bulk{
	{name: "update", sql: "UPDATE bench_attached SET body = body || 'x'"},
	{name: "truncate", sql: "TRUNCATE bench_attached"},
	{name: "copy", before: "TRUNCATE bench_attached"},
	{name: "delete", sql: "DELETE FROM bench_attached"},
}

// attached measures what it costs a statement to have its changes recorded by triggers, a row: the same statement with the table attached and without, by turns. The relay has settled
// what there was before each of them.
func (b *bench) attached(ctx context.Context) error {
	if _, err := b.site.DB.Exec(ctx, "CREATE TABLE IF NOT EXISTS bench_attached (id int PRIMARY KEY, body text NOT NULL)"); err != nil {
		return err
	}
	took := map[bool]map[string][]float64{false: {}, true: {}}
	for range b.cfg.Rounds {
		for _, on := range []bool{false, true} {
			if err := b.attach(ctx, on); err != nil {
				return err
			}
			for _, k := range bulks {
				each, err := b.bulk(ctx, k)
				if err != nil {
					return fmt.Errorf("%s, attached %t: %w", k.name, on, err)
				}
				took[on][k.name] = append(took[on][k.name], each)
			}
		}
	}
	if err := b.attach(ctx, false); err != nil {
		return err
	}
	fmt.Fprintf(b.table.out, "\nmicroseconds a row of %d: alone, attached\n", b.cfg.Bulk)
	for _, k := range bulks {
		alone, recorded := median(took[false][k.name]), median(took[true][k.name])
		b.results.Set("attach."+k.name+".alone_us_per_row", alone)
		b.results.Set("attach."+k.name+".attached_us_per_row", recorded)
		fmt.Fprintf(b.table.out, "  %-10s %8.2f %8.2f\n", k.name, alone, recorded)
	}
	return b.save()
}

func (b *bench) attach(ctx context.Context, on bool) error {
	if on {
		return outbox.Attach(ctx, b.site.DB, outbox.Attachment{Entity: "bench", Table: pgx.Identifier{"bench_attached"}, Prefix: "attached:", Key: "'attached:' || r.id"}, time.Minute)
	}
	_, err := outbox.Detach(ctx, b.site.DB, "bench", time.Minute)
	return err
}

// bulk runs a statement on a full table, or a copy into an empty one, and returns the microseconds that each row took.
func (b *bench) bulk(ctx context.Context, k bulk) (float64, error) {
	if err := b.fillAttached(ctx, k); err != nil {
		return 0, err
	}
	if _, err := b.awaitEmpty(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	var err error
	if k.sql == "" {
		err = b.copyAttached(ctx)
	} else {
		_, err = b.site.DB.Exec(ctx, k.sql)
	}
	return time.Since(begun).Seconds() * 1e6 / float64(b.cfg.Bulk), err
}

func (b *bench) fillAttached(ctx context.Context, k bulk) error {
	if k.before != "" {
		_, err := b.site.DB.Exec(ctx, k.before)
		return err
	}
	if _, err := b.site.DB.Exec(ctx, "TRUNCATE bench_attached"); err != nil {
		return err
	}
	return b.copyAttached(ctx)
}

func (b *bench) copyAttached(ctx context.Context) error {
	body := string(letters(b.cfg.Payloads[0]))
	_, err := b.site.DB.CopyFrom(ctx, pgx.Identifier{"bench_attached"}, []string{"id", "body"}, pgx.CopyFromSlice(b.cfg.Bulk, func(i int) ([]any, error) { return []any{i, body}, nil }))
	return err
}

func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}
