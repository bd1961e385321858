package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// outage measures what writes cost while Valkey is away, what is left behind, and how the callers fare while the relay works it off.
func (b *bench) outage(ctx context.Context) error {
	for _, how := range []string{"paused", "killed"} {
		if err := b.outageOf(ctx, how); err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
	}
	return b.save()
}

// healthy is how long the load is measured before Valkey goes away.
const healthyFor = 15 * time.Second

func (b *bench) outageOf(ctx context.Context, how string) (err error) {
	cell := turns.Cell{Clients: b.cfg.Busy, Payload: b.cfg.Payloads[0], Keys: b.cfg.Keys}
	if err := b.site.Fill(ctx, cell.Keys, cell.Payload); err != nil {
		return err
	}
	held, err := b.site.NewCacheAt(ctx, b.site.Stack.Valkey.Addr(), 0) // with the deadline that a caller has by default
	if err != nil {
		return err
	}
	ours, err := subject.NewTidelock(ctx, b.site.DB, held, b.site.NATS, "tide:", false)
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := ours.Install(ctx, b.site.Valkey); err != nil {
		return err
	}
	o := &outageRun{bench: b, prefix: "outage." + how + ".", ours: ours}
	o.writes = startLoad(ctx, cell, 0, ours.Put)
	few := cell
	few.Clients = b.cfg.Few
	o.reads = startLoad(ctx, few, readPace, ours.Get())
	defer func() { err = errors.Join(err, o.writes.stop(), o.reads.stop()) }()
	return o.run(ctx, how)
}

// readPace is the least time between two reads of a client, so that readers leave the machine to the writers.
const readPace = 20 * time.Millisecond

// outageRun is one outage.
type outageRun struct {
	*bench
	prefix        string
	ours          *subject.Tidelock
	writes, reads *load
}

func (o *outageRun) run(ctx context.Context, how string) error {
	if _, err := o.writes.during(3 * time.Second); err != nil { // warm
		return err
	}
	o.reads.window()
	healthy, err := o.writes.during(healthyFor)
	if err != nil {
		return err
	}
	o.note("healthy", healthy, o.reads.window())
	disk, memory, err := o.backlog(ctx)
	if err != nil {
		return err
	}
	if err := o.down(how); err != nil {
		return err
	}
	during, err := o.writes.during(o.cfg.Outage)
	if err != nil {
		return err
	}
	o.note("outage", during, o.reads.window())
	o.results.Set(o.prefix+"outage_to_healthy.ratio", during.perSecond()/healthy.perSecond())
	o.results.Set(o.prefix+"seconds", o.cfg.Outage.Seconds())
	if err := o.noteBacklog(ctx, disk, memory); err != nil {
		return err
	}
	if err := o.up(ctx, how); err != nil {
		return err
	}
	return o.recover(ctx, healthy)
}

func (o *outageRun) down(how string) error {
	if how == "paused" {
		return o.site.Stack.Valkey.Pause()
	}
	return o.site.Stack.Valkey.Kill()
}

func (o *outageRun) up(ctx context.Context, how string) error {
	if how == "paused" {
		return o.site.Stack.Valkey.Resume()
	}
	return o.site.Stack.Valkey.Start(ctx)
}

// note sets what writers and readers did in a phase.
func (o *outageRun) note(phase string, writes, reads window) {
	for name, w := range map[string]window{"writes": writes, "reads": reads} {
		o.results.Set(o.prefix+phase+"."+name+"_per_s", w.perSecond())
		o.results.Set(o.prefix+phase+"."+name+"_p99_us", micro(w.p99()))
		o.results.Set(o.prefix+phase+"."+name+"_p50_us", float64(w.times.ValueAtQuantile(50)))
	}
	fmt.Fprintf(o.table.out, "%s%-8s writes %8.0f a second, p99 %-12s reads %6.0f a second, p99 %s\n", o.prefix, phase,
		writes.perSecond(), writes.p99(), reads.perSecond(), reads.p99())
}

