package chaos

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

// guardianScenarios are those in which data is lost at the worst moment that there is.
func guardianScenarios() []Scenario {
	return []Scenario{
		{
			// Transactions that were open when the snapshot was taken, and have long had their xid.
			Name:    "guardian/slow-commits",
			Traffic: tuned(someKeys, manyWriters, recordsOnly, driversPause(drive.BeforeCommit, 0.5, 600*ms)),
			Faults: steps(awaitRepaired, linger(900*ms, 1100*ms), saveRDB, linger(700*ms, 800*ms), stopAll(writers),
				dataLost("valkey restarted from an older RDB"), kill(theValkey), restoreRDB, start(theValkey), linger(800*ms, 900*ms), contAll(writers)),
			Alone: true,
		},
		{
			// Records that waited when the snapshot was taken, and were settled before the server was lost.
			Name:    "guardian/slow-relays",
			Traffic: tuned(someKeys, relaysPause(drive.AfterRead, 1, 1200*ms)),
			Faults: steps(awaitRepaired, linger(500*ms, 600*ms), together(cutFor(writers, valkeyLink, 1300*ms), steps(linger(900*ms, 1000*ms), saveRDB, linger(50*ms, 60*ms), stopAll(writers))),
				linger(1500*ms, 1600*ms), dataLost("valkey restarted from an older RDB"), kill(theValkey), restoreRDB, start(theValkey), linger(800*ms, 900*ms), contAll(writers)),
			Alone: true,
		},
		{
			// A crash of Postgres takes xids back that a canary speaks of, and they are given out again.
			Name:  "guardian/xids-again",
			Needs: Topology{OwnPostgres: true},
			Traffic: tuned(someKeys, relaysPause(drive.BeforeHorizon, 1, 250*ms), func(t *Traffic) {
				t.Driver.Keys, t.Relay.Watch = 300, 700*ms
			}),
			Faults: steps(awaitRepaired, linger(600*ms, 700*ms), lazyWAL, killFor(drivers, 3*time.Second), linger(100*ms, 100*ms), burnXIDs(300*ms, 5*time.Second), awaitCanary, stopAll(relays), saveRDB, kill(thePostgres), start(thePostgres),
				awaitAlive(drivers), linger(500*ms, 600*ms), stopAll(writers), burnXIDs(800*ms, 1000*ms), dataLost("valkey restarted from an older RDB"), kill(theValkey), restoreRDB, start(theValkey),
				contAll(relays), linger(2000*ms, 2100*ms), contAll(writers)),
			Alone: true,
		},
		{
			// A guardian that has read the horizon sleeps through a failover, and dies before it puts the new server on record.
			Name:  "guardian/asleep",
			Needs: Topology{Replica: true},
			Traffic: tuned(someKeys, relaysPause(drive.BeforeWatch, 0.8, 200*ms), func(t *Traffic) {
				t.Relay.GuardLease = 400 * ms
				t.Relay.Points = append(t.Relay.Points, drive.Point{Moment: drive.BeforeRegister, Share: 0.5, Action: drive.Kill})
			}),
			Faults: steps(awaitRepaired, linger(300*ms, 400*ms), holdReplication, linger(500*ms, 600*ms),
				dataLost("valkey failed over to a lagging replica"), promote, sendTo(theReplica, everybody), kill(theValkey), stopAll(writers), linger(1500*ms, 1600*ms), contAll(writers)),
			Alone: true,
		},
		{
			// A repair that has ended, and says so after its server was another one for a while.
			Name:  "guardian/two-failovers",
			Needs: Topology{Replica: true},
			Traffic: tuned(someKeys, relaysPause(drive.BeforeMend, 1, 400*ms), relaysPause(drive.BeforeRepaired, 1, 600*ms), func(t *Traffic) {
				t.Relay.GuardLease = 300 * ms
			}),
			Faults: steps(dataAstray("valkey failed over and back"), awaitRepaired, stopAll(theSecond(relays)), holdReplication, kill(theValkey), start(theValkey),
				awaitServer(theValkey), awaitPoint(theFirst(relays), drive.BeforeRepaired), stopAll(theFirst(relays)), contAll(theSecond(relays)),
				promote, sendTo(theReplica, everybody), awaitServer(theReplica), linger(150*ms, 200*ms), stopAll(writers),
				primaryAgain, sendTo(theValkey, everybody), awaitServer(theValkey), linger(20*ms, 30*ms), contAll(theFirst(relays)), linger(1500*ms, 1600*ms), contAll(writers)),
			Alone: true,
		},
		{
			// Transactions that drew their versions before the standby lagged, and were committed after.
			Name:    "guardian/slow-commits-lost",
			Needs:   Topology{OwnPostgres: true, Standby: true},
			Traffic: tuned(someKeys, manyWriters, recordsOnly, driversPause(drive.BeforeCommit, 0.5, 600*ms)),
			Faults: steps(awaitRepaired, linger(800*ms, 1000*ms), holdStreaming, linger(450*ms, 550*ms),
				dataAstray("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, linger(600*ms, 700*ms)),
			Alone: true,
		},
		{
			// Writers that have committed what is lost, and wake up when the versions are given out again.
			Name:  "guardian/asleep-after-lost-commit",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Traffic: tuned(someKeys, manyWriters, driversPause(drive.AfterCommit, 0.8, 3500*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Pause = 400, 40*ms
				t.Driver.Writes.Grace, t.Driver.Timeout = 5*time.Second, 8*time.Second
			}),
			Faults: steps(unarmed(awaitRepaired, linger(600*ms, 700*ms)), holdStreaming, burnVersions(beyond), linger(700*ms, 800*ms),
				dataAstray("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, linger(2800*ms, 2900*ms)),
			Alone: true,
		},
		{
			// Writers that have settled what is lost, and retire it when its versions have been drawn again.
			Name:  "guardian/late-to-retire",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Traffic: tuned(someKeys, driversPause(drive.BeforeRetire, 1, 300*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Pause = 400, 10*ms
			}),
			Faults: steps(unarmed(awaitRepaired, linger(500*ms, 600*ms)), holdStreaming, burnVersions(loggedAhead), linger(400*ms, 500*ms),
				dataAstray("postgres failed over to a lagging standby"), stopAll(relays), kill(thePostgres), promoteStandby, cutFor(writers, valkeyLink, 2000*ms), contAll(relays), linger(500*ms, 600*ms)),
			Alone: true,
		},
		{
			// Readers that have read what is lost, and wake up when every key was written again.
			Name:  "guardian/readers-asleep-after-lost-commit",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Traffic: tuned(veryFewKeys, driversPause(drive.BeforeFill, 0.3, 2500*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Readers = 20, 10
				t.Driver.Timeout = 5 * time.Second
			}),
			Faults: steps(unarmed(awaitRepaired, linger(300*ms, 400*ms)), holdStreaming, burnVersions(beyond), lasting(500*ms, deleteSome, linger(5*ms, 10*ms)),
				dataAstray("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, linger(2800*ms, 2900*ms)),
			Alone: true,
		},
		{
			// Relays that have read what is lost, and wake up after it was swept.
			Name:  "guardian/relays-asleep-after-lost-commit",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Traffic: tuned(relaysPause(drive.AfterRead, 0.7, 2500*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Zipf, t.Driver.Pause = 400, 0, 20*ms
				t.Relay.Lease, t.Relay.Consumers = 8*time.Second, 8
			}),
			Faults: steps(awaitRepaired, linger(800*ms, 900*ms), holdStreaming, cutFor(writers, valkeyLink, 500*ms), stopAll(writers), linger(150*ms, 200*ms),
				dataAstray("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, linger(2800*ms, 2900*ms), contAll(writers)),
			Alone: true,
		},
	}
}

// tuned does several changes to the traffic.
func tuned(changes ...func(*Traffic)) func(*Traffic) {
	return func(t *Traffic) {
		for _, change := range changes {
			change(t)
		}
	}
}

// someKeys are so few that the cache holds them soon.
func someKeys(t *Traffic) {
	evenly(t)
	t.Driver.Keys = 100
}

// recordsOnly lets transactions draw their versions in a statement before the COMMIT, so that they can be caught in between.
func recordsOnly(t *Traffic) { t.Driver.Writes.Record = 1 }

// manyWriters are for where most of them sleep.
func manyWriters(t *Traffic) { t.Driver.Writers, t.Driver.Conns = 12, 16 }

// evenly uses all keys alike, and does more.
func evenly(t *Traffic) { t.Driver.Zipf, t.Driver.Pause = 0, 2*ms }

// relaysPause makes relays pause at a moment, a share of the times.
func relaysPause(at drive.Moment, share float64, length time.Duration) func(*Traffic) {
	return func(t *Traffic) {
		t.Relay.Points = append(t.Relay.Points, drive.Point{Moment: at, Share: share, Action: drive.Pause, For: length})
	}
}
