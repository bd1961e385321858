package reader

import (
	"context"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// landing is what a flight, or the cache, brought for a key.
type landing struct {
	entry  cache.Entry
	hit    bool   // the cache had it, at the latest by the time the flight took its ticket
	seen   int64  // the version of the second look, 0 without one
	unseen error  // why the second look failed
	server string // which has said that the version of the second look is settled, empty for none
	err    error
}

// served is what the cache has.
func served(e *cache.Entry) landing { return landing{entry: *e, hit: true, seen: e.Version} }

func (l *landing) payload() (Payload, error) {
	p := Payload{Version: l.entry.Version, Seen: l.seen, Hit: l.hit}
	if l.entry.Kind == cache.Absent {
		return p, ErrNotFound
	}
	p.Bytes = l.entry.Payload
	return p, nil
}

// flights are the loads of one key: at most one under way and one waiting for it to end.
//
// A caller may join the waiting one, never the one under way: that one may have read Postgres before a write which was
// acknowledged before the caller asked. (Plain singleflight lets callers join; a peer's strong mode serves 3,400 stale reads per
// million that way.)
type flights struct {
	flying, waiting *flight
}

// flight is one load of one or more keys.
type flight struct {
	keys    []string
	after   []*flight        // flights under way for some of the keys, to be waited for
	need    map[string]int64 // by key, the highest version that a caller asks for; guarded by Raw.mu until departure
	look    bool             // a session or a strict read is aboard, so there must be a second look; likewise guarded
	settle  bool             // a strict read is aboard, so what is found must be settled; likewise guarded
	callers []trace.Span     // with traces, those of the calls aboard; likewise guarded
	landed  chan struct{}
	results map[string]landing // written before landed is closed
}

// load returns what the keys hold now, sharing flights with other callers. When ctx ends the flights go on for the others.
func (r *Raw) load(ctx context.Context, keys []string, asked demand) map[string]landing {
	ctx, span := r.trace.Start(ctx, loadSpan)
	defer span.End()
	aboard, err := r.book(ctx, keys, asked)
	if err != nil {
		return failed(keys, err)
	}
	found := make(map[string]landing, len(keys))
	for _, key := range keys {
		select {
		case <-aboard[key].landed:
			found[key] = aboard[key].results[key]
		case <-ctx.Done():
			found[key] = landing{err: ctx.Err()}
		}
	}
	if asked.strict {
		r.settle(ctx, keys, found)
	}
	return found
}

// book finds each key a flight that has not departed: one that waits already, or else one new flight for all the others.
func (r *Raw) book(ctx context.Context, keys []string, asked demand) (map[string]*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	aboard := make(map[string]*flight, len(keys))
	fresh := &flight{need: make(map[string]int64), landed: make(chan struct{})}
	for _, key := range keys {
		of := r.flights[key]
		if of == nil {
			of = &flights{}
			r.flights[key] = of
		}
		if of.flying != nil && mutant.On("share-only-later") {
			aboard[key] = of.flying
			continue
		}
		if of.waiting == nil {
			of.waiting = fresh
			fresh.keys = append(fresh.keys, key)
			if of.flying != nil && !slices.Contains(fresh.after, of.flying) {
				fresh.after = append(fresh.after, of.flying)
			}
		}
		of.waiting.need[key] = max(of.waiting.need[key], asked.version(key))
		of.waiting.look = of.waiting.look || asked.session != nil || asked.strict
		of.waiting.settle = of.waiting.settle || asked.strict
		aboard[key] = of.waiting
	}
	r.boardLocked(ctx, aboard)
	if len(fresh.keys) > 0 {
		r.work.Go(func() { r.fly(fresh) })
	}
	return aboard, nil
}

// fly waits for the flights before it and for a free slot, departs, loads, and lands. It is nobody's in particular, so it
// has a context of its own: a value in a caller's (a transaction, say) must not reach what others are served. A span may.
func (r *Raw) fly(f *flight) {
	for _, before := range f.after {
		<-before.landed
	}
	f.after = nil // else a key that is always asked for keeps all that it ever held
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.loadTimeout())
	defer cancel()
	err := r.slots.Acquire(ctx, 1)
	r.depart(f)
	if err != nil {
		f.results = failed(f.keys, fmt.Errorf("waiting for one of the %d loads: %w", r.cfg.loads(), err))
	} else {
		f.results = r.fetch(ctx, f)
		r.slots.Release(1)
	}
	r.land(f)
	close(f.landed)
}

// depart closes the flight to further callers. From here on it may read Postgres.
func (r *Raw) depart(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range f.keys {
		r.flights[key].flying, r.flights[key].waiting = f, nil
	}
}

func (r *Raw) land(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range f.keys {
		of := r.flights[key]
		if of.flying = nil; of.waiting == nil {
			delete(r.flights, key)
		}
	}
}

func failed(keys []string, err error) map[string]landing {
	results := make(map[string]landing, len(keys))
	for _, key := range keys {
		results[key] = landing{err: &LoadError{Keys: []string{key}, Err: err}}
	}
	return results
}
