package writer

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/metrics"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	settleEvery   = 20 * time.Millisecond  // gathers retirements; well within the grace
	nudgeEvery    = 2 * time.Millisecond   // gathers nudges, after one that went at once
	settleAgain   = 500 * time.Millisecond // after Postgres did not answer
	settleTimeout = 5 * time.Second
	settleChunk   = 1000
	settleMost    = 100_000 // kept while Postgres does not answer; the rest is left to the relays
)

// settler retires settled records in the background, in batches, and announces deferred ones. Whatever it does not get to comes due,
// and a relay settles it, or finds it settled.
type settler struct {
	db    *pgxpool.Pool
	cache *cache.Cache
	nats  *nats.Conn
	log   *zap.Logger
	took  *metrics.Settles
	wake  chan struct{} // something is settled
	late  chan struct{} // something is deferred
	stop  chan struct{}
	done  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	settled  []outbox.Settled
	deferred []int64
	rejected []outbox.Settled
}

func newSettler(db *pgxpool.Pool, c *cache.Cache, conn *nats.Conn, log *zap.Logger, took *metrics.Settles) *settler {
	s := &settler{db: db, cache: c, nats: conn, log: log, took: took, wake: make(chan struct{}, 1), late: make(chan struct{}, 1), stop: make(chan struct{})}
	s.done.Go(s.run)
	s.done.Go(s.runNudges)
	return s
}

func (s *settler) close() {
	close(s.stop)
	s.done.Wait()
}

func (s *settler) add(key string, version int64, reply cache.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	settled := outbox.Settled{Key: key, Version: version, Server: reply.Server}
	switch {
	case reply.Outcome == cache.Rejected:
		settled.Reason = reply.Err.Error()
		s.rejected = append(s.rejected, settled)
	case reply.Outcome.Done() || mutant.On("retire-after-settled"):
		s.settled = append(s.settled, settled)
	default:
		s.deferred = append(s.deferred, version)
		rouse(s.late)
		return
	}
	rouse(s.wake)
}

func rouse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runNudges tells the relays of deferred records, of a lone one at once.
func (s *settler) runNudges() {
	pause := time.NewTimer(0)
	<-pause.C
	for {
		select {
		case <-s.late:
		case <-s.stop:
			s.nudge(s.takeDeferred())
			return
		}
		s.nudge(s.takeDeferred())
		pause.Reset(nudgeEvery)
		select {
		case <-pause.C:
		case <-s.stop:
		}
	}
}

func (s *settler) takeDeferred() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	deferred := s.deferred
	s.deferred = nil
	return deferred
}

func (s *settler) run() {
	pause := time.NewTimer(0)
	<-pause.C
	every := settleEvery
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			s.flush()
			return
		}
		pause.Reset(every)
		select {
		case <-pause.C:
		case <-s.stop:
		}
		if every = settleEvery; !s.flush() {
			every = settleAgain
			rouse(s.wake)
		}
	}
}

// flush does what has gathered, and reports whether Postgres has answered. What it could not retire it keeps: Postgres may come back as a
// standby that has lost those commits.
func (s *settler) flush() bool {
	s.mu.Lock()
	settled, rejected := s.settled, s.rejected
	s.settled, s.rejected = nil, nil
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	var kept []outbox.Settled
	var deferred []int64
	for chunk := range slices.Chunk(settled, settleChunk) {
		left, err := s.retire(ctx, chunk)
		if err != nil {
			s.log.Warn("retire_failed", zap.Int("records", len(chunk)), zap.Error(err))
			kept = append(kept, chunk...)
		}
		deferred = append(deferred, left...)
	}
	if len(rejected) > 0 {
		if err := outbox.SetAside(ctx, s.db, rejected); err != nil {
			s.log.Warn("set_aside_failed", zap.Int("records", len(rejected)), zap.Error(err))
		}
	}
	s.nudge(deferred)
	s.keep(kept)
	return len(kept) == 0
}

// retire deletes the records and returns the versions of those that may be left: a relay was faster, or they were settled on another
// server than the one on record, or Postgres has lost them.
func (s *settler) retire(ctx context.Context, settled []outbox.Settled) (left []int64, err error) {
	done, err := outbox.Retire(ctx, s.db, settled)
	if err != nil {
		return nil, err
	}
	s.took.Add(done.Ages, done.Seconds)
	if done.Records == int64(len(settled)) {
		return nil, nil
	}
	if !mutant.On("recall-lost") {
		if err := outbox.Recall(ctx, s.db, settled, s.cache.Drop); err != nil {
			return nil, err
		}
	}
	for _, one := range settled {
		left = append(left, one.Version)
	}
	return left, nil
}

func (s *settler) keep(kept []outbox.Settled) {
	if len(kept) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = append(kept, s.settled...)
	s.settled = s.settled[max(0, len(s.settled)-settleMost):]
}

// nudge tells the relays which records to take without waiting for their grace to end. It is a hint: it may get lost.
func (s *settler) nudge(versions []int64) {
	if s.nats == nil || !s.nats.IsConnected() {
		return
	}
	for chunk := range slices.Chunk(versions, settleChunk) {
		hint, err := json.Marshal(chunk)
		if err == nil {
			err = s.nats.Publish(outbox.NudgeSubject, hint)
		}
		if err != nil {
			s.log.Debug("nudge_failed", zap.Error(err))
		}
	}
}
