package cache

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// placesMax bounds the calls under way. The library queues commands in a ring of 1,024 places for each connection, and
	// whoever finds no place there waits without a deadline. Calls that gave up keep their places until the connection
	// ends; with the breaker open after a few of them, half the ring is enough for those.
	placesMax = 512
	// watchPause is how often the callers' contexts are looked at: a caller that gives up is let go so much later.
	watchPause = 5 * time.Millisecond
)

// start is what places count their time from.
var start = time.Now()

// places hold the calls under way, and end those whose time is up or whose callers have given up. A context made for each
// call would cost more than all else that a hit takes beside its command: a timer, a channel, and an entry in the caller's
// context, for whose lock all of its calls contend.
type places struct {
	timeout time.Duration
	free    atomic.Uint64 // the top of the stack of those that are free, 1 more than its number or 0, and above it how often that has changed
	all     [placesMax]atomic.Pointer[place]
	waiting atomic.Int32  // callers who have found no place
	handed  chan *place   // to one of them
	asleep  atomic.Bool   // the watcher is, for nothing is under way
	wake    chan struct{} // wakes it
}

// place is a call's context, used by one call after another as long as nobody may still hold it after the call.
type place struct {
	number int
	below  atomic.Uint32 // the place under it in the stack, as free has it
	done   chan struct{}
	kept   atomic.Bool // somebody may hold it: a connection was made with it
	busy   atomic.Bool // a call is under way

	caller context.Context // written between calls alone
	until  time.Duration   // from start; likewise

	mu   sync.Mutex // of the watcher and the call's end
	err  error      // written before done is closed, as is left
	left bool       // the caller has given up
}

func newPlaces(timeout time.Duration) *places {
	ps := &places{timeout: timeout, handed: make(chan *place), wake: make(chan struct{}, 1)}
	for i := range placesMax {
		ps.push(ps.fresh(i))
	}
	return ps
}

// take returns a place, or nil if none is free.
func (ps *places) take() *place {
	if ps.waiting.Load() > 0 { // it is their turn
		return nil
	}
	return ps.pop()
}

// await waits for a place, no longer than a call may take. Who has waited longest is the first to get one.
func (ps *places) await(ctx context.Context) (*place, error) {
	timer := time.NewTimer(ps.timeout)
	defer timer.Stop()
	ps.waiting.Add(1)
	p := ps.pop() // given back before anybody could know that somebody waits
	if p == nil {
		select {
		case p = <-ps.handed:
			return p, nil // who gave it knows that we do not wait any more
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	ps.waiting.Add(-1)
	switch {
	case p != nil:
		return p, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.DeadlineExceeded)
	}
}

// give hands the place to somebody who waits for one, or keeps it.
func (ps *places) give(p *place) {
	for {
		for ps.waiting.Load() > 0 {
			select {
			case ps.handed <- p:
				ps.waiting.Add(-1)
				return
			default: // he is about to wait, or has just stopped
				runtime.Gosched()
			}
		}
		ps.push(p)
		if ps.waiting.Load() == 0 {
			return
		}
		if p = ps.pop(); p == nil {
			return
		}
	}
}

// pop returns the place that was left last, which the processor still has at hand, or nil if none is free.
func (ps *places) pop() *place {
	for {
		top := ps.free.Load()
		if uint32(top) == 0 {
			return nil
		}
		p := ps.all[uint32(top)-1].Load()
		if ps.free.CompareAndSwap(top, (top>>32+1)<<32|uint64(p.below.Load())) {
			return p
		}
	}
}

func (ps *places) push(p *place) {
	for {
		top := ps.free.Load()
		p.below.Store(uint32(top))
		if ps.free.CompareAndSwap(top, (top>>32+1)<<32|uint64(p.number+1)) {
			return
		}
	}
}

func (ps *places) fresh(number int) *place {
	p := &place{number: number, done: make(chan struct{}), caller: context.Background()}
	ps.all[number].Store(p)
	return p
}

// open begins a call in the place.
func (ps *places) open(p *place, caller context.Context, until time.Duration) {
	p.caller, p.until = caller, until
	p.busy.Store(true)
	if ps.asleep.Load() {
		select {
		case ps.wake <- struct{}{}:
		default:
		}
	}
}

// leave ends the call. A place that was ended, or that somebody may still hold, is not used again: another one comes in its stead.
func (ps *places) leave(p *place) {
	if p.busy.Load() {
		p.mu.Lock()
		p.busy.Store(false)
		ended := p.err != nil
		p.mu.Unlock()
		if ended || p.kept.Load() {
			p = ps.fresh(p.number)
		}
		p.caller = context.Background()
	}
	ps.give(p)
}

// watch ends calls, until ctx ends.
func (ps *places) watch(ctx context.Context) {
	pause := min(watchPause, max(ps.timeout/4, time.Millisecond/4))
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		next, busy := ps.look(pause)
		if !busy {
			ps.asleep.Store(true)
			next, busy = ps.look(pause) // a call may have begun before it could know
		}
		if busy {
			ps.asleep.Store(false)
			timer.Reset(next)
		}
		select {
		case <-timer.C:
		case <-ps.wake:
			ps.asleep.Store(false)
		case <-ctx.Done():
			return
		}
	}
}

// look ends the calls that must end. It returns when to look again, at the latest after the pause, and whether any call is under way.
func (ps *places) look(pause time.Duration) (next time.Duration, busy bool) {
	now := time.Since(start)
	for i := range ps.all {
		if p := ps.all[i].Load(); p.busy.Load() {
			busy, pause = true, min(pause, p.look(now))
		}
	}
	return pause, busy
}

// look ends the call if it must end, and returns how long that need not be looked at again.
func (p *place) look(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy.Load() || p.err != nil {
		return watchPause
	}
	left := p.caller.Err()
	switch {
	case now >= p.until:
		p.err = context.DeadlineExceeded
	case left != nil:
		p.err, p.left = left, true
	default:
		return p.until - now
	}
	close(p.done)
	return watchPause
}

// keep says that whoever got the context may hold it for longer than the call: what makes a connection may.
func keep(ctx context.Context) {
	if p, ok := ctx.Value(placeKey{}).(*place); ok {
		p.kept.Store(true)
	}
}

// placeKey is by what a context tells its place.
type placeKey struct{}

// Deadline is the call's.
func (p *place) Deadline() (time.Time, bool) { return start.Add(p.until), true }

// Done is closed when the call must end.
func (p *place) Done() <-chan struct{} { return p.done }

// Err says why the call must end.
func (p *place) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Value is the caller's.
func (p *place) Value(key any) any {
	if key == (placeKey{}) {
		return p
	}
	return p.caller.Value(key)
}
