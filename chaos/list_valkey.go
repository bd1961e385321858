package chaos

import (
	"context"
	"time"
)

const ms = time.Millisecond

// outage is how long something is away.
var outage = rest(100*ms, 900*ms)

// lull lets the traffic run undisturbed.
func lull(ctx context.Context, s *Stage) error {
	return s.sleep(ctx, time.Duration(max(s.lull, 1))*between(s.rand, 150*ms, 600*ms))
}

func valkeyScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "valkey/killed",
			Faults: repeat(lull, span("valkey killed", kill(theValkey), outage, start(theValkey)), lull),
		},
		{
			Name:   "valkey/paused",
			Faults: repeat(lull, span("valkey paused", pause(theValkey), outage, resume(theValkey)), lull),
		},
		{
			Name:    "valkey/old-rdb",
			Traffic: manyKeys,
			Faults: steps(lull, saveRDB, rest(500*ms, 1200*ms),
				dataLost("valkey restarted from an older RDB"), kill(theValkey), outage, restoreRDB, start(theValkey), untilOver),
		},
		{
			Name:    "valkey/cut-aof",
			Traffic: manyKeys,
			Needs:   Topology{Valkey: []string{"--appendonly", "yes", "--appendfsync", "everysec", "--aof-load-truncated", "yes"}},
			Faults: steps(rest(800*ms, 1500*ms),
				dataLost("valkey restarted from an AOF cut short"), kill(theValkey), outage, cutAOF, start(theValkey), untilOver),
		},
		{
			Name:   "valkey/flushed",
			Faults: span("valkey flushed in a loop", repeat(oneOf(flushAll, flushAll, flushScripts), rest(5*ms, 120*ms))),
		},
		{
			Name:   "valkey/evicting-random",
			Faults: span("valkey evicts at random", limitMemory("allkeys-random"), repeat(fillMemory, rest(2*ms, 20*ms)), freeMemory),
		},
		{
			Name:   "valkey/evicting-lru",
			Faults: span("valkey evicts what was not used", limitMemory("allkeys-lru"), repeat(fillMemory, rest(2*ms, 20*ms)), freeMemory),
		},
		{
			Name: "valkey/out-of-memory",
			Faults: repeat(lull, span("valkey out of memory", limitMemory("noeviction"), fillMemory, rest(300*ms, 900*ms), freeMemory),
				rest(50*ms, 300*ms)),
		},
		{
			Name:   "valkey/deleted-by-hand",
			Faults: span("keys deleted by hand in a loop", repeat(deleteSome, rest(1*ms, 15*ms))),
		},
		{
			Name:   "valkey/wrong-type",
			Faults: span("keys of another type by hand", repeat(retypeSome, rest(5*ms, 60*ms))),
		},
		{
			Name:   "valkey/foreign-value",
			Faults: span("foreign values by hand", repeat(overwriteSome("not ours"), rest(5*ms, 60*ms))),
		},
		{
			Name: "valkey/oversized",
			Traffic: func(t *Traffic) {
				t.Driver.Writes.Oversize, t.Driver.Cache.PayloadMax, t.Relay.PayloadMax = 0.05, payloadMax, payloadMax
			},
			Faults: span("oversized values by hand", repeat(overwriteSome(oversized), rest(50*ms, 250*ms))),
		},
		{
			Name:  "valkey/clock-jumps",
			Needs: Topology{ValkeyClock: true},
			Faults: repeat(lull, span("valkey's clock jumped", jumpClock(-2*time.Hour, 2*time.Hour), lull, jumpClock(-time.Minute, time.Minute)), lull,
				jumpClock(0, 0)),
			Alone: true,
		},
		{
			Name:    "valkey/failover",
			Traffic: manyKeys,
			Needs:   Topology{Replica: true},
			Faults: steps(lull, holdReplication, rest(300*ms, 1200*ms),
				dataLost("valkey failed over to a lagging replica"), kill(theValkey), outage, promote, sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
		{
			Name:    "valkey/failover-sentinel",
			Traffic: manyKeys,
			Needs:   Topology{Replica: true, Sentinel: true},
			Faults: steps(lull, pause(theReplica), rest(300*ms, 1000*ms),
				dataLost("valkey failed over by sentinel"), kill(theValkey), resume(theReplica), awaitSentinel, untilOver),
			Alone: true,
		},
		{
			Name:    "valkey/writer-on-replica",
			Needs:   Topology{Replica: true},
			Traffic: func(t *Traffic) { t.Driver.Writes.AllocateOnRead = true },
			Faults: steps(dataAstray("a writer talks to valkey's replica"), repeat(lull, flushAll, rest(10*ms, 20*ms), holdReplication, rest(200*ms, 400*ms),
				span("a writer talks to valkey's replica", sendTo(theReplica, theFirst(writers)), rest(200*ms, 800*ms), sendTo(theValkey, theFirst(writers))),
				resumeReplication)),
			Alone: true,
		},
		{
			Name:    "valkey/old-primary-reader",
			Traffic: manyKeys,
			Needs:   Topology{Replica: true},
			Faults: steps(lull, holdReplication, rest(300*ms, 900*ms),
				dataAstray("a reader talks to valkey's old primary"), promote, sendTo(theReplica, everybodyBut(theFirst(readers))), rest(800*ms, 1500*ms),
				sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
		{
			Name:    "valkey/old-primary-writer",
			Traffic: manyKeys,
			Needs:   Topology{Replica: true},
			Faults: steps(lull, holdReplication, rest(300*ms, 900*ms),
				dataAstray("a writer talks to valkey's old primary"), promote, sendTo(theReplica, everybodyBut(theFirst(writers))), rest(800*ms, 1500*ms),
				sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
	}
}

// manyKeys are so many that most of those which have lost a write are not written again before the end, which would hide the loss.
func manyKeys(t *Traffic) { t.Driver.Keys = 2000 }