// backlog returns the bytes of the outbox and of the relay's memory.
func (o *outageRun) backlog(ctx context.Context) (disk, memory float64, err error) {
	if err := o.site.DB.QueryRow(ctx, "SELECT sum(pg_total_relation_size(relid))::float8 FROM pg_partition_tree('tidelock.outbox')").Scan(&disk); err != nil {
		return 0, 0, err
	}
	resident, err := residentBytes(o.site.Relays[0].Pid)
	return disk, float64(resident), err
}

// noteBacklog sets what has gathered, and what a record of it takes.
func (o *outageRun) noteBacklog(ctx context.Context, diskBefore, memoryBefore float64) error {
	disk, memory, err := o.backlog(ctx)
	if err != nil {
		return err
	}
	pending, err := o.pending(ctx)
	if err != nil {
		return err
	}
	per := max(1, float64(pending))
	o.results.Set(o.prefix+"pending", float64(pending))
	o.results.Set(o.prefix+"outbox_bytes_per_record", disk/per)
	o.results.Set(o.prefix+"outbox_bytes_before", diskBefore)
	o.results.Set(o.prefix+"outbox_bytes", disk)
	o.results.Set(o.prefix+"relay_rss_bytes_before", memoryBefore)
	o.results.Set(o.prefix+"relay_rss_bytes", memory)
	o.results.Set(o.prefix+"relay_memory_bytes_per_record", max(0, memory-memoryBefore)/per)
	fmt.Fprintf(o.table.out, "%s%d records wait: %.0f bytes each in Postgres, the relay's memory went from %.0f to %.0f MiB\n", o.prefix, pending,
		disk/per, memoryBefore/(1<<20), memory/(1<<20))
	return nil
}

func (o *outageRun) pending(ctx context.Context) (n int64, err error) {
	err = o.site.DB.QueryRow(ctx, "SELECT count(*) FROM tidelock.outbox WHERE due_at < now() + interval '1 hour' AND aside IS NULL").Scan(&n)
	return n, err
}

// recover measures from the return on until what was left behind is done: every record with a version up to the latest at the return.
func (o *outageRun) recover(ctx context.Context, healthy window) error {
	began := time.Now()
	o.writes.window()
	o.reads.window()
	o.ours.Loads.Store(0)
	var last int64
	if err := o.site.DB.QueryRow(ctx, "SELECT last_value FROM tidelock.version_seq").Scan(&last); err != nil {
		return err
	}
	peak, peakUnder, before := 0.0, int64(0), int64(0)
	seen := time.Now()
	for left := true; left; {
		if err := pause(o.writes.ctx, 100*time.Millisecond); err != nil {
			return context.Cause(o.writes.ctx)
		}
		now, loads := time.Now(), o.ours.Loads.Load()
		peak = max(peak, float64(loads-before)/now.Sub(seen).Seconds())
		peakUnder = max(peakUnder, o.ours.MostLoading.Swap(0))
		before, seen = loads, now
		const anyLeft = "SELECT EXISTS (SELECT 1 FROM tidelock.outbox WHERE version <= $1 AND aside IS NULL)"
		if err := o.site.DB.QueryRow(ctx, anyLeft, last).Scan(&left); err != nil {
			return err
		}
		if time.Since(began) > drainMost {
			fmt.Fprintf(o.table.out, "%sthe backlog is not done after %s\n", o.prefix, drainMost)
			left = false
		}
	}
	o.results.Set(o.prefix+"drain_s", time.Since(began).Seconds())
	draining, reads := o.writes.window(), o.reads.window()
	o.note("draining", draining, reads)
	o.results.Set(o.prefix+"draining_p99_to_healthy.ratio", float64(draining.p99())/float64(healthy.p99()))
	o.results.Set(o.prefix+"draining_writes_to_healthy.ratio", draining.perSecond()/healthy.perSecond())
	o.results.Set(o.prefix+"peak_loads_per_s", peak)
	o.results.Set(o.prefix+"peak_loads_at_once", float64(peakUnder))
	fmt.Fprintf(o.table.out, "%sdrained after %.1f s; at most %.0f loads a second from Postgres, %d at once\n", o.prefix,
		time.Since(began).Seconds(), peak, peakUnder)
	return nil
}

// drainMost is how long the backlog may take; beyond it the run goes on without.
const drainMost = 10 * time.Minute
