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

var (
	ticketScript = newScript(entrySource + mutate(ticketSource, ticketMutants))
	applyScript  = newScript(entrySource + mutate(applySource, applyMutants))
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

// run sends the calls in one pipeline and returns a result for each.
func (s script) run(ctx context.Context, client valkey.Client, calls []call) []valkey.ValkeyResult {
	cmds := make(valkey.Commands, len(calls))
	for i, call := range calls {
		cmds[i] = client.B().Evalsha().Sha1(s.sha).Numkeys(1).Key(call.key).Arg(call.args...).Build()
	}
	results := client.DoMulti(ctx, cmds...)
	var lost []int
	for i := range results {
		if reply, ok := valkey.IsValkeyErr(results[i].Error()); ok && reply.IsNoScript() {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 {
		return results
	}
	cmds = cmds[:0]
	for _, i := range lost {
		cmds = append(cmds, client.B().Eval().Script(s.source).Numkeys(1).Key(calls[i].key).Arg(calls[i].args...).Build())
	}
	for i, result := range client.DoMulti(ctx, cmds...) {
		results[lost[i]] = result
	}
	return results
}
