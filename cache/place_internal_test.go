package cache

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPlacesAreHadByOne has a crowd share the places, and then fight for one: each has one holder at a time, none is lost, and nobody waits in vain.
func TestPlacesAreHadByOne(t *testing.T) {
	t.Parallel()
	ps := newPlaces(time.Minute)
	var held [placesMax]atomic.Bool
	visits := func(callers, rounds int) {
		var crowd sync.WaitGroup
		for range callers {
			crowd.Go(func() {
				for range rounds {
					p := ps.take()
					if p == nil {
						var err error
						if p, err = ps.await(t.Context()); err != nil {
							t.Errorf("waiting for a place: %v", err)
							return
						}
					}
					if !held[p.number].CompareAndSwap(false, true) {
						t.Errorf("place %d has two holders", p.number)
					}
					held[p.number].Store(false)
					ps.leave(p)
				}
			})
		}
		crowd.Wait()
	}
	all := func() (taken []*place) {
		for p := ps.take(); p != nil; p = ps.take() {
			taken = append(taken, p)
		}
		return taken
	}
	visits(3*placesMax, 200)
	taken := all()
	if len(taken) != placesMax {
		t.Errorf("%d places are left of %d", len(taken), placesMax)
	}
	ps.leave(taken[0])
	visits(8, 5000)
	if left := all(); len(left) != 1 || left[0] != taken[0] {
		t.Errorf("of one place are left %d", len(left))
	}
	if n := ps.waiting.Load(); n != 0 {
		t.Errorf("%d are said to wait", n)
	}
}

// TestPlacesGoToWhoWaited: whoever comes while others wait does not get a place before them.
func TestPlacesGoToWhoWaited(t *testing.T) {
	t.Parallel()
	ps := newPlaces(time.Minute)
	var taken []*place
	for p := ps.take(); p != nil; p = ps.take() {
		taken = append(taken, p)
	}
	first := make(chan *place)
	go func() {
		p, _ := ps.await(t.Context())
		first <- p
	}()
	for ps.waiting.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ps.leave(taken[0])
	if got := <-first; got != taken[0] {
		t.Errorf("who waited got %v", got)
	}
	if p := ps.take(); p != nil {
		t.Error("there was a place for somebody else too")
	}
}
