package chaos

import (
	"fmt"
	"time"
)

// Repair is how fast a server that had lost data was noticed and repaired, from when it first answered.
type Repair struct {
	Noticed  float64 `json:"noticed_ms"`
	Repaired float64 `json:"repaired_ms"`
}

// news watches which server is on record. It belongs to the auditor's goroutine.
type news struct {
	of       *auditor
	answered map[string]time.Time // by run id: when a server first answered that was not on record
	noticed  map[string]time.Time // when it was
	history  string
	known    string // the last server that was on record without a doubt
}

// answer notes that a server has answered. The first server of all is nothing that was lost.
func (n *news) answer(s *snapshot, run string) {
	if _, known := n.answered[run]; !known && n.known != "" && run != s.run {
		n.answered[run] = time.Now()
	}
}

// onRecord notes which server is on record, and ends the losses of data once everything is repaired.
func (n *news) onRecord(s *snapshot) {
	if s.run == "" || s.moved {
		return
	}
	answered, new := n.answered[s.run]
	if _, known := n.noticed[s.run]; new && !known {
		n.noticed[s.run] = time.Now()
	}
	if s.doubt {
		return
	}
	if s.run != n.known || s.history != n.history {
		if new {
			a := n.of
			a.mu.Lock()
			a.repair = append(a.repair, Repair{Noticed: millis(n.noticed[s.run].Sub(answered)), Repaired: millis(time.Since(answered))})
			a.mu.Unlock()
		}
		if n.known != "" {
			n.of.scene.repaired(false)
		}
	}
	n.known, n.history = s.run, s.history
}

// String is what the table says of it.
func (r Repair) String() string {
	return fmt.Sprintf("noticed after %.0f ms, repaired after %.0f", r.Noticed, r.Repaired)
}
