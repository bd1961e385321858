package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// window is what was done in a part of a run.
type window struct {
	until, took time.Duration // since the begin; how long
	times       *hdrhistogram.Histogram
	processor   float64 // microseconds, of this program and all servers
	postgres    float64 // of those, Postgres's
}

// each is a part of the processor time for each operation.
func (w window) each(processor float64) float64 {
	return processor / max(1, float64(w.times.TotalCount()))
}

func (w window) perSecond() float64 { return float64(w.times.TotalCount()) / w.took.Seconds() }

func (w window) p99() time.Duration {
	return time.Duration(w.times.ValueAtQuantile(99)) * time.Microsecond
}

// load is clients that do one thing without a pause, and what they did since somebody last asked.
type load struct {
	work    sync.WaitGroup
	cancel  context.CancelCauseFunc
	ctx     context.Context
	began   time.Time
	asked   time.Time
	mu      sync.Mutex
	times   *hdrhistogram.Histogram
	done    atomic.Int64
	tooLate atomic.Int64
}

func newTimes() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
}

// startLoad begins a load. It ends with stop, or by an error other than a want of time. pace, if not 0, is the least time from one operation of a
// client to its next.
func startLoad(ctx context.Context, cell turns.Cell, pace time.Duration, do func(context.Context, *turns.Client) error) *load {
	l := &load{began: time.Now(), asked: time.Now(), times: newTimes()}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	for n := range cell.Clients {
		client := turns.NewClient(cell, n)
		l.work.Go(func() {
			for l.ctx.Err() == nil {
				begun := time.Now()
				switch err := do(l.ctx, client); {
				case err == nil:
					l.note(time.Since(begun))
				case turns.TimedOut(err):
					l.tooLate.Add(1)
				case l.ctx.Err() == nil:
					l.cancel(err)
				}
				if rest := pace - time.Since(begun); pace > 0 && rest > 0 {
					_ = pause(l.ctx, rest)
				}
			}
		})
	}
	return l
}

func (l *load) note(took time.Duration) {
	l.done.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.times.RecordValue(min(int64(took/time.Microsecond), l.times.HighestTrackableValue()))
}

// window returns what was done since it was called last.
func (l *load) window() window {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	w := window{until: now.Sub(l.began), took: now.Sub(l.asked), times: l.times}
	l.times, l.asked = newTimes(), now
	return w
}

// during waits and returns what was done meanwhile.
func (l *load) during(d time.Duration) (window, error) {
	before := turns.Others()
	l.window()
	if err := pause(l.ctx, d); err != nil {
		return window{}, context.Cause(l.ctx)
	}
	w := l.window()
	by := before.Spent(turns.Others())
	w.postgres = by["postgres"]
	for _, us := range by {
		w.processor += us
	}
	return w, nil
}

var errEnough = errors.New("enough")

// stop ends the load and returns what broke it, if something did.
func (l *load) stop() error {
	l.cancel(errEnough)
	l.work.Wait()
	if err := context.Cause(l.ctx); !errors.Is(err, errEnough) {
		return err
	}
	return nil
}
