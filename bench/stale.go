package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

const (
	staleKeys    = 50 // of each subject
	staleWriters = 2
	staleReaders = 4
	stalePace    = 4 * time.Millisecond
)

// stale counts reads that return an older value than one whose write was acknowledged before the read began, of each subject, while Valkey is well,
// paused, killed, flushed, and while writers cannot reach it. All subjects work at once, so that the same faults meet all of them at the same moments.
func (b *bench) stale(ctx context.Context) (err error) {
	s := &staleRun{bench: b, counts: make(map[string]*staleCount)}
	if s.way, err = stack.NewProxy(b.site.Stack.Valkey.Addr()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.way.Close()) }()
	if err := b.declare(ctx, "stale:strict:"); err != nil {
		return err
	}
	for _, fault := range []struct {
		name   string
		do, un func(context.Context) error
	}{
		{"healthy", s.nothing, s.nothing},
		{"paused", func(context.Context) error { return b.site.Stack.Valkey.Pause() }, func(context.Context) error { return b.site.Stack.Valkey.Resume() }},
		{"killed", func(context.Context) error { return b.site.Stack.Valkey.Kill() }, b.site.Stack.Valkey.Start},
		{"flushed", s.flush, s.nothing},
		{"writers_cut_off", func(context.Context) error { return s.way.Cut() }, func(context.Context) error { return s.way.Heal() }},
	} {
		if err := s.under(ctx, fault.name, fault.do, fault.un); err != nil {
			return fmt.Errorf("%s: %w", fault.name, err)
		}
	}
	return b.save()
}

// staleRun is the run of all subjects. Writers reach Valkey through the way.
type staleRun struct {
	*bench
	way    *stack.Proxy
	counts map[string]*staleCount
}

// staleCount is what one subject's reads were under one fault.
type staleCount struct{ reads, stale, writes, failed atomic.Int64 }

// fail counts a call that failed, unless the run is over.
func (c *staleCount) fail(ctx context.Context) {
	if ctx.Err() == nil {
		c.failed.Add(1)
	}
}

func (s *staleRun) nothing(context.Context) error { return nil }

func (s *staleRun) flush(ctx context.Context) error {
	return s.site.Valkey.Do(ctx, s.site.Valkey.B().Flushall().Sync().Build()).Error()
}

// under lets all subjects work: a while in health, three times under the fault, and a while after it.
func (s *staleRun) under(ctx context.Context, name string, do, undo func(context.Context) error) error {
	if err := s.ours.AwaitTrust(ctx); err != nil {
		return err
	}
	stores, done, err := s.stores(ctx)
	if err != nil {
		return err
	}
	defer done()
	clear(s.counts)
	working, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	for i, store := range stores {
		s.counts[store.Name] = &staleCount{}
		s.start(working, &work, store, i*staleKeys, s.counts[store.Name])
	}
	for range s.cfg.Faults {
		for _, step := range []func(context.Context) error{s.rest, do, s.rest, undo, s.rest} {
			if err == nil {
				err = step(ctx)
			}
		}
	}
	cancel()
	work.Wait()
	s.noteStale(name)
	return err
}

func (s *staleRun) rest(ctx context.Context) error { return pause(ctx, s.cfg.Rest) }

func (s *staleRun) noteStale(fault string) {
	fmt.Fprintf(s.table.out, "\nstale reads, %s\n", strings.ReplaceAll(fault, "_", " "))
	for _, name := range slices.Sorted(maps.Keys(s.counts)) {
		c := s.counts[name]
		prefix := fmt.Sprintf("stale.%s.%s.", slug(name), fault)
		reads, stale := float64(c.reads.Load()), float64(c.stale.Load())
		s.results.Set(prefix+"reads", reads)
		s.results.Set(prefix+"stale_reads", stale)
		s.results.Set(prefix+"stale_per_million", stale/max(reads, 1)*1e6)
		s.results.Set(prefix+"writes", float64(c.writes.Load()))
		s.results.Set(prefix+"failed", float64(c.failed.Load()))
		fmt.Fprintf(s.table.out, "  %-36s %8.0f reads, %6.0f stale, %6d writes, %5d failed\n", name, reads, stale, c.writes.Load(), c.failed.Load())
	}
}

// start lets the writers and readers of one subject work on rows of their own, from first on.
func (s *staleRun) start(ctx context.Context, work *sync.WaitGroup, store subject.Store, first int, count *staleCount) {
	acked := make([]atomic.Int64, staleKeys)
	cell := turns.Cell{Clients: 1, Payload: 32, Keys: staleKeys}
	for n := range staleWriters + staleReaders {
		client := turns.NewClient(cell, n)
		work.Go(func() {
			for ctx.Err() == nil {
				if k := client.Key(); n < staleWriters {
					writeOnce(ctx, store, first+k, &acked[k], count)
				} else {
					readOnce(ctx, store, first+k, &acked[k], count)
				}
				_ = pause(ctx, stalePace)
			}
		})
	}
}

// callMost is how long a caller waits for any subject: some would wait for ever.
const callMost = 3 * time.Second

func writeOnce(ctx context.Context, store subject.Store, n int, acked *atomic.Int64, count *staleCount) {
	bounded, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	wrote, err := store.Write(bounded, n)
	if err != nil {
		count.fail(ctx)
		return
	}
	count.writes.Add(1)
	for now := acked.Load(); wrote > now && !acked.CompareAndSwap(now, wrote); now = acked.Load() {
	}
}

func readOnce(ctx context.Context, store subject.Store, n int, acked *atomic.Int64, count *staleCount) {
	bounded, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	floor := acked.Load()
	read, err := store.Read(bounded, n)
	switch {
	case err != nil:
		count.fail(ctx)
	case read < floor:
		count.stale.Add(1)
		fallthrough
	default:
		count.reads.Add(1)
	}
}

// stores are the subjects, each with a client for its writers and one for its readers.
func (s *staleRun) stores(ctx context.Context) (stores []subject.Store, done func(), err error) {
	maker := &subject.StoreMaker{DB: s.site.DB, NATS: s.site.NATS, Writers: s.way.Addr(), Readers: s.site.Stack.Valkey.Addr()}
	if err := s.site.Fill(ctx, 16*staleKeys, 32); err != nil {
		return nil, nil, err
	}
	if _, err := s.site.DB.Exec(ctx, "UPDATE items SET body = '0'"); err != nil {
		return nil, nil, err
	}
	stores, err = maker.All(ctx)
	if err != nil {
		maker.Close()
		return nil, nil, err
	}
	return stores, maker.Close, nil
}
