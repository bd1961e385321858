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

// dispatch takes what is due and publishes it, until ctx ends. While the cache is down it takes nothing.
func (r *Relay) dispatch(ctx context.Context) {
	pause := patience(ctx)
	ready := false // the stream was seen since the last failure
	limit := r.cfg.batch()
	for r.cfg.Cache.Wait(ctx) == nil {
		more, err := r.dispatchOnce(ctx, &ready, limit)
		if err == nil {
			limit = min(2*limit, r.cfg.batch())
		}
		switch {
		case err == nil && more:
			pause.Reset()
		case err == nil:
			pause.Reset()
			sleep(ctx, r.cfg.poll())
		case full(err):
			limit = max(limit/2, 1) // what finds no room is claimed for nothing
			sleep(ctx, r.cfg.poll())
		default:
			ready = false
			r.log.Warn("dispatch_failed", zap.Error(err))
			sleep(ctx, max(pause.NextBackOff(), 0))
		}
	}
}

// dispatchOnce publishes one batch and reports whether there may be more. What it cannot publish it gives back.
func (r *Relay) dispatchOnce(ctx context.Context, ready *bool, limit int) (more bool, err error) {
	if !*ready {
		if _, err := r.ensure(ctx); err != nil {
			return false, err
		}
		*ready = true
	}
	bounded, cancel := bounded(ctx, callTimeout)
	defer cancel()
	claims, seen, err := outbox.Take(bounded, r.cfg.DB, limit, r.cfg.lease())
	if err != nil {
		return false, err
	}
	return seen == limit, r.hand(ctx, claims, seen)
}

// hand publishes what was claimed; the rest of what was seen is superseded.
func (r *Relay) hand(ctx context.Context, claims []outbox.Claim, seen int) error {
	r.taken.Add(int64(len(claims)))
	r.superseded.Add(int64(seen - len(claims)))
	pieces := chunks(claims, r.cfg.chunkRecords(), r.cfg.chunkBytes())
	for i, piece := range pieces {
		if err := r.publish(ctx, encodeChunk(piece)); err != nil {
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
	claims, seen, err := outbox.TakeNamed(bounded, r.cfg.DB, versions, r.cfg.lease())
	if err == nil {
		err = r.hand(ctx, claims, seen)
	}
	if err != nil {
		r.log.Debug("nudge_failed", zap.Error(err))
	}
}
