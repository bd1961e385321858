package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// counters is what the traffic has done so far.
type counters struct {
	writes, reads, hits, deferred, naiveHits, naiveReads, failedReads atomic.Int64
	scheduled                                                         atomic.Int64 // flights on the boards
}

// traffic runs writers and readers on both boards, every step and every read on one and then on the other.
type traffic struct {
	flights []flight
	boards  [2]board // Tidelock's, the naive one
	count   *counters
	acked   []ack
	events  []event
	fed     atomic.Int64 // events begun

	mu    sync.Mutex
	fault error // the first write that Tidelock's board refused; guarded by mu
}

// ack is what has been acknowledged of a flight on Tidelock's board, and what later steps wait for.
type ack struct {
	scheduled chan struct{} // closed once the flight is on both boards
	delayed   chan struct{} // closed once its delay is, for cancelled flights
	steps     [4]atomic.Bool
}

func newTraffic(all []flight, boards [2]board, count *counters) *traffic {
	t := &traffic{flights: all, boards: boards, count: count, acked: make([]ack, len(all)), events: timetable(all)}
	for i := range t.acked {
		t.acked[i].scheduled, t.acked[i].delayed = make(chan struct{}), make(chan struct{})
	}
	return t
}

// run plays the timetable over the given time with so many writers and readers, and returns when all steps are done.
func (t *traffic) run(ctx context.Context, over time.Duration, writers, readers int) error {
	feed := make(chan event)
	var writing, reading sync.WaitGroup
	for range writers {
		writing.Go(func() {
			for e := range feed {
				t.step(ctx, e)
			}
		})
	}
	readCtx, stop := context.WithCancel(ctx)
	for range readers {
		reading.Go(func() { t.readAll(readCtx) })
	}
	t.pace(ctx, over, feed)
	close(feed)
	writing.Wait()
	stop()
	reading.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault
}

// pace feeds the events evenly over the time, or as fast as the writers take them.
func (t *traffic) pace(ctx context.Context, over time.Duration, feed chan<- event) {
	start := time.Now()
	for i, e := range t.events {
		due := start.Add(over * time.Duration(i) / time.Duration(len(t.events)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		select {
		case feed <- e:
			t.fed.Add(1)
		case <-ctx.Done():
			return
		}
	}
}

// progress is the share of the timetable that has begun.
func (t *traffic) progress() float64 { return float64(t.fed.Load()) / float64(len(t.events)) }

// step waits for the steps that must come before, then writes to both boards.
func (t *traffic) step(ctx context.Context, e event) {
	a := &t.acked[e.flight]
	switch e.step {
	case departed, delayed:
		await(ctx, a.scheduled)
	case cancelled:
		await(ctx, a.delayed)
	}
	f := t.flights[e.flight]
	for i, b := range t.boards {
		err := b.write(ctx, f, e.step)
		if i > 0 {
			continue
		}
		if err != nil {
			t.fail(ctx, f, err)
			continue
		}
		a.steps[e.step].Store(true)
		t.count.writes.Add(1)
	}
	switch e.step {
	case scheduled:
		close(a.scheduled)
		t.count.scheduled.Store(max(t.count.scheduled.Load(), int64(e.flight+1)))
	case delayed:
		close(a.delayed)
	}
}

func await(ctx context.Context, done <-chan struct{}) {
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// fail keeps the first write that was refused. Postgres is never down in the demo, so there must be none.
func (t *traffic) fail(ctx context.Context, f flight, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == nil && ctx.Err() == nil {
		t.fault = fmt.Errorf("writing flight %d: %w", f.id, err)
	}
}

// readPause keeps the readers from taking the whole machine.
const readPause = 2 * time.Millisecond

// readAll reads flights, mostly those that are changing, until ctx ends.
func (t *traffic) readAll(ctx context.Context) {
	for ctx.Err() == nil {
		if n := int(t.count.scheduled.Load()); n > 0 {
			t.readOne(ctx, pick(n))
		}
		select {
		case <-time.After(readPause):
		case <-ctx.Done():
		}
	}
}

func pick(n int) int {
	if recent := min(n, 2*lag); rand.N(4) > 0 {
		return n - rand.N(recent)
	}
	return 1 + rand.N(n)
}

func (t *traffic) readOne(ctx context.Context, id int) {
	hit, err := t.boards[0].read(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			t.count.failedReads.Add(1)
		}
		return
	}
	t.count.reads.Add(1)
	if hit {
		t.count.hits.Add(1)
	}
	if hit, err = t.boards[1].read(ctx, id); err == nil {
		t.count.naiveReads.Add(1)
		if hit {
			t.count.naiveHits.Add(1)
		}
	}
}
