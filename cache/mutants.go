package cache

import "github.com/tidelock-cache/tidelock/internal/mutant"

// luaMutant switches one rule of a script off in a mutants build, by putting text in place of what stands there once.
type luaMutant struct{ rule, old, text string }

var ticketMutants = []luaMutant{
	{"ticket-keeps-bound", "held and parse(held) then", "held and parse(held) and parse(held) ~= 'P' then"},
}

var applyMutants = []luaMutant{
	{"version-compare", "if not older(bound, version) then", "if false then"},
	{"invalidate-keeps-bound", "placeholder(version, ARGV[6], 'settled')", "placeholder('0', ARGV[6], 'settled')"},
	{"token-on-fill", "ticket ~= '' and ticket == token", "(who == 'F' or ticket ~= '' and ticket == token)"},
	{"bound-on-replace", "ticket == token and not older(version, bound)", "ticket == token"},
	{"raise-bound", "if older(bound, version) then", "if false then"},
	{"fill-onto-nothing", "if not kind then", "if not kind and who == 'F' then return store(entry, ARGV[3], 'applied') end\nif not kind then"},
	{"allocate-without-ticket", "placeholder(version, ARGV[6], 'check ' .. ARGV[6])", "store(entry, ARGV[3], 'applied')"},
	{"foreign-is-nothing", "if not kind then", "if not kind and held ~= '' then return store(entry, ARGV[3], 'applied') end\nif not kind then"},
	{"settle-on-replica", "drop('settled')", "'settled'"},
	{"drop-on-oom", "drop('dropped')", "'dropped'"},
	{"drop-on-reject", "drop('rejected')", "'rejected'"},
}

var canaryMutants = []luaMutant{
	{"canary-by-identity", "ARGV[1] == run .. ' ' .. repl and", "ARGV[1] ~= '' and"},
}

// mutate returns src with the mutant that is on. Each is looked for in src itself, so no two can be in each other's way.
func mutate(src string, mutants []luaMutant) string {
	mutated := src
	for _, m := range mutants {
		if text := mutant.Text(m.rule, src, m.old, m.text); text != src {
			mutated = text
		}
	}
	return mutated
}
