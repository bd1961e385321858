package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

// sample is what the live view shows.
type sample struct {
	at                           time.Duration
	writes, reads                float64 // per second
	hitRatio, naiveHitRatio      float64 // since the last sample
	deferred, pending, scheduled int64
	oldest                       time.Duration
	breaker                      cache.BreakerState
}

// view shows the demo as it runs: a table that is drawn over itself on a terminal, plain lines elsewhere.
type view struct {
	mu    sync.Mutex // guards what follows
	out   io.Writer
	table bool
	drawn int // lines of the table on the screen
	last  sample
	start time.Time
}

func newView(out io.Writer, table bool) *view {
	return &view{out: out, table: table, start: time.Now()}
}

func (v *view) elapsed() time.Duration { return time.Since(v.start) }

// say prints a line that stays.
func (v *view) say(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	fmt.Fprintf(v.out, "%6.1fs  %s\n", v.elapsed().Seconds(), text)
	v.draw()
}

// show replaces the table, or prints a line.
func (v *view) show(s sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = s
	if v.table {
		v.erase()
		v.draw()
		return
	}
	fmt.Fprintf(v.out, "%6.1fs  writes %5.0f/s  reads %5.0f/s  hits %5.1f%% (naive %5.1f%%)  deferred %5d  pending %5d  breaker %s\n",
		s.at.Seconds(), s.writes, s.reads, 100*s.hitRatio, 100*s.naiveHitRatio, s.deferred, s.pending, s.breaker)
}

// finish leaves the screen to whatever is printed next.
func (v *view) finish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
	v.table = false
}

func (v *view) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}

func (v *view) draw() {
	if !v.table || v.last.at == 0 {
		return
	}
	s := v.last
	lines := []string{
		"",
		fmt.Sprintf("  flights     %8d       breaker  %s", s.scheduled, s.breaker),
		fmt.Sprintf("  writes      %8.0f /s    deferred %d", s.writes, s.deferred),
		fmt.Sprintf("  reads       %8.0f /s    pending  %d%s", s.reads, s.pending, age(s)),
		fmt.Sprintf("  hit ratio   %8.1f %%     naive    %.1f %%", 100*s.hitRatio, 100*s.naiveHitRatio),
		"",
	}
	fmt.Fprintln(v.out, strings.Join(lines, "\n"))
	v.drawn = len(lines)
}

func age(s sample) string {
	if s.pending == 0 {
		return ""
	}
	return fmt.Sprintf(", the oldest for %.1f s", s.oldest.Seconds())
}
