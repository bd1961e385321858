package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

//go:embed sql/relations.sql
var relationsSQL string

// churn writes without a pause and looks whether the last writes are as fast as the first, what the tables and indexes have grown to, and the
// same with a transaction that stays open, so that Postgres may clear away nothing that has died since: ours, and by hand, for the rows get slower by themselves. By hand
// there are a tenth of the writes to a tenth of the keys, so each row is changed as often.
func (b *bench) churn(ctx context.Context) error {
	var rates, tails, costs []line
	hand := subject.Hand{DB: b.site.DB, Valkey: b.site.Valkey}
	for _, c := range []struct {
		name, title string
		held        bool
		share       int
		write       func(context.Context, *turns.Client) error
	}{
		{"free", "nothing holds xmin", false, 1, b.ours.Put},
		{"held", "a transaction holds xmin", true, 1, b.ours.Put},
		{"held_by_hand", "a transaction holds xmin, by hand", true, 10, hand.Autocommit},
	} {
		windows, err := b.churnOnce(ctx, c.name, c.held, c.share, c.write)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := b.save(); err != nil {
			return err
		}
		rate, tail, cost := line{name: c.title}, line{name: c.title}, line{name: c.title}
		for _, w := range windows {
			rate.points = append(rate.points, point{w.until.Seconds(), w.perSecond()})
			tail.points = append(tail.points, point{w.until.Seconds(), w.p99().Seconds() * 1000})
			cost.points = append(cost.points, point{w.until.Seconds(), w.each(w.processor)})
		}
		rates, tails, costs = append(rates, rate), append(tails, tail), append(costs, cost)
	}
	return errors.Join(b.drawScaled("churn-rate", "Put under a load that never ends", "seconds", "a second", false, rates),
		b.drawScaled("churn-p99", "Put under a load that never ends", "seconds", "p99, ms", false, tails),
		b.drawScaled("churn-cpu", "Put under a load that never ends", "seconds", "processor time each, us", false, costs), b.save())
}

