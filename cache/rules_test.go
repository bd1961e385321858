package cache_test

import (
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

var seed = flag.Uint64("seed", 0, "of TestRulesAtRandom; 0 draws one")

// The tests of the rules flush, so each has a database of its own on the shared server.
const (
	randomDB = "/1"
	fuzzDB   = "/2"
)

// TestRulesAtRandom plays many short programs: versions only rise, so a long one would soon have seen the largest.
func TestRulesAtRandom(t *testing.T) {
	t.Parallel()
	const programs, steps = 120, 30
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("repeat this run with -seed %d", drawn)
	random := rand.New(rand.NewPCG(drawn, 0))
	b := on(t, stacktest.Valkey(t).URL()+randomDB)
	for range programs {
		var program []step
		for range steps {
			program = append(program, step{likely[random.IntN(len(likely))], byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		}
		play(t, b, encode(program))
	}
}

// FuzzRules plays any program on the server and on the model: every reply and every entry must agree after each step.
func FuzzRules(f *testing.F) {
	for _, program := range programs {
		f.Add(encode(program))
	}
	b := on(f, stacktest.Valkey(f).URL()+fuzzDB)
	f.Fuzz(func(t *testing.T, program []byte) {
		const enough = 4 * 200 // a longer program finds nothing new
		play(t, b, program[:min(len(program), enough)])
	})
}

func encode(program []step) (bytes []byte) {
	for _, s := range program {
		bytes = append(bytes, byte(s.op), s.key, s.version, s.token)
	}
	return bytes
}

// programs are the seeds, each a story that one of the rules is there for. Versions are indexes of stepVersions.
var programs = [][]step{
	{ // a loader sleeps through a write and fills
		{opTicket, 0, 0, tokenNone},
		{opInvalidate, 0, 2, tokenNone},
		{opFill, 0, 1, tokenCurrent},
		{opFill, 0, 2, tokenCurrent},
	},
	{ // a second loader's ticket neither lowers the bound that a write has raised nor takes the token from the first
		{opTicket, 0, 0, tokenNone},
		{opWrite, 0, 2, tokenNone},
		{opTicket, 0, 0, tokenNone},
		{opFill, 0, 1, tokenCurrent},
		{opFill, 0, 2, tokenCurrent},
	},
	{ // a loader sleeps through a flush and another's ticket
		{opTicket, 0, 0, tokenNone},
		{opFlush, 0, 0, tokenNone},
		{opFill, 0, 1, tokenWrong},
		{opTicket, 0, 0, tokenNone},
		{opFill, 0, 1, tokenOld},
		{opFill, 0, 2, tokenCurrent},
	},
	{ // deliveries in the wrong order, twice, around a digit and around 2^53
		{opAllocate, 0, 5, tokenNone},
		{opAllocate, 0, 5, tokenCurrent},
		{opWrite, 0, 6, tokenNone},
		{opWrite, 0, 5, tokenNone},
		{opWrite, 0, 6, tokenNone},
		{opWrite, 0, 12, tokenNone},
		{opWrite, 0, 11, tokenNone},
		{opAbsent, 0, 13, tokenNone},
		{opWrite, 0, 12, tokenNone},
		{opWrite, 0, 15, tokenNone},
	},
	{ // a value replaced by hand, and a delayed apply
		{opTicket, 0, 0, tokenNone},
		{opFill, 0, 3, tokenCurrent},
		{opForeign, 0, 0, tokenNone},
		{opWrite, 0, 2, tokenNone},
		{opForeign, 0, 0, tokenNone},
		{opFill, 0, 2, tokenOld},
		{opAllocate, 0, 2, tokenNone},
	},
	{ // an allocation whose placeholder went in between
		{opAllocate, 0, 1, tokenNone},
		{opExpire, 0, 0, tokenNone},
		{opAllocate, 0, 2, tokenNone},
		{opWrite, 0, 1, tokenOld},
		{opWrite, 0, 2, tokenCurrent},
		{opInvalidate, 0, 3, tokenNone},
		{opFillAbsent, 0, 2, tokenCurrent},
	},
	{ // another type, another key's token
		{opHash, 0, 0, tokenNone},
		{opTicket, 0, 0, tokenNone},
		{opFill, 0, 1, tokenNone},
		{opTicket, 1, 0, tokenNone},
		{opWrite, 0, 1, tokenNone},
		{opTicket, 0, 0, tokenNone},
		{opFill, 0, 1, tokenOther},
		{opDel, 0, 0, tokenNone},
		{opAllocate, 0, 1, tokenOther},
	},
}
