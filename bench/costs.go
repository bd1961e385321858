package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/bench/site"
	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// counted are subjects whose way to the servers leads through counters.
type counted struct {
	postgres, valkey *site.Counter
	db               *pgxpool.Pool
	hand             subject.Hand
	ours             *subject.Tidelock
}

// path is one way to do something, whose costs are counted.
type path struct {
	name string
	do   func(context.Context, *turns.Client) error
	cold bool // the cache is empty before
}

// costs counts what an operation asks of the servers, whatever the time: round trips, commands, bytes of WAL. A lone client makes round trips of its
// own; the busy number of clients shows what is shared.
func (b *bench) costs(ctx context.Context) (err error) {
	c, err := b.counted(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := b.countIdle(ctx, c); err != nil {
		return err
	}
	fmt.Fprintf(b.table.out, "\n%-36s %8s %14s %14s %16s %14s  %s\n",
		"an operation costs", "clients", "trips postgres", "trips valkey", "commands valkey", "WAL, bytes", "commands")
	for _, p := range []path{
		{"by hand: UPDATE", c.hand.Update, false},
		{handAutocommit, c.hand.Autocommit, false},
		{ourPut, c.ours.Put, false},
		{handTransaction, c.hand.Transaction, false},
		{ourWrite, c.ours.Write, false},
		{ourPut + ", key not in the cache", c.ours.Put, true},
		{ourWrite + ", key not in the cache", c.ours.Write, true},
		{bareGet, c.hand.Get, false},
		{ourGet, c.ours.Get(), false},
		{bareMGet, c.hand.GetMany, false},
		{ourMany, c.ours.GetMany(), false},
		{ourGet + ", a miss", c.ours.Get(), true},
	} {
		for _, clients := range []int{1, b.cfg.Busy} {
			if err := b.cost(ctx, c, p, clients); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return b.save()
}

func (b *bench) counted(ctx context.Context) (c *counted, err error) {
	c = &counted{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.postgres, err = site.NewCounter(b.site.Stack.Postgres.Addr()); err != nil {
		return c, err
	}
	if c.valkey, err = site.NewCounter(b.site.Stack.Valkey.Addr()); err != nil {
		return c, err
	}
	if c.db, err = b.site.PoolAt(ctx, c.postgres.Addr(), b.cfg.Pool); err != nil {
		return c, err
	}
	c.hand.DB = c.db
	if c.hand.Valkey, err = b.site.NewValkeyAt(c.valkey.Addr()); err != nil {
		return c, err
	}
	held, err := b.site.NewCacheAt(ctx, c.valkey.Addr(), patient)
	if err != nil {
		return c, err
	}
	c.ours, err = subject.NewTidelock(ctx, c.db, held, b.site.NATS, "cost:", false)
	return c, err
}

// patient is the deadline of Tidelock's calls to the cache where what counts is what they do.
const patient = 5 * time.Second

func (c *counted) close() (err error) {
	if c.ours != nil {
		c.ours.Close()
	}
	if c.hand.Valkey != nil {
		c.hand.Valkey.Close()
	}
	if c.db != nil {
		c.db.Close()
	}
	for _, counter := range []*site.Counter{c.postgres, c.valkey} {
		if counter != nil {
			err = errors.Join(err, counter.Close())
		}
	}
	return err
}

// cost counts a path with so many clients. The same operations are done once before, so that pages are in the log and statements prepared.
func (b *bench) cost(ctx context.Context, c *counted, p path, clients int) error {
	cell := turns.Cell{Clients: clients, Payload: b.cfg.Payloads[0], Keys: b.cfg.Operations, Sweep: true}
	if err := b.site.Fill(ctx, cell.Keys, cell.Payload); err != nil {
		return err
	}
	if err := errors.Join(c.hand.Fill(ctx), c.ours.Fill(ctx, cell.Keys)); err != nil {
		return err
	}
	if err := each(ctx, cell, p.do); err != nil {
		return err
	}
	if err := b.awaitSettled(ctx); err != nil {
		return err
	}
	if p.cold {
		if err := b.site.Valkey.Do(ctx, b.site.Valkey.B().Flushall().Sync().Build()).Error(); err != nil {
			return err
		}
	}
	before, err := b.read(ctx, c)
	if err != nil {
		return err
	}
	if err := errors.Join(each(ctx, cell, p.do), b.awaitSettled(ctx)); err != nil {
		return err
	}
	after, err := b.read(ctx, c)
	if err != nil {
		return err
	}
	b.noteCost(p.name, clients, before, after, float64(cell.Keys))
	return nil
}

// each does the operation once for every key of a cell.
func each(ctx context.Context, cell turns.Cell, do func(context.Context, *turns.Client) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for n := range cell.Clients {
		client := turns.NewClient(cell, n)
		work.Go(func() {
			for i := n; i < cell.Keys; i += cell.Clients {
				if err := do(ctx, client); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

// awaitSettled waits until no record is left: retiring them is part of what a write costs.
func (b *bench) awaitSettled(ctx context.Context) error {
	for left := true; left; {
		if err := b.site.DB.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM tidelock.outbox)").Scan(&left); err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// idleFor is how long the servers are left alone to learn what the relay makes them count.
const idleFor = 3 * time.Second

func (b *bench) countIdle(ctx context.Context, c *counted) error {
	before, err := b.read(ctx, c)
	if err != nil {
		return err
	}
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	after, err := b.read(ctx, c)
	if err != nil {
		return err
	}
	seconds := after.at.Sub(before.at).Seconds()
	b.idling = reading{wal: (after.wal - before.wal) / seconds, commands: make(map[string]float64)}
	for name, calls := range after.commands {
		b.idling.commands[name] = (calls - before.commands[name]) / seconds
	}
	return nil
}

// reading is what the servers and the counters have counted.
type reading struct {
	at               time.Time
	postgres, valkey float64            // round trips
	wal              float64            // bytes
	commands         map[string]float64 // by name
}

func (b *bench) read(ctx context.Context, c *counted) (r reading, err error) {
	r = reading{at: time.Now(), postgres: float64(c.postgres.Trips.Load()), valkey: float64(c.valkey.Trips.Load())}
	if err := b.site.DB.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8").Scan(&r.wal); err != nil {
		return r, err
	}
	r.commands, err = b.commands(ctx)
	return r, err
}

// commands returns how often each command was run, those inside of scripts included.
func (b *bench) commands(ctx context.Context) (map[string]float64, error) {
	info, err := b.site.Stack.Valkey.Info(ctx, "commandstats")
	if err != nil {
		return nil, err
	}
	calls := make(map[string]float64, len(info))
	for name, value := range info {
		var n float64
		if _, err := fmt.Sscanf(value, "calls=%f,", &n); err == nil {
			calls[strings.TrimPrefix(name, "cmdstat_")] = n
		}
	}
	return calls, nil
}
