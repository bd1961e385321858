package chaos

import (
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

func allScenarios() []Scenario {
	return []Scenario{
		{
			Name:    "all/few-keys",
			Traffic: func(t *Traffic) { t.Driver.Keys, t.Driver.Pause, t.Driver.Writes.Multi = 3, 1*ms, 0.3 },
			Faults:  losesEntries,
			Alone:   true,
		},
		{
			Name:  "all/rolling-restart",
			Needs: Topology{OwnPostgres: true},
			Faults: repeat(
				span("valkey restarted", stop(theValkey), start(theValkey)), lull,
				span("nats restarted", stop(theNATS), start(theNATS)), lull,
				span("postgres restarted", stop(thePostgres), start(thePostgres)), lull,
				restartEach(relays), lull,
				restartEach(drivers), lull),
			Alone: true,
		},
		{
			// To the other build and back, one process after the other; in between, when all are ours, in our newest format of entries.
			Name: "all/rolling-upgrade",
			Faults: steps(
				rebuildEach(relays, true), rebuildEach(drivers, true), lull,
				rebuildEach(relays, false), rebuildEach(drivers, false), lull,
				writeFormat(cache.FormatMax), awaitFormat(cache.FormatMax), lull,
				writeFormat(1), awaitFormat(1), lull,
				rebuildEach(relays, true), rebuildEach(drivers, true), untilOver),
			Lasts: 12 * time.Second,
			Alone: true,
		},
		{
			Name:  "all/storm",
			Needs: Topology{OwnPostgres: true},
			Faults: together(
				repeat(lull, oneOf(
					span("valkey killed", kill(theValkey), outage, start(theValkey)),
					span("valkey paused", pause(theValkey), outage, resume(theValkey)),
					span("valkey flushed", flushAll),
					span("keys deleted by hand", deleteSome),
					span("foreign values by hand", overwriteSome("not ours")))),
				repeat(lull, oneOf(
					span("nats killed", kill(theNATS), outage, start(theNATS)),
					span("nats wiped", kill(theNATS), wipe(theNATS), start(theNATS)),
					span("nats paused", pause(theNATS), outage, resume(theNATS)))),
				repeat(lull, oneOf(partition(writers), partition(readers), partition(relays), onOneLink("drips", drip), resetOneLink)),
				repeat(lull, oneOf(killOne(relays), killOne(drivers), pauseOne(relays), pauseOne(drivers))),
				repeat(rest(1000*ms, 2000*ms), span("postgres killed", kill(thePostgres), rest(50*ms, 200*ms), start(thePostgres)))),
			Alone: true,
		},
	}
}

// dozen are the scenarios that the other subjects are attacked with.
var dozen = []string{
	"valkey/killed", "valkey/paused", "valkey/deleted-by-hand", "valkey/flushed", "network/writers-cut-off", "network/resets",
	"network/writers-without-valkey", "process/killed-after-commit", "process/paused-after-commit", "process/readers-paused-before-fill",
	"postgres/commits-cut", "all/storm",
}
