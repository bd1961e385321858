package drive_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestKilledAfterCommit: the process dies with writes that have happened and were not acknowledged.
func TestKilledAfterCommit(t *testing.T) {
	t.Parallel()
	for _, subject := range []drive.Subject{drive.Tidelock, drive.Naive, drive.Aside} {
		t.Run(string(subject), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Subject = subject
			w.cfg.Points = []drive.Point{{Moment: drive.AfterCommit, Share: 1, Action: drive.Kill}}
			cmd, err := drive.Command(w.cfg)
			c := start(t, cmd, err)
			w.recorded(300)
			c.signal(syscall.SIGUSR1)
			if !c.died() {
				t.Fatalf("it ends with %v", c.err)
			}
			happened := 0
			for _, op := range w.load() {
				if op.Outcome != history.Unknown {
					continue
				}
				var wrote bool
				must(t, w.db.QueryRow(t.Context(), `SELECT exists(SELECT 1 FROM chaos_rows WHERE op = $1)`, op.ID).Scan(&wrote))
				if wrote {
					happened++
				}
			}
			if happened == 0 {
				t.Error("no write has happened that was not acknowledged")
			}
		})
	}
}

// TestMomentsAreReached holds the moments against the SQL that the product sends today.
func TestMomentsAreReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pause := func(m drive.Moment) drive.Point {
		return drive.Point{Moment: m, Share: 1, Action: drive.Pause, For: time.Millisecond, Limit: 3}
	}
	proxies := w.behindProxies()
	w.cfg.Points = []drive.Point{pause(drive.BeforeCommit), pause(drive.AfterCommit), pause(drive.BeforeRetire), pause(drive.AfterLoad), pause(drive.BeforeFill)}
	w.cfg.Armed = true
	w.cfg.Writes.AllocateOnRead = true
	w.cfg.Cache.Timeout = 200 * time.Millisecond
	cfg := w.relay()
	cfg.Points, cfg.Armed = []drive.Point{pause(drive.AfterTake), pause(drive.AfterRead), pause(drive.BeforeRetire)}, true
	cmd, err := drive.RelayCommand(cfg)
	r := start(t, cmd, err)
	cmd, err = drive.Command(w.cfg)
	c := start(t, cmd, err)
	w.recorded(500)
	must(t, proxies[1].Cut()) // gives the relay something to do
	w.recorded(800)
	must(t, proxies[1].Heal())
	reached(t, c, w.cfg.Points)
	reached(t, r, cfg.Points)
	c.stop()
	r.stop()
	for _, p := range w.cfg.Points {
		if n := strings.Count(c.log.String(), `"moment":"`+string(p.Moment)+`"`); n != p.Limit {
			t.Errorf("%s is reached %d times", p.Moment, n)
		}
	}
}

func reached(t *testing.T, c *child, points []drive.Point) {
	t.Helper()
	for _, p := range points {
		stacktest.Eventually(t, patience, func() bool { return strings.Contains(c.log.String(), `"moment":"`+string(p.Moment)+`"`) }, string(p.Moment), "is reached")
	}
}

func TestDisarmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Armed = true
	w.cfg.Points = []drive.Point{{Moment: drive.AfterCommit, Share: 1, Action: drive.Pause, For: time.Microsecond}}
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	reached(t, c, w.cfg.Points)
	c.signal(syscall.SIGUSR2)
	var before int
	stacktest.Eventually(t, patience, func() bool {
		last := before
		before = strings.Count(c.log.String(), "point_reached")
		w.recorded(len(w.load()) + 50)
		return last == before
	}, "the signal is heard")
	w.recorded(len(w.load()) + 300)
	c.stop()
	if n := strings.Count(c.log.String(), "point_reached"); n != before {
		t.Errorf("disarmed, it has %d points reached, %d before", n, before)
	}
}

func TestPauseEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Armed = true
	w.cfg.Points = []drive.Point{{Moment: drive.AfterCommit, Share: 1, Action: drive.Pause, For: time.Hour}}
	cmd, err := drive.Command(w.cfg)
	c := start(t, cmd, err)
	reached(t, c, w.cfg.Points)
	c.stop()
}
