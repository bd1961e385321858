package stack_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// jumps are what the clock of a test does, in this order.
var jumps = []time.Duration{0, time.Hour, -3 * time.Hour, 1500 * time.Millisecond}

// holdJumps moves the clock of a server and holds that what the server says of the time follows.
func holdJumps(t *testing.T, c *stack.Clock, now func() time.Time) {
	t.Helper()
	for _, d := range jumps {
		before := c.Offset()
		must(t, c.Jump(d))
		if c.Offset() != before+d {
			t.Errorf("%v and %v make %v", before, d, c.Offset())
		}
		if off := now().Sub(time.Now().Add(c.Offset())); off.Abs() > 500*time.Millisecond {
			t.Errorf("after a jump by %v the clock is off by %v", d, off)
		}
	}
}

func newClock(t *testing.T) *stack.Clock {
	t.Helper()
	c, err := stack.NewClock("")
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	return c
}

func TestClockOfValkey(t *testing.T) {
	t.Parallel()
	clock := newClock(t)
	v, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{Clock: clock})
	must(t, err)
	defer v.Close()
	now := func() time.Time {
		c := valkeyClient(t, v.ClientOption())
		parts, err := c.Do(within(t, patience), c.B().Time().Build()).AsStrSlice()
		must(t, err)
		seconds, err := strconv.ParseInt(parts[0], 10, 64)
		must(t, err)
		micros, err := strconv.ParseInt(parts[1], 10, 64)
		must(t, err)
		return time.Unix(seconds, micros*1000)
	}
	holdJumps(t, clock, now)
	holdExpiry(t, clock, valkeyClient(t, v.ClientOption()))
	must(t, v.Kill())
	must(t, v.Start(within(t, patience)))
	holdJumps(t, clock, now)
}

// holdExpiry holds that keys expire by that clock.
func holdExpiry(t *testing.T, clock *stack.Clock, c valkey.Client) {
	t.Helper()
	must(t, c.Do(within(t, patience), c.B().Set().Key("k").Value("v").Ex(time.Minute).Build()).Error())
	holdValue(t, c, "k", "v")
	must(t, clock.Jump(2*time.Minute))
	stacktest.Eventually(t, patience, func() bool {
		got, err := get(within(t, patience), c, "k")
		return got == "" && err == nil
	}, "the key expires")
}

func TestClockOfPostgres(t *testing.T) {
	t.Parallel()
	clock := newClock(t)
	p, err := stack.StartPostgres(t.Context(), stack.PostgresConfig{NoFsync: true, Clock: clock})
	must(t, err)
	defer p.Close()
	holdJumps(t, clock, func() time.Time {
		micros, err := strconv.ParseInt(mustSQL(t, p, "SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint::text"), 10, 64)
		must(t, err)
		return time.UnixMicro(micros)
	})
	must(t, p.Kill())
	must(t, p.Start(within(t, patience)))
}
