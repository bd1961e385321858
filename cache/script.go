package cache

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/valkey-io/valkey-go"
)

//go:embed lua/entry.lua
var entrySource string

//go:embed lua/ticket.lua
var ticketSource string

//go:embed lua/apply.lua
var applySource string

//go:embed lua/canary.lua
var canarySource string

//go:embed lua/drop.lua
var dropSource string

var (
	ticketScript = newScript(entrySource + mutate(ticketSource, ticketMutants))
	applyScript  = newScript(entrySource + mutate(applySource, applyMutants))
	canaryScript = newScript(mutate(canarySource, canaryMutants))
	dropScript   = newScript(entrySource + dropSource)
)

// script is a Lua script run by its hash. The library's own ExecMulti loads the script on every node at every call and
// fails the whole batch when one node is dead; this one sends the source only to a server that has lost it.
type script struct {
	source, sha string
}

func newScript(source string) script {
	sum := sha1.Sum([]byte(source))
	return script{source: source, sha: hex.EncodeToString(sum[:])}
}

// call is one run of a script on one key.
type call struct {
	key  string
	args []string
}

// ask says which calls of a pipeline carry one argument more, '1', by which the script tells the server's run id.
type ask int

const (
	askNone ask = iota
	askEnds     // a pipeline goes through one connection, so any of its calls speaks for all: the first and, if that fails, the last
	askEach     // of a cluster each key may be on another server
)

// askServer returns how to learn the server of each call.
func askServer(client valkey.Client) ask {
	if client.Mode() == valkey.ClientModeCluster {
		return askEach
	}
	return askEnds
}

func (a ask) args(call call, end bool) []string {
	switch {
	case a == askNone:
		return call.args
	case end || a == askEach:
		return append(call.args[:len(call.args):len(call.args)], "1")
	default:
		return append(call.args[:len(call.args):len(call.args)], "")
	}
}

// run sends the calls in one pipeline and returns a result for each. Those that found the script lost go again in a second
// pipeline; where asked, each result comes with a number that stands for all that came from the same server.
func (s script) run(ctx context.Context, client valkey.CoreClient, calls []call, ask ask) (results []valkey.ValkeyResult, batches []int) {
	cmds := make(valkey.Commands, len(calls))
	for i, call := range calls {
		cmds[i] = client.B().Evalsha().Sha1(s.sha).Numkeys(1).Key(call.key).Arg(ask.args(call, i == 0 || i == len(calls)-1)...).Build()
	}
	results = client.DoMulti(ctx, cmds...)
	batches = make([]int, len(calls))
	var lost []int
	for i := range results {
		if ask == askEach {
			batches[i] = i
		}
		if reply, ok := valkey.IsValkeyErr(results[i].Error()); ok && reply.IsNoScript() {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 {
		return results, batches
	}
	cmds = cmds[:0]
	for at, i := range lost {
		cmds = append(cmds, client.B().Eval().Script(s.source).Numkeys(1).Key(calls[i].key).Arg(ask.args(calls[i], at == 0 || at == len(lost)-1)...).Build())
	}
	for at, result := range client.DoMulti(ctx, cmds...) {
		results[lost[at]] = result
		if ask != askEach {
			batches[lost[at]] = 1
		}
	}
	return results, batches
}
