package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// others are the commands of the relay, of connections and of the bench itself.
var others = []string{"info", "ping", "hello", "client|setinfo", "client|id", "client|tracking",
	"script|load", "command", "select", "flushall", "time", "role"}

// noteCost sets the figures of a path. What the relay does meanwhile is measured once and taken off.
func (b *bench) noteCost(name string, clients int, before, after reading, n float64) {
	seconds := after.at.Sub(before.at).Seconds()
	commands := make(map[string]float64)
	sum := 0.0
	for command, calls := range after.commands {
		each := (calls - before.commands[command] - b.idling.commands[command]*seconds) / n
		if slices.Contains(others, command) || each < 0.005 {
			continue
		}
		commands[command] = each
		sum += each
	}
	if scripts := commands["evalsha"] + commands["eval"]; scripts > 0.5 { // then the rest is what the scripts do
		sum = scripts + commands["get"] + commands["mget"]
	}
	postgres, valkey := (after.postgres-before.postgres)/n, (after.valkey-before.valkey)/n
	wal := max(0, after.wal-before.wal-b.idling.wal*seconds) / n
	prefix := fmt.Sprintf("cost.%s.c%d.", slug(name), clients)
	b.results.Set(prefix+"postgres_round_trips", postgres)
	b.results.Set(prefix+"valkey_round_trips", valkey)
	b.results.Set(prefix+"valkey_commands", sum)
	b.results.Set(prefix+"wal_bytes", wal)
	var words []string
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		words = append(words, fmt.Sprintf("%s %.2f", command, commands[command]))
		b.results.Set(prefix+"valkey."+slug(command), commands[command])
	}
	fmt.Fprintf(b.table.out, "%-36s %8d %14.2f %14.2f %16.2f %14.0f  %s\n", name, clients, postgres, valkey, sum, wal, strings.Join(words, ", "))
}
