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
				driversPause(drive.AfterCommit, 0.01, 1000*ms)(t)
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
				t.Driver.Keys, t.Driver.Zipf = 500, 0
				driversPause(drive.BeforeFill, 0.5, 200*ms)(t)
			},
			Faults: losesEverything,
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
				fewKeys(t)
				t.Relay.Points = []drive.Point{{Moment: drive.AfterRead, Share: 0.3, Action: drive.Pause, For: 700 * ms}}
			},
			Faults: together(repeat(rest(50*ms, 300*ms), cutOff(theFirst(writers), valkeyLink)), losesEntries),
		},
		{
			Name: "process/relays-paused-after-take",
			Traffic: func(t *Traffic) {
				fewKeys(t)
				t.Relay.Points = []drive.Point{{Moment: drive.AfterTake, Share: 0.5, Action: drive.Pause, For: 400 * ms}}
			},
			Faults: together(repeat(rest(50*ms, 300*ms), cutOff(theFirst(writers), valkeyLink)), losesEntries),
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
