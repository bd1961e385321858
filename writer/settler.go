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
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	settleEvery   = 20 * time.Millisecond // gathers retirements; well within the grace
	settleTimeout = 5 * time.Second
	settleChunk   = 1000
)

// settler retires settled records in the background, in batches, and announces deferred ones. What it cannot retire it
// forgets: the record comes due and a relay settles it, or finds it settled.
type settler struct {
	db   *pgxpool.Pool
	nats *nats.Conn
	log  *zap.Logger
	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup

	mu       sync.Mutex // guards what follows
	settled  []outbox.Settled
	deferred []int64
	rejected []outbox.Settled
}

func newSettler(db *pgxpool.Pool, conn *nats.Conn, log *zap.Logger) *settler {
	s := &settler{db: db, nats: conn, log: log, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	s.done.Go(s.run)
	return s
}

func (s *settler) close() {
	close(s.stop)
	s.done.Wait()
}

func (s *settler) add(version int64, reply cache.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case reply.Outcome == cache.Rejected:
		s.rejected = append(s.rejected, outbox.Settled{Version: version, Server: reply.Server, Reason: reply.Err.Error()})
	case reply.Outcome.Done() || mutant.On("retire-after-settled"):
		s.settled = append(s.settled, outbox.Settled{Version: version, Server: reply.Server})
	default:
		s.deferred = append(s.deferred, version)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *settler) run() {
	pause := time.NewTimer(0)
	<-pause.C
	for {
		select {
		case <-s.wake:
		case <-s.stop:
			s.flush()
			return
		}
		pause.Reset(settleEvery)
		select {
		case <-pause.C:
		case <-s.stop:
		}
		s.flush()
	}
}

func (s *settler) flush() {
	s.mu.Lock()
	settled, deferred, rejected := s.settled, s.deferred, s.rejected
	s.settled, s.deferred, s.rejected = nil, nil, nil
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	for chunk := range slices.Chunk(settled, settleChunk) {
		n, err := outbox.Retire(ctx, s.db, chunk)
		if err != nil {
			s.log.Warn("retire_failed", zap.Int("records", len(chunk)), zap.Error(err))
		} else if n < int64(len(chunk)) {
			// A relay was faster, or they were settled on another server than the one on record.
			for _, settled := range chunk {
				deferred = append(deferred, settled.Version)
			}
		}
	}
	if len(rejected) > 0 {
		if err := outbox.SetAside(ctx, s.db, rejected); err != nil {
			s.log.Warn("set_aside_failed", zap.Int("records", len(rejected)), zap.Error(err))
		}
	}
	s.nudge(deferred)
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
