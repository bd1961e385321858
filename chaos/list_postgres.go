package chaos

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
			Name:  "postgres/failover",
			Needs: Topology{OwnPostgres: true, Standby: true},
			Faults: steps(lull, holdStreaming, rest(200*ms, 700*ms),
				dataLost("postgres failed over to a lagging standby"), kill(thePostgres), promoteStandby, untilOver),
			Alone: true,
		},
	}
}
