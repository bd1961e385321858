package chaos

import (
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/chaos/judge"
)

// Level is what there was of the reads of one level.
type Level struct {
	Reads  int `json:"reads"` // whatever became of them
	Errors int `json:"errors"`
	Hits   int `json:"hits"`
	// Stale are those that returned less than a write acknowledged before they began, whether that was promised or not.
	Stale int `json:"stale"`
	// Calm are those before the faults, CalmHits those of them that the cache served.
	Calm     int `json:"calm"`
	CalmHits int `json:"calm_hits"`
}

// Checked are the reads that returned something.
func (l Level) Checked() int { return l.Reads - l.Errors }

// Share is how much of what returned something the cache has served.
func (l Level) Share() float64 { return share(l.Hits, l.Checked()) }

// CalmShare is the same, of the reads before the faults.
func (l Level) CalmShare() float64 { return share(l.CalmHits, l.Calm) }

func share(part, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

// Levels has them by name.
type Levels map[history.Level]Level

func (all Levels) add(more Levels) {
	for name, m := range more {
		l := all[name]
		l.Reads += m.Reads
		l.Errors += m.Errors
		l.Hits += m.Hits
		l.Stale += m.Stale
		l.Calm += m.Calm
		l.CalmHits += m.CalmHits
		all[name] = l
	}
}

// levels are those of a verdict.
func levels(counts map[history.Level]*judge.Reads) Levels {
	all := Levels{}
	for name, c := range counts {
		all[name] = Level{Reads: int(c.Reads), Errors: int(c.Errors), Hits: int(c.Hits), Stale: int(c.Stale), Calm: int(c.Calm), CalmHits: int(c.CalmHits)}
	}
	return all
}
