package chaos

func natsScenarios() []Scenario {
	return []Scenario{
		{
			Name:   "nats/killed",
			Faults: together(troubleWriters, repeat(lull, span("nats killed", kill(theNATS), outage, start(theNATS)), lull)),
		},
		{
			Name:   "nats/wiped",
			Faults: together(troubleWriters, repeat(lull, span("nats wiped", kill(theNATS), wipe(theNATS), outage, start(theNATS)), lull)),
		},
		{
			Name:   "nats/stream-deleted",
			Faults: together(troubleWriters, span("the stream deleted in a loop", repeat(deleteStream, rest(20*ms, 200*ms)))),
		},
		{
			Name:   "nats/absent",
			Faults: together(troubleWriters, span("nats absent", kill(theNATS), untilOver)),
		},
	}
}

// troubleWriters gives the relays work: records that only they can bring to the cache.
var troubleWriters = repeat(rest(50*ms, 300*ms), cutOff(writers, valkeyLink))
