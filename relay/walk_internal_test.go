package relay

import (
	"testing"
	"time"
)

// TestWalksThroughEverything holds when a dispatcher looks at everything, by a clock of its own.
func TestWalksThroughEverything(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pass := func(d time.Duration) time.Time { now = now.Add(d); return now }
	var w walk
	whole := func(what string, want bool) {
		t.Helper()
		w.begin(now)
		if got := w.window == 0; got != want {
			t.Errorf("%s: it goes through everything: %t", what, got)
		}
	}
	whole("the first", true)
	w.end(pass(100*time.Millisecond), false)
	whole("after one that took long and met nothing", false)
	if want := 100*time.Millisecond + lateMost; w.window != want {
		t.Errorf("it goes back %v, want to before the last one: %v", w.window, want)
	}
	w.end(pass(time.Millisecond), false)
	pass(walkShare * 100 * time.Millisecond)
	whole("when its time has come", true)
	w.end(pass(time.Hour), false)
	whole("after one that took an hour", false)
	w.end(now, true)
	whole("after one that met something", true)
	w.end(pass(time.Hour), false)
	pass(walkPause)
	whole("after the longest pause", true)
}
