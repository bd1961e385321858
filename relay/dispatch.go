package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// natsTimeout bounds a call to NATS. A request that is under way when the server goes away gets no answer, and no error either.
const natsTimeout = 2 * time.Second

// walk is how far a dispatcher has come in its walk through what is due. It walks again and again.
type walk struct {
	place  outbox.Place
	ready  bool // the stream was seen since the last failure
	limit  int  // the most records to take at once
	begun  time.Time
	window time.Duration // how far back it goes, 0 for through everything

	whole time.Time // when a walk through everything began that met nothing
	next  time.Time // when the next one is worth its price

	drawn int64         // the latest version that had been drawn at the last claim
	asked time.Time     // when that was
	rest  time.Duration // until the next
}

const (
	// lateMost is how long before its commit a record may have come due and still be met by a walk that does not go through everything.
	lateMost = 5 * time.Second
	// walkShare is the share of the time that walks through everything may take while they meet nothing, but there is one every walkPause.
	walkShare, walkPause = 20, 5 * time.Second
)

// begin begins a walk. Where the last one through everything met nothing and took long, for a transaction keeps what was deleted from being cleared away, say,
// it goes no further than what can have come due since.
func (w *walk) begin(now time.Time) {
	w.begun, w.window = now, 0
	if now.Before(w.next) {
		w.window = now.Sub(w.whole) + lateMost
	}
}

// end ends a walk, which has met something or not.
func (w *walk) end(now time.Time, met bool) {
	switch {
	case met:
		w.next = time.Time{}
	case w.window == 0:
		w.whole, w.next = w.begun, now.Add(min(walkShare*now.Sub(w.begun), walkPause))
	}
}

const (
	// writeCost is about what a write takes of the processors that Postgres has.
	writeCost = 100 * time.Microsecond
	// restMost is how many times as long as a claim took a dispatcher may rest after it, and restLongest how long: a claim that waited for something says nothing.
	restMost, restLongest = 2, 500 * time.Millisecond
)

// claimed says how long to rest after a claim that found so much that there may be more: as many times as long as it took as processors are kept busy by
// those who write. A backlog can wait a little, and they cannot: without rests they would share what it leaves them.
func (w *walk) claimed(drawn int64, began, now time.Time, more bool) {
	w.rest = 0
	if since := now.Sub(w.asked); more && w.drawn > 0 && since > 0 {
		busy := float64(drawn-w.drawn) * float64(writeCost) / float64(since)
		w.rest = min(time.Duration(float64(now.Sub(began))*min(max(busy, 0), restMost)), restLongest)
	}
	w.drawn, w.asked = drawn, now
}

// dispatch takes what is due and publishes it, until ctx ends. While the cache is down it takes nothing.
func (r *Relay) dispatch(ctx context.Context) {
	pause := patience(ctx)
	w := walk{limit: r.cfg.batch()}
	for r.cfg.Cache.Wait(ctx) == nil {
		more, err := r.dispatchOnce(ctx, &w)
		if err == nil {
			w.limit = min(2*w.limit, r.cfg.batch())
		}
		switch {
		case err == nil && more:
			pause.Reset()
			sleep(ctx, w.rest)
		case err == nil:
			pause.Reset()
			sleep(ctx, r.cfg.poll())
		case full(err):
			w.limit = max(w.limit/2, 1) // what finds no room is claimed for nothing
			r.awaitRoom(ctx)
		default:
			w.ready = false
			r.log.Warn("dispatch_failed", zap.Error(err))
			sleep(ctx, max(pause.NextBackOff(), 0))
		}
	}
}

