package lease_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/lease"
)

// TestProof plays writers and a guardian at random. What the proof says is settled is settled.
func TestProof(t *testing.T) {
	t.Parallel()
	type write struct {
		version   int64
		committed time.Duration // 0 while it is not
		settled   bool
	}
	proven := 0
	for seed := range uint64(200) {
		luck := rand.New(rand.NewPCG(seed, 2))
		var now time.Duration
		var drawn int64
		var writes []*write
		p := &lease.Proof{}
		for range 3000 {
			now += time.Duration(1 + luck.IntN(5))
			var open, waiting []*write
			for _, w := range writes {
				switch {
				case w.committed == 0:
					open = append(open, w)
				case !w.settled:
					waiting = append(waiting, w)
				}
			}
			switch luck.IntN(5) {
			case 0:
				drawn++
				writes = append(writes, &write{version: drawn})
			case 1:
				if len(open) > 0 {
					open[luck.IntN(len(open))].committed = now
				}
			case 2, 3:
				if len(waiting) > 0 {
					waiting[luck.IntN(len(waiting))].settled = true
				}
			default:
				p.Drew(now, drawn)
				var lowest int64
				for _, w := range waiting {
					if lowest == 0 || w.version < lowest {
						lowest = w.version
					}
				}
				p.Waits(lowest, lowest > 0)
			}
			at, known := p.Settled()
			if !known {
				continue
			}
			proven++
			for _, w := range writes {
				if w.committed > 0 && w.committed < at && !w.settled {
					t.Fatalf("seed %d: version %d was committed at %d and is not settled; the proof says that all is up to %d", seed, w.version, w.committed, at)
				}
			}
		}
	}
	if proven == 0 {
		t.Error("nothing was ever proven")
	}
}
