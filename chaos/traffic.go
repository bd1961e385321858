package chaos

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

// Traffic is how the processes of a scenario are tuned.
type Traffic struct {
	Driver drive.Config      // what all drivers have in common
	Relay  drive.RelayConfig // and all relays
	// Reads is what those read who only read, nil for what all do.
	Reads *drive.Reads
}

// usualTraffic is modest, so that what takes too long does so because of a fault. Whoever writes to strict rows does not wait for long, so that
// the others are written too.
func usualTraffic() Traffic {
	return Traffic{
		Driver: drive.Config{
			Keys: 400, Zipf: 1.1, Pause: 4 * ms, Timeout: 2 * time.Second, SettleTimeout: 500 * ms, Conns: 8,
			Writes: drive.Writes{Multi: 0.1, Delete: 0.05, Abort: 0.03, ReadBack: 0.25},
			Cache:  drive.Cache{TTL: time.Minute},
		},
		Relay: drive.RelayConfig{Lease: 1500 * ms, PartBytes: 32 << 10},
	}
}

// heavyTraffic is all that the machine can take.
func heavyTraffic() Traffic {
	t := usualTraffic()
	t.Driver.Pause, t.Driver.Readers, t.Driver.Writers, t.Driver.Conns = 0, 16, 1, 16
	t.Driver.Keys, t.Driver.Zipf, t.Driver.Cache.Timeout = 2_000, 0.9, 250*ms
	t.Driver.Reads.Many, t.Driver.Reads.ManyKeys = 0.6, 64
	return t
}

// traffic is what a run drives.
func (r run) traffic() Traffic {
	t := usualTraffic()
	if r.heavy {
		t = heavyTraffic()
	}
	if r.scenario.Traffic != nil {
		r.scenario.Traffic(&t)
	}
	return t
}
