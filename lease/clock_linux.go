package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads the clock that leases are counted by. Nobody can set it, and it runs on while the machine sleeps.
func Now() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return monotonic() // a kernel older than 2.6.39; it has never had the other one, so the two are not mixed
	}
	return time.Duration(t.Nano())
}
