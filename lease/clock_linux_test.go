package lease_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidelock-cache/tidelock/lease"
)

// TestNowIsTheBootClock holds many readings against the clock that they stand for, which is read before and after each.
func TestNowIsTheBootClock(t *testing.T) {
	t.Parallel()
	boot := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	const off = 200 * time.Microsecond // what an anchor may be wrong by
	for range 20_000 {
		before, now, after := boot(), lease.Now(), boot()
		if now < before-off || now > after+off {
			t.Fatalf("a reading of %v, between %v and %v of the boot clock", now, before, after)
		}
	}
}