// dispatchOnce publishes one batch and reports whether there may be more. What it cannot publish it gives back.
func (r *Relay) dispatchOnce(ctx context.Context, w *walk) (more bool, err error) {
	w.rest = 0
	if !w.ready {
		if _, err := r.ensure(ctx); err != nil {
			return false, err
		}
		w.ready = true
	}
	room, err := r.room(ctx)
	if err != nil {
		return false, err
	}
	if room == 0 {
		r.awaitRoom(ctx)
		return true, nil
	}
	if w.place == (outbox.Place{}) {
		w.begin(time.Now())
	}
	limit := min(w.limit, room*r.cfg.chunkRecords())
	bounded, cancel := bounded(ctx, callTimeout)
	defer cancel()
	began := time.Now()
	taken, err := outbox.Take(bounded, r.cfg.DB, w.place, w.window, limit, r.cfg.lease())
	if err != nil {
		return false, err
	}
	w.place = outbox.Place{}
	if more = taken.Seen == limit; more {
		w.place = taken.Next
	} else {
		w.end(time.Now(), taken.Seen > 0)
	}
	w.claimed(taken.Drawn, began, time.Now(), more)
	return more, r.hand(ctx, taken)
}

// awaitRoom waits until a consumer of this relay is done with a chunk, or for a moment: those of others are not heard of.
func (r *Relay) awaitRoom(ctx context.Context) {
	timer := time.NewTimer(r.cfg.poll())
	defer timer.Stop()
	select {
	case <-r.freed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hand publishes what was claimed; the rest of what was seen is superseded.
func (r *Relay) hand(ctx context.Context, taken outbox.Taken) error {
	r.taken.Add(int64(len(taken.Claims)))
	r.superseded.Add(int64(taken.Deleted))
	pieces := chunks(r.wanted(taken.Claims), r.cfg.chunkRecords(), r.cfg.chunkBytes())
	for i, piece := range pieces {
		if err := r.publish(ctx, piece); err != nil {
			for _, rest := range pieces[i:] {
				r.release(ctx, versionsOf(rest), 0)
			}
			return fmt.Errorf("publishing a chunk: %w", err)
		}
	}
	return nil
}

// release gives records back, also when the time is up that ctx gave for settling them. If Postgres does not hear of it, they are due when their lease ends.
func (r *Relay) release(ctx context.Context, versions []int64, after time.Duration) {
	if len(versions) == 0 {
		return
	}
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	r.released.Add(int64(len(versions)))
	if err := outbox.Release(ctx, r.cfg.DB, versions, after); err != nil {
		r.log.Warn("release_failed", zap.Int("records", len(versions)), zap.Error(err))
	}
}

// listen takes records that their writers could not settle, before they come due. One relay of each stream, that is of each database, hears each nudge;
// one that gets lost costs the rest of the grace.
func (r *Relay) listen(ctx context.Context) {
	nudges := make(chan *nats.Msg, 256)
	subscription, err := r.cfg.NATS.ChanQueueSubscribe(outbox.NudgeSubject, r.cfg.stream(), nudges)
	if err != nil {
		r.log.Warn("listening_for_nudges_failed", zap.Error(err))
		return
	}
	defer func() { _ = subscription.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return
		case nudge := <-nudges:
			r.nudged(ctx, gather(nudges, nudge))
		}
	}
}

// nudgeMost bounds how many records are taken at once for nudges.
const nudgeMost = 2000

// gather reads the versions of a nudge, and of those that wait behind it.
func gather(nudges <-chan *nats.Msg, first *nats.Msg) (versions []int64) {
	for nudge := first; ; {
		var some []int64
		if json.Unmarshal(nudge.Data, &some) == nil { // anybody may publish there
			versions = append(versions, some...)
		}
		if len(versions) >= nudgeMost {
			return versions
		}
		select {
		case nudge = <-nudges:
		default:
			return versions
		}
	}
}

// nudged takes the records at once, if the cache answers.
func (r *Relay) nudged(ctx context.Context, versions []int64) {
	if len(versions) == 0 || r.cfg.Cache.Breaker() != cache.Closed {
		return
	}
	bounded, cancel := bounded(ctx, callTimeout)
	defer cancel()
	taken, err := outbox.TakeNamed(bounded, r.cfg.DB, versions, r.cfg.lease())
	if err == nil {
		err = r.hand(ctx, taken)
	}
	if err != nil {
		r.log.Debug("nudge_failed", zap.Error(err))
	}
}
