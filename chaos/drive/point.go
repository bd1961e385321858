package drive

import (
	"fmt"
	"time"
)

// Moment is a place in the protocol.
type Moment string

const (
	// BeforeCommit: the COMMIT is about to be sent, for the other subjects also a statement that commits by itself.
	BeforeCommit Moment = "before-commit"
	// AfterCommit: Postgres has answered the COMMIT, the cache knows nothing yet.
	AfterCommit Moment = "after-commit"
	// BeforeRetire: settled records are about to be deleted, by a writer or a relay.
	BeforeRetire Moment = "before-retire"
	// BeforeLoad: a reader has read the versions and is about to read the rows.
	BeforeLoad Moment = "before-load"
	// AfterLoad: a reader has read the rows, within its load.
	AfterLoad Moment = "after-load"
	// BeforeFill: a reader has read the versions again and is about to fill. Tidelock alone.
	BeforeFill Moment = "before-fill"
	// AfterTake: a relay has claimed records and is about to publish them.
	AfterTake Moment = "after-take"
	// AfterRead: a relay has read the records, after its tickets, and is about to apply them.
	AfterRead Moment = "after-read"
	// BeforeHorizon: the guardian has taken its office, or kept it, and is about to read the horizon.
	BeforeHorizon Moment = "before-horizon"
	// BeforeWatch: the guardian has read the horizon and who is on record, and is about to ask Valkey who it is.
	BeforeWatch Moment = "before-watch"
	// BeforeRegister: the guardian is about to put a server on record.
	BeforeRegister Moment = "before-register"
	// BeforeMend: a repair is about to look for what was changed.
	BeforeMend Moment = "before-mend"
	// BeforeRepaired: a repair has ended and is about to say so.
	BeforeRepaired Moment = "before-repaired"
)

// Action is what happens at a point.
type Action string

const (
	// Kill ends the process with SIGKILL.
	Kill Action = "kill"
	// Pause holds the goroutine, with whatever connections and places it has.
	Pause Action = "pause"
)

// Point makes the process die or pause at a moment, now and then, while it is armed.
type Point struct {
	Moment Moment
	// Share is the probability each time.
	Share  float64
	Action Action
	// For is the length of a pause.
	For time.Duration
	// Limit is how many times it may happen in one life of the process. 0 means no limit.
	Limit int
}

var moments = map[Moment]bool{
	BeforeCommit: true, AfterCommit: true, BeforeRetire: true, BeforeLoad: true, AfterLoad: true, BeforeFill: true, AfterTake: true, AfterRead: true,
	BeforeHorizon: true, BeforeWatch: true, BeforeRegister: true, BeforeMend: true, BeforeRepaired: true,
}

func validatePoints(points []Point) error {
	for _, p := range points {
		switch {
		case !moments[p.Moment]:
			return fmt.Errorf("drive: a point's Moment is %q: there is no such moment", p.Moment)
		case p.Share < 0 || p.Share > 1:
			return fmt.Errorf("drive: the Share of %s is %v: it must be from 0 to 1", p.Moment, p.Share)
		case p.Action != Kill && p.Action != Pause:
			return fmt.Errorf("drive: the Action of %s is %q: it must be %s or %s", p.Moment, p.Action, Kill, Pause)
		case p.Limit < 0 || p.For < 0:
			return fmt.Errorf("drive: Limit and For of %s must not be negative", p.Moment)
		}
	}
	return nil
}
