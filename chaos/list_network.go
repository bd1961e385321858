package chaos

import "github.com/tidelock-cache/tidelock/chaos/drive"

func networkScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "network/writers-cut-off",
			Faults: repeat(lull, partition(writers), rest(100*ms, 500*ms)),
		},
		{
			Name:   "network/readers-cut-off",
			Faults: repeat(lull, partition(readers), rest(100*ms, 500*ms)),
		},
		{
			Name:   "network/relays-cut-off",
			Faults: repeat(lull, partition(relays), rest(100*ms, 500*ms)),
		},
		{
			Name:   "network/writers-without-valkey",
			Faults: repeat(lull, cutOff(writers, valkeyLink), rest(100*ms, 500*ms)),
		},
		{
			Name:   "network/nobody-reaches-valkey",
			Faults: repeat(lull, cutOff(everybody, valkeyLink), rest(100*ms, 500*ms)),
		},
		{
			Name:   "network/drip",
			Faults: repeat(lull, onOneLink("drips", drip), rest(100*ms, 400*ms)),
		},
		{
			Name:   "network/resets",
			Faults: span("connections reset in a loop", repeat(resetOneLink, rest(30*ms, 200*ms))),
		},
		{
			Name:    "network/valkey-resets",
			Traffic: manyKeys,
			Faults:  span("writers' connections to valkey reset in a loop", repeat(resetLinks(writers, valkeyLink), rest(5*ms, 60*ms))),
		},
		{
			Name:    "network/relays-valkey-resets",
			Traffic: func(t *Traffic) { t.Driver.Keys, t.Driver.Zipf = 300, 0 },
			Faults: together(troubleWriters,
				span("relays' connections to valkey reset in a loop", repeat(resetLinks(relays, valkeyLink), rest(2*ms, 20*ms)))),
		},
		{
			// Relays that have their records in hand when they are cut off.
			Name: "network/relays-cut-off-after-read",
			Traffic: tuned(relaysPause(drive.AfterRead, 0.7, 100*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Zipf, t.Relay.CacheTimeout = 300, 0, 100*ms
			}),
			Faults: together(troubleWriters, repeat(rest(100*ms, 200*ms), cutFor(relays, valkeyLink, 150*ms))),
		},
		{
			Name:   "network/half-open",
			Faults: repeat(lull, onOneLink("is half open", halfOpen), rest(100*ms, 400*ms)),
		},
		{
			Name:   "network/slow",
			Faults: repeat(lull, onOneLink("is slow", slow), rest(100*ms, 400*ms)),
		},
	}
}
