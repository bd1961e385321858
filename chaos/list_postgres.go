package chaos

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

func postgresScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "postgres/killed",
			Needs:  Topology{OwnPostgres: true},
			Faults: repeat(lull, span("postgres killed", kill(thePostgres), rest(50*ms, 400*ms), start(thePostgres)), rest(400*ms, 800*ms)),
		},
		{
			Name:   "postgres/killed-not-synchronous",
			Needs:  Topology{OwnPostgres: true, AsyncCommit: true},
			Faults: repeat(lull, span("postgres killed", kill(thePostgres), rest(50*ms, 400*ms), start(thePostgres)), rest(400*ms, 800*ms)),
		},
		{
			Name:   "postgres/commits-cut",
			Faults: span("connections to postgres cut in a loop", repeat(resetLinks(oneOfThe(writers), postgresLink), rest(200*ms, 600*ms))),
		},
		{
			Name:   "postgres/old-transaction",
			Faults: together(troubleWriters, span("a transaction holds xmin", holdTransaction)),
		},
		{
			// Versions are pruned soon after the last write, while transactions are open for longer than that.
			Name: "postgres/versions-pruned",
			Traffic: tuned(recordsOnly, driversPause(drive.BeforeCommit, 0.3, 2200*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Zipf, t.Driver.Cache.TTL, t.Driver.Cache.AbsentTTL = 150, 0, 900*ms, 900*ms
				t.Driver.Writes.Multi, t.Driver.Timeout, t.Driver.Conns = 0, 5*time.Second, 20
				t.Relay.KeepVersions, t.Relay.PruneEvery = 1000*ms, 200*ms
			}),
			Faults: untilOver,
			Pruned: true,
			Alone:  true,
		},
		{
			// Versions are pruned while their records wait: writers never reach Valkey, relays seldom, and what readers have read they fill late.
			Name: "postgres/pruned-while-pending",
			Traffic: tuned(driversPause(drive.BeforeFill, 1, 1000*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Zipf, t.Driver.Cache.TTL, t.Driver.Cache.AbsentTTL = 60, 0, 900*ms, 900*ms
				t.Driver.Readers, t.Driver.Pause, t.Driver.Writes.Multi, t.Driver.Conns = 16, 120*ms, 0, 30
				t.Relay.KeepVersions, t.Relay.PruneEvery, t.Relay.CacheTimeout = 900*ms, 100*ms, 200*ms
			}),
			Faults: steps(unarmed(awaitRepaired), together(cutFor(writers, valkeyLink, time.Minute), repeat(cutFor(relays, valkeyLink, 2200*ms), rest(500*ms, 600*ms)))),
			Pruned: true,
			Alone:  true,
		},
		{
			Name:  "postgres/failover",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Faults: steps(lull, holdStreaming, rest(200*ms, 700*ms),
				dataAstray("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, untilOver),
			Alone: true,
		},
	}
}
