package stacktest

import (
	"strings"
	"testing"
	"time"
)

const (
	firstPoll   = time.Millisecond
	slowestPoll = 50 * time.Millisecond
)

// Eventually waits until cond holds and ends the test when it does not within the time given. It is for conditions
// that can only be observed by polling; where there is a signal, wait for that.
func Eventually(t testing.TB, within time.Duration, cond func() bool, msg ...string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for pause := firstPoll; !cond(); pause = min(2*pause, slowestPoll) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, strings.Join(msg, " "))
		}
		time.Sleep(pause)
	}
}
