package main

import (
	"slices"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// What the servers do at least, asked by their own programs.
const (
	bareUpdate = "pgbench: UPDATE"
	bareSet    = "valkey-benchmark: SET"
	servedGet  = "valkey-benchmark: GET"
)

// bare returns those of the servers' own programs that are asked for: none for popular keys, of which they know nothing, and none that is not
// installed.
func (b *bench) bare(cell turns.Cell, names ...string) []turns.Subject {
	if cell.Zipf {
		return nil
	}
	postgres, valkey := b.site.Stack.Postgres, b.site.Stack.Valkey
	pgbench := subject.Pgbench{Program: postgres.Program("pgbench"), Port: postgres.Port()}
	served := subject.ValkeyBenchmark{Port: valkey.Port(), Client: b.site.Valkey}
	all := []turns.Subject{
		{Name: bareUpdate, Alone: pgbench.Update},
		{Name: bareSet, Alone: served.Set},
		{Name: servedGet, Alone: served.Get},
	}
	installed := map[string]bool{bareUpdate: pgbench.Installed(), bareSet: served.Installed(), servedGet: served.Installed()}
	return slices.DeleteFunc(all, func(s turns.Subject) bool { return !slices.Contains(names, s.Name) || !installed[s.Name] })
}
