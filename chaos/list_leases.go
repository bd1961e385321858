package chaos

import (
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

// leaseScenarios are those in which somebody who trusts the cache must not, or somebody who is sure that nobody does.
//
// What they have in common is a value in the cache that is too old, with readers who reach it: writers and relays are cut off from Valkey, or from the
// server that the readers are connected to. Only the leases keep such readers from believing what they see.
func leaseScenarios() []Scenario {
	return []Scenario{
		{
			Name:    "leases/nobody-settles",
			Traffic: strictly,
			Lasts:   9 * time.Second,
			Faults:  repeat(cutWhile(writers, toValkey, cutWhile(relays, toValkey, linger(2500*ms, 2700*ms))), linger(3*time.Second, 3500*ms)),
		},
		{
			// Relays have records in hand, and the next versions are there when they come to settle them. Readers are in no hurry to do it in their stead.
			Name: "leases/relays-behind",
			Traffic: tuned(strictly, relaysPause(drive.AfterTake, 1, 900*ms), driversPause(drive.BeforeFill, 1, 1500*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Readers, t.Relay.Lease = 4, 12, 300*ms
				t.Driver.Reads = drive.Reads{Default: 1, Within: 2}
			}),
			Lasts:  6 * time.Second,
			Faults: cutWhile(writers, toValkey, untilOver),
			Alone:  true,
		},
		{
			Name:    "leases/old-primary-readers",
			Needs:   Topology{Replica: true},
			Traffic: strictly,
			Lasts:   8 * time.Second,
			Faults: steps(lull, holdReplication, rest(300*ms, 600*ms), dataAstray("readers talk to valkey's old primary"),
				promote, sendTo(theReplica, everybodyBut(readers)), linger(6*time.Second, 6500*ms), sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
		{
			Name:    "leases/old-primary-writer",
			Needs:   Topology{Replica: true},
			Traffic: strictly,
			Lasts:   8 * time.Second,
			Faults: steps(lull, holdReplication, rest(300*ms, 600*ms), dataAstray("a writer talks to valkey's old primary"),
				promote, sendTo(theReplica, everybodyBut(theFirst(writers))), linger(6*time.Second, 6500*ms), sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
		{
			// The guardian goes on granting until its office ends, while another one lets everybody know that nobody trusts the cache.
			Name:    "leases/guardian-without-postgres",
			Traffic: readersStrictly,
			Lasts:   6 * time.Second,
			Faults: fixed(theGuardian, func(guardian group) Fault {
				return cutWhile(everyRelayBut(guardian), toValkey, cutWhile(writers, toValkeyAndNATS, cutWhile(guardian, toPostgres, linger(4*time.Second, 4200*ms))))
			}),
			Alone: true,
		},
		{
			Name:    "leases/guardian-paused",
			Traffic: strictly,
			Lasts:   8 * time.Second,
			Faults: repeat(fixed(theGuardian, func(guardian group) Fault {
				return together(pauseFor(guardian, 2*time.Second), cutWhile(writers, toValkey, cutWhile(everyRelayBut(guardian), toValkey, linger(2500*ms, 3*time.Second))))
			}), linger(3*time.Second, 3500*ms)),
		},
		{
			// The guardian is away for so long that writers who go by Postgres are sure that nobody trusts the cache, and comes back as if nothing had been. In between
			// nobody calls it, for then it would know better: all sleep while they would.
			Name: "leases/office-lapses",
			Traffic: tuned(strictly, relaysPause(drive.AfterTake, 1, 900*ms), func(t *Traffic) {
				t.Driver.Cache.Timeout = 600 * ms
				t.Driver.Reads, t.Reads = drive.Reads{Default: 1}, &drive.Reads{Strict: 1}
			}),
			Lasts: 8 * time.Second,
			Faults: fixed(theGuardian, func(guardian group) Fault {
				return fixed(everyRelayBut(guardian), func(others group) Fault {
					return steps(stopAll(others), cutWhile(writers, toNATS, together(
						cutWhile(guardian, toPostgres, linger(4700*ms, 4700*ms)),
						steps(linger(600*ms, 600*ms), stopAll(drivers), cutWhile(writers, toValkey, linger(2800*ms, 2800*ms), contAll(writers),
							linger(1800*ms, 1800*ms), contAll(readers), linger(1500*ms, 1600*ms))))), contAll(others))
				})
			}),
			Alone: true,
		},
		{
			// Somebody still believes that nobody trusts the cache when the guardian is about to have everybody trust it. There are so few writes that all are settled soon.
			Name: "leases/resuming",
			Traffic: tuned(readersStrictly, relaysPause(drive.AfterTake, 1, 250*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Pause, t.Driver.Writers, t.Driver.Readers = 60, 60*ms, 1, 24
			}),
			Lasts:  10 * time.Second,
			Faults: refuseWhile(writers, valkeyLink, repeat(refuseWhile(relays, valkeyLink, linger(1500*ms, 1700*ms)), linger(2*time.Second, 2300*ms))),
			Alone:  true,
		},
		{
			// Readers without leases see in Postgres what the cache has yet to be told.
			Name:    "leases/readers-without-valkey-and-nats",
			Traffic: tuned(strictly, driversPause(drive.AfterCommit, 0.3, 150*ms)),
			Lasts:   5 * time.Second,
			Faults:  repeat(cutWhile(readers, toValkeyAndNATS, linger(1500*ms, 1600*ms)), linger(500*ms, time.Second)),
		},
		{
			Name:    "leases/writers-without-valkey-and-nats",
			Traffic: readersStrictly,
			Lasts:   9 * time.Second,
			Faults:  repeat(cutWhile(relays, toValkey, cutWhile(writers, toValkeyAndNATS, linger(2500*ms, 2700*ms))), linger(3*time.Second, 3500*ms)),
		},
		{
			// A writer has begun when no prefix was strict.
			Name:    "leases/declared-late",
			Traffic: readersStrictly,
			Lasts:   12 * time.Second,
			Faults: steps(retractStrict, startAnew(writers), declareAgain,
				cutWhile(writers, toValkey, cutWhile(relays, toValkey, linger(2500*ms, 2700*ms)))),
			Alone: true,
		},
		{
			Name:    "leases/relays-gone",
			Traffic: strictly,
			Lasts:   9 * time.Second,
			Faults:  repeat(killFor(relays, 4*time.Second), cutWhile(writers, toValkey, linger(4500*ms, 4700*ms)), linger(3*time.Second, 3500*ms)),
		},
		{
			Name:    "leases/nats-gone",
			Traffic: strictly,
			Lasts:   9 * time.Second,
			Faults: repeat(span("nats killed", kill(theNATS), cutWhile(writers, toValkey, cutWhile(relays, toValkey, linger(4*time.Second, 4200*ms))), start(theNATS)),
				linger(3*time.Second, 3500*ms)),
		},
		{
			Name:    "leases/readers-paused",
			Traffic: strictly,
			Lasts:   9 * time.Second,
			Faults: together(repeat(pauseFor(oneOfThe(drivers), 1200*ms), linger(50*ms, 500*ms)),
				repeat(cutWhile(theFirst(writers), toValkey, cutWhile(relays, toValkey, linger(2500*ms, 2700*ms))), linger(3*time.Second, 3500*ms))),
		},
		{
			// Answers come from before everybody was sure that nobody trusts the cache, to readers who have slept through that.
			Name:    "leases/late-answers",
			Traffic: tuned(strictly, patientReaders, func(t *Traffic) { t.Driver.Pause, t.Driver.Reads = 20*ms, drive.Reads{Default: 1, Strict: 9} }),
			Lasts:   10 * time.Second,
			Faults: together(
				refuseWhile(writers, valkeyLink, linger(9*time.Second, 9*time.Second)),
				cutWhile(readers, toNATS, refuseWhile(readers, postgresLink, linger(5500*ms, 5500*ms))),
				cutWhile(relays, toValkey, linger(4*time.Second, 4*time.Second)),
				steps(linger(2600*ms, 2600*ms), holdAnswersWhile(readers, valkeyLink, 300*ms, linger(5300*ms, 5300*ms)))),
			Alone: true,
		},
		{
			// Questions that were asked while the old primary was trusted reach it when another server is, and are answered with what a writer has brought there.
			Name:  "leases/late-questions",
			Needs: Topology{Replica: true},
			Traffic: tuned(strictly, patientReaders, func(t *Traffic) {
				t.Driver.Pause, t.Driver.Readers, t.Driver.Reads = 20*ms, 10, drive.Reads{Strict: 1}
			}),
			Lasts: 9 * time.Second,
			Faults: steps(lull, holdReplication, dataAstray("readers and a writer talk to valkey's old primary"), cutWhile(theFirst(writers), toNATS,
				holdWhile(readers, valkeyLink, promote, stopAll(theFirst(writers)), sendTo(theReplica, everybodyBut(readersAndFirstWriter)),
					linger(5500*ms, 5600*ms), contAll(theFirst(writers)), linger(60*ms, 100*ms)),
				linger(600*ms, 700*ms)), sendTo(theReplica, everybody), untilOver),
			Alone: true,
		},
	}
}

var (
	toValkey        = []link{valkeyLink}
	toPostgres      = []link{postgresLink}
	toNATS          = []link{natsLink}
	toValkeyAndNATS = []link{valkeyLink, natsLink}
)

// strictly reads little else than what needs leases, of a few rows that are written all the time, and has the patience to wait for them.
func strictly(t *Traffic) {
	t.Driver.Keys, t.Driver.Zipf, t.Driver.Pause, t.Driver.Readers, t.Driver.Conns = 8, 0, 3*ms, 4, 12
	t.Driver.Timeout, t.Driver.SettleTimeout = 8*time.Second, 6*time.Second
	t.Driver.Writes.ReadBack = 0.05
	t.Driver.Reads = drive.Reads{Default: 1, Within: 2, Strict: 5}
}

// patientReaders wait for Valkey's answers as long as it takes.
func patientReaders(t *Traffic) { t.Driver.Cache.Timeout = 10 * time.Second }

// readersAndFirstWriter are those who stay with an old primary.
func readersAndFirstWriter(s *Stage) []*node { return append(readers(s), theFirst(writers)(s)...) }

// readersStrictly is the same, of those alone who only read: the others ask for nothing, so that nobody calls the guardian but for a write.
func readersStrictly(t *Traffic) {
	strictly(t)
	t.Driver.Reads, t.Reads = drive.Reads{Default: 1}, &drive.Reads{Default: 1, Within: 2, Strict: 5}
}

func everyRelayBut(few group) group {
	return func(s *Stage) []*node {
		but := few(s)
		return slices.DeleteFunc(relays(s), func(n *node) bool { return slices.Contains(but, n) })
	}
}
