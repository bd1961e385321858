package cache

import (
	"context"
	"sync"
	"sync/atomic"
)

// BreakerState is the circuit breaker's opinion of the cache.
type BreakerState int32

const (
	// Closed lets every call through.
	Closed BreakerState = iota
	// Open fails every call at once with ErrUnavailable.
	Open
	// HalfOpen is Open while the background probe is asking the server.
	HalfOpen
)

// String returns the state's name in lower case.
func (s BreakerState) String() string {
	return [...]string{"closed", "open", "half-open"}[s]
}

// breaker counts failures in a row. It is our own because no caller's request may be the probe: a probe costs a whole
// deadline while the server is down, and a write must keep Postgres's latency through an outage.
type breaker struct {
	threshold int32
	failures  atomic.Int32
	state     atomic.Int32

	mu     sync.Mutex
	closed chan struct{} // closed while the breaker is Closed; guarded by mu
	opened chan struct{} // wakes the probe
}

func newBreaker(threshold int) *breaker {
	b := &breaker{threshold: int32(threshold), closed: make(chan struct{}), opened: make(chan struct{}, 1)}
	close(b.closed)
	return b
}

func (b *breaker) State() BreakerState { return BreakerState(b.state.Load()) }

// allow reports whether a call may be tried.
func (b *breaker) allow() bool { return b.State() == Closed }

// record counts a call, or a whole pipeline as one: a pipeline that times out is one sign, not a hundred.
func (b *breaker) record(v verdict) {
	switch {
	case v == failing && b.failures.Add(1) >= b.threshold:
		b.open()
	case v == healthy && b.failures.Load() != 0 && b.allow():
		b.failures.Store(0)
	}
}

func (b *breaker) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.State() != Closed {
		return
	}
	b.state.Store(int32(Open))
	b.closed = make(chan struct{})
	select {
	case b.opened <- struct{}{}:
	default:
	}
}

// probe asks the server through ask and closes the breaker when it answers.
func (b *breaker) probe(ask func() error) error {
	b.state.Store(int32(HalfOpen))
	if err := ask(); err != nil {
		b.state.Store(int32(Open))
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures.Store(0)
	b.state.Store(int32(Closed))
	close(b.closed)
	return nil
}

// wait returns once the breaker is closed or ctx has ended.
func (b *breaker) wait(ctx context.Context) error {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
