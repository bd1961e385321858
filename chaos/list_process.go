package chaos

import (
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
)

func processScenarios() []Scenario {
	return []Scenario{
		{
			Name:    "process/killed-before-commit",
			Traffic: driversDie(drive.BeforeCommit, 0.01),
			Faults:  untilOver,
		},
		{
			Name:    "process/killed-after-commit",
			Traffic: driversDie(drive.AfterCommit, 0.01),
			Faults:  untilOver,
		},
		{
			Name:    "process/killed-before-retire",
			Traffic: driversDie(drive.BeforeRetire, 0.05),
			Faults:  untilOver,
		},
		{
			Name: "process/paused-after-commit",
			Traffic: func(t *Traffic) {
				fewKeys(t)
				driversPause(drive.AfterCommit, 0.02, 300*ms)(t)
				t.Driver.Readers = 1 // else they fill the key before the writer wakes up
			},
			Faults: losesEntries,
		},
		{
			Name:    "process/writers-stopped",
			Traffic: fewKeys,
			Faults:  together(repeat(pauseOne(writers), lull), losesEntries),
		},
		{
			Name:    "process/readers-paused-after-load",
			Traffic: driversPause(drive.AfterLoad, 0.3, 150*ms),
			Faults:  losesKeys,
		},
		{
			Name: "process/readers-paused-before-fill",
			Traffic: func(t *Traffic) {
				fewKeys(t)
				driversPause(drive.BeforeFill, 0.2, 200*ms)(t)
			},
			Faults: losesKeys,
		},
		{
			Name: "process/readers-paused-allocate-on-read",
			Traffic: func(t *Traffic) {
				t.Driver.Writes.AllocateOnRead = true
				t.Driver.Keys, t.Driver.Zipf = 16, 0
				driversPause(drive.BeforeFill, 0.7, 50*ms)(t)
			},
			Faults: span("valkey flushed now and then", repeat(flushAll, rest(100*ms, 250*ms))),
		},
		{
			Name: "process/readers-paused-few-keys",
			Traffic: func(t *Traffic) {
				t.Driver.Keys, t.Driver.Zipf = 8, 0
				driversPause(drive.AfterLoad, 0.1, 100*ms)(t)
				driversPause(drive.BeforeFill, 0.2, 300*ms)(t)
			},
			Faults: losesEverything,
		},
		{
			Name: "process/relays-killed-before-retire",
			Traffic: func(t *Traffic) {
				t.Relay.Points = []drive.Point{{Moment: drive.BeforeRetire, Share: 0.2, Action: drive.Kill}}
			},
			Faults: troubleWriters,
		},
		{
			Name: "process/relays-paused-after-read",
			Traffic: func(t *Traffic) {
				spacedWrites(t)
				relaysPause(drive.AfterRead, 0.7, 400*ms)(t)
			},
			Faults: together(briefTrouble, losesEntries),
		},
		{
			Name: "process/relays-paused-after-take",
			Traffic: func(t *Traffic) {
				spacedWrites(t)
				relaysPause(drive.AfterTake, 0.7, 400*ms)(t)
			},
			Faults: together(briefTrouble, losesEntries),
		},
		{
			Name: "process/foreign-values-after-commit",
			Traffic: tuned(spacedWrites, driversPause(drive.AfterCommit, 0.2, 150*ms), func(t *Traffic) {
				t.Driver.Readers = 1 // else they put the key right before the writer wakes up
			}),
			Faults: span("foreign values by hand", repeat(overwriteSome("not ours"), rest(10*ms, 30*ms))),
		},
		{
			Name: "process/readers-paused-before-load",
			Traffic: tuned(veryFewKeys, driversPause(drive.BeforeLoad, 0.3, 60*ms), func(t *Traffic) {
				t.Driver.Reads = drive.Reads{Default: 4, Token: 1, Session: 1}
			}),
			Faults: together(troubleFirstWriter, losesKeys),
		},
		{
			// Sessions that have seen a row under an older label.
			Name: "process/sessions",
			Traffic: tuned(veryFewKeys, driversPause(drive.BeforeLoad, 0.3, 60*ms), func(t *Traffic) {
				t.Driver.Keys, t.Driver.Writes.Grace = 2, 400*ms
				t.Driver.Reads = drive.Reads{Default: 1, Session: 9}
			}),
			Faults: together(repeat(rest(50*ms, 100*ms), cutFor(theFirst(writers), valkeyLink, 600*ms)), losesKeys),
		},
		{
			Name: "process/rolled-back",
			Traffic: tuned(veryFewKeys, func(t *Traffic) {
				t.Driver.Writes.Abort, t.Driver.Writes.Record = 0.3, 4
			}),
			Faults: untilOver,
		},
		{
			Name: "process/sums",
			Traffic: tuned(func(t *Traffic) {
				t.Driver.Sums, t.Driver.Writes.Sum, t.Driver.Pause = 2, 0.95, 1*ms
			}),
			Faults: troubleFirstWriter,
		},
		{
			Name:   "process/relay-stopped",
			Faults: together(troubleWriters, repeat(pauseOne(relays), lull)),
		},
		{
			Name:   "process/relays-killed",
			Faults: together(troubleWriters, repeat(lull, killAll(relays), lull)),
		},
		{
			Name:   "process/drivers-killed",
			Faults: repeat(lull, killOne(drivers)),
		},
	}
}

// losesEntries flushes Valkey and deletes from it: whoever wakes up finds nothing that would tell it how late it is.
var losesEntries = span("valkey loses entries", repeat(oneOf(flushAll, deleteSome, deleteSome, deleteSome), rest(5*ms, 60*ms)))

// fewKeys are so few that much happens to each while somebody sleeps.
func fewKeys(t *Traffic) { t.Driver.Keys, t.Driver.Zipf = 32, 0.5 }

// veryFewKeys are written and read all the time.
func veryFewKeys(t *Traffic) { t.Driver.Keys, t.Driver.Zipf, t.Driver.Pause = 8, 0, 3*ms }

// spacedWrites leave a key as it is for a while, and come often enough that it changes while somebody sleeps.
func spacedWrites(t *Traffic) { t.Driver.Keys, t.Driver.Zipf, t.Driver.Pause = 32, 0, 15*ms }

// briefTrouble gives the relays a few records now and then.
var briefTrouble = repeat(rest(200*ms, 400*ms), cutFor(theFirst(writers), valkeyLink, 80*ms))

// troubleFirstWriter gives the relays work while the other writer goes on.
var troubleFirstWriter = repeat(rest(50*ms, 200*ms), cutOff(theFirst(writers), valkeyLink))

// losesKeys deletes the keys that are used most, over and over, so that there is always something to load.
var losesKeys = span("valkey loses keys", repeat(deleteSome, rest(1*ms, 8*ms)))

// losesEverything flushes Valkey over and over.
var losesEverything = span("valkey flushed in a loop", repeat(flushAll, rest(20*ms, 100*ms)))

// driversDie makes each driver die at a moment, a share of the times.
func driversDie(at drive.Moment, share float64) func(*Traffic) {
	return func(t *Traffic) {
		t.Driver.Points = append(t.Driver.Points, drive.Point{Moment: at, Share: share, Action: drive.Kill})
	}
}

// driversPause makes clients pause at a moment, a share of the times.
func driversPause(at drive.Moment, share float64, length time.Duration) func(*Traffic) {
	return func(t *Traffic) {
		t.Driver.Points = append(t.Driver.Points, drive.Point{Moment: at, Share: share, Action: drive.Pause, For: length})
	}
}
