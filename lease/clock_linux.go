package lease

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// anchor ties the clock that is cheap to read to the one that leases are counted by.
type anchor struct {
	wall  int64         // how far the wall clock was ahead of the cheap one, ns
	ahead time.Duration // and how far the right one was
}

var anchored atomic.Pointer[anchor]

// steady is by how much the wall clock and the cheap one may be further apart than they were, for they are read one after the other.
const steady = int64(time.Millisecond)

// Now reads the clock that leases are counted by. Nobody can set it, and it runs on while the machine sleeps.
//
// That is CLOCK_BOOTTIME, which costs a system call. CLOCK_MONOTONIC costs none, but stands still while the machine sleeps. The wall clock does not: as long as
// the two are as far apart as they were, nobody has slept since. (Or the wall clock was set back by as much as that, to the millisecond, before
// anybody has looked.) What the wall clock says does not matter.
func Now() time.Duration {
	now := time.Now()
	cheap := now.Sub(began)
	wall := now.UnixNano() - int64(cheap)
	if a := anchored.Load(); a != nil && wall-a.wall < steady && a.wall-wall < steady {
		return cheap + a.ahead
	}
	return drop(wall, cheap)
}

// near is how far apart two readings may be that an anchor takes for one.
const near = 100 * time.Microsecond

// drop drops the anchor where we are, unless we were interrupted between the readings: then the next one tries again.
func drop(wall int64, cheap time.Duration) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return cheap // a kernel older than 2.6.39; it has never had the other one, so the two are not mixed
	}
	now := time.Duration(t.Nano())
	if time.Since(began)-cheap < near {
		anchored.Store(&anchor{wall: wall, ahead: now - cheap})
	}
	return now
}
