package drive

import (
	"math/rand/v2"
	"sync"

	"github.com/tidelock-cache/tidelock/cache"
)

// recentMax is how many acknowledged writes the readers of a process choose from. The newest are the hardest to see.
const recentMax = 256

// acked is an acknowledged write of one row, and the token of its transaction as text: as it would travel to somebody else.
type acked struct {
	key     string
	version int64
	token   string
}

// parse returns the token as who was handed it reads it.
func (a acked) parse() (cache.Token, error) { return cache.ParseToken(a.token) }

// recent is the latest acknowledged writes of a process.
type recent struct {
	mu   sync.Mutex // guards what follows
	ring []acked
	next int
}

func (r *recent) add(a acked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < recentMax {
		r.ring = append(r.ring, a)
		return
	}
	r.ring[r.next] = a
	r.next = (r.next + 1) % recentMax
}

// draw returns one of them, false while there is none.
func (r *recent) draw(rng *rand.Rand) (acked, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) == 0 {
		return acked{}, false
	}
	return r.ring[rng.IntN(len(r.ring))], true
}
