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

// TestRestsForThoseWhoWrite holds how long a dispatcher rests after a claim of 100 ms, by a clock of its own.
func TestRestsForThoseWhoWrite(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var w walk
	drawn := int64(1000)
	took := 100 * time.Millisecond
	claim := func(what string, writes int64, more bool, want time.Duration) {
		t.Helper()
		began := now.Add(100 * time.Millisecond)
		now, drawn = began.Add(took), drawn+writes
		if w.claimed(drawn, began, now, more); w.rest != want {
			t.Errorf("%s: it rests %v, want %v", what, w.rest, want)
		}
	}
	claim("the first", 0, true, 0)
	claim("while nobody writes", 0, true, 0)
	claim("while a write takes place every 2 ms", 100, true, 5*time.Millisecond)
	claim("while writes keep a processor busy", 2000, true, 100*time.Millisecond)
	claim("while writes keep many processors busy", 200_000, true, restMost*100*time.Millisecond)
	claim("when there is no more", 2000, false, 0)
	claim("after Postgres has lost versions", -500, true, 0)
	took = 10 * time.Second
	claim("after a claim that waited", 1_000_000, true, restLongest)
}
