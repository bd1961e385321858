package verify

import (
	"context"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
)

// watchEvery is how often the outbox is looked at. A record that is settled between the end of a window and the next look counts as in time.
const watchEvery = 100 * time.Millisecond

// writes counts the records that wait longer than each window.
type writes struct {
	db      outbox.DB
	windows []time.Duration
	late    []int64 // by window
	looks   []look
}

// look is how far the versions had come at a moment, by Postgres's clock.
type look struct {
	at    time.Time
	drawn int64
}

// watch looks until ctx ends.
func (w *writes) watch(ctx context.Context) error {
	for pause := time.Duration(0); ; {
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return nil
		}
		began := time.Now()
		if err := w.look(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		pause = max(watchEvery, 10*time.Since(began)) // with much pending a look takes a while
	}
}

func (w *writes) look(ctx context.Context) error {
	var since time.Time
	var above int64
	if n := len(w.looks); n > 0 {
		since, above = w.looks[n-1].at, w.looks[0].drawn
	}
	found, err := outbox.LateRecords(ctx, w.db, w.windows, since, above)
	if err != nil {
		return err
	}
	if len(w.looks) > 0 {
		for i, n := range found.Counts {
			w.late[i] += n
		}
	}
	w.looks = append(w.looks, look{found.At, found.Drawn})
	return nil
}

// shares returns, by window, how many of the writes were late whose window has ended.
func (w *writes) shares() []Share {
	shares := make([]Share, len(w.windows))
	for i, within := range w.windows {
		shares[i].Within = within
		if len(w.looks) == 0 {
			continue
		}
		end := w.looks[len(w.looks)-1].at.Add(-within)
		for _, l := range w.looks {
			if !l.at.After(end) {
				shares[i].Judged = l.drawn - w.looks[0].drawn
			}
		}
		shares[i].Late = min(w.late[i], shares[i].Judged)
	}
	return shares
}