// churnOnce makes the writes in windows. The first minute is what the last window is held against, or the first fifth if that is shorter.
func (b *bench) churnOnce(ctx context.Context, name string, held bool, share int, write func(context.Context, *turns.Client) error) (windows []window, err error) {
	cell := turns.Cell{Clients: b.cfg.Busy, Payload: b.cfg.Payloads[0], Keys: b.cfg.ChurnKeys / share}
	if err := b.site.Fill(ctx, cell.Keys, cell.Payload); err != nil {
		return nil, err
	}
	if err := b.ours.Install(ctx, b.site.Valkey); err != nil {
		return nil, err
	}
	if held {
		release, err := b.holdXmin(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	before, err := b.relations(ctx)
	if err != nil {
		return nil, err
	}
	l := startLoad(ctx, cell, 0, write)
	for l.done.Load() < int64(b.cfg.Churn/share) && err == nil {
		var w window
		if w, err = l.during(b.cfg.Window); err == nil {
			windows = append(windows, w)
			b.noteWindow(name, len(windows), w)
		}
	}
	if err = errors.Join(err, l.stop()); err != nil {
		return windows, err
	}
	after, err := b.relations(ctx)
	if err != nil {
		return windows, err
	}
	b.noteChurn(name, windows, before, after)
	return windows, errors.Join(b.explain(ctx, name), b.awaitSettled(ctx))
}

// holdXmin opens a transaction that sees the database as it is now, and keeps it open.
func (b *bench) holdXmin(ctx context.Context) (release func(), err error) {
	conn, err := pgx.Connect(ctx, b.site.Stack.Postgres.URL())
	if err != nil {
		return nil, err
	}
	if _, err = conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ"); err == nil {
		_, err = conn.Exec(ctx, "SELECT count(*) FROM tidelock.versions")
	}
	return func() { _ = conn.Close(context.WithoutCancel(ctx)) }, err
}

// relation is what Postgres knows of a table.
type relation struct {
	table, indexes, dead, updated, hot float64 // bytes, bytes, rows, rows, rows
}

// relations are the tables of schema tidelock. A session of Postgres tells what it has counted seconds later, or when it ends.
func (b *bench) relations(ctx context.Context) (map[string]relation, error) {
	b.site.DB.Reset()
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	rows, err := b.site.DB.Query(ctx, relationsSQL)
	if err != nil {
		return nil, err
	}
	all := make(map[string]relation)
	var name string
	var r relation
	_, err = pgx.ForEachRow(rows, []any{&name, &r.table, &r.indexes, &r.dead, &r.updated, &r.hot}, func() error {
		all[name] = r
		return nil
	})
	return all, err
}

func (b *bench) noteWindow(name string, n int, w window) {
	prefix := fmt.Sprintf("churn.%s.window_%03d.", name, n)
	b.results.Set(prefix+"until_s", w.until.Seconds())
	b.results.Set(prefix+"per_s", w.perSecond())
	b.results.Set(prefix+"p99_us", micro(w.p99()))
	b.results.Set(prefix+"cpu_us", w.each(w.processor))
	fmt.Fprintf(b.table.out, "  churn, xmin %s, until %5.0f s: %8.0f a second, p99 %s, processor %.0f µs each, Postgres's %.0f\n", name,
		w.until.Seconds(), w.perSecond(), w.p99().Round(100*time.Microsecond), w.each(w.processor), w.each(w.postgres))
}

func (b *bench) noteChurn(name string, windows []window, before, after map[string]relation) {
	prefix := "churn." + name + "."
	first := firstOf(windows)
	last := windows[len(windows)-1]
	b.results.Set(prefix+"first_per_s", first.perSecond())
	b.results.Set(prefix+"last_per_s", last.perSecond())
	b.results.Set(prefix+"last_to_first.ratio", last.perSecond()/first.perSecond())
	b.results.Set(prefix+"first_p99_us", micro(first.p99()))
	b.results.Set(prefix+"last_p99_us", micro(last.p99()))
	b.results.Set(prefix+"p99_last_to_first.ratio", float64(last.p99())/float64(first.p99()))
	b.results.Set(prefix+"first_cpu_us", first.each(first.processor))
	b.results.Set(prefix+"last_cpu_us", last.each(last.processor))
	b.results.Set(prefix+"cpu_last_to_first.ratio", last.each(last.processor)/first.each(first.processor))
	b.results.Set(prefix+"first_postgres_cpu_us", first.each(first.postgres))
	b.results.Set(prefix+"last_postgres_cpu_us", last.each(last.postgres))
	fmt.Fprintf(b.table.out, "churn, xmin %s: first %.0f a second, p99 %s; last %.0f, p99 %s\n", name,
		first.perSecond(), first.p99(), last.perSecond(), last.p99())
	for _, table := range []string{"versions", "outbox"} {
		x, y := before[table], after[table]
		b.results.Set(prefix+table+".table_bytes_before", x.table)
		b.results.Set(prefix+table+".table_bytes_after", y.table)
		b.results.Set(prefix+table+".index_bytes_before", x.indexes)
		b.results.Set(prefix+table+".index_bytes_after", y.indexes)
		b.results.Set(prefix+table+".dead_rows_after", y.dead)
		hot := 0.0
		if y.updated > x.updated {
			hot = (y.hot - x.hot) / (y.updated - x.updated)
			b.results.Set(prefix+table+".hot_share", hot)
		}
		fmt.Fprintf(b.table.out, "  %-8s table %.1f → %.1f MiB, indexes %.1f → %.1f MiB, dead rows %.0f, HOT updates %.1f%%\n", table,
			x.table/(1<<20), y.table/(1<<20), x.indexes/(1<<20), y.indexes/(1<<20), y.dead, 100*hot)
	}
}

// firstOf sums up the windows of the first minute, or of the first fifth of the run if that is shorter.
func firstOf(windows []window) window {
	end := min(time.Minute, windows[len(windows)-1].until/5)
	first := window{times: newTimes()}
	for i, w := range windows {
		if i > 0 && w.until > end {
			break
		}
		first.until, first.took = w.until, first.took+w.took
		first.processor, first.postgres = first.processor+w.processor, first.postgres+w.postgres
		first.times.Merge(w.times)
	}
	return first
}

// explain leaves how Postgres runs the statements that look for what is due and for a key's version, as the tables are now.
func (b *bench) explain(ctx context.Context, name string) error {
	var text strings.Builder
	for _, statement := range explained {
		rows, err := b.site.DB.Query(ctx, "EXPLAIN (ANALYZE, BUFFERS) "+statement)
		if err != nil {
			return err
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s\n\n%s\n\n\n", statement, strings.Join(plan, "\n"))
	}
	if err := os.MkdirAll(b.cfg.Out, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.cfg.Out, "churn-"+name+".txt"), []byte(text.String()), 0o644)
}

// explained are the parts of Tidelock's statements that walk through tables and indexes.
var explained = []string{
	"SELECT version FROM tidelock.outbox WHERE due_at <= now() AND aside IS NULL ORDER BY due_at LIMIT 2000",
	"SELECT count(*) FROM tidelock.outbox WHERE version >= (SELECT last_value - 1000 FROM tidelock.version_seq)",
	"SELECT version FROM tidelock.versions WHERE key = 'tide:1'",
	"SELECT count(*) FROM tidelock.versions",
}
