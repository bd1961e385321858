package cache

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

//go:embed lua/ticket.lua
var ticketSource string

//go:embed lua/apply.lua
var applySource string

var (
	ticketScript = newScript(ticketSource)
	applyScript  = newScript(mutateApply(applySource))
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

// mutateApply switches rules of the script off in a mutants build.
func mutateApply(src string) string {
	src = mutant.Text("version-compare", src, "if not older(bound, version) then\n    return 'superseded'", "if false then\n    return 'superseded'")
	src = mutant.Text("token-on-fill", src, "ticket ~= '' and ticket == token", "(who == 'F' or ticket ~= '') and (who == 'F' or ticket == token)")
	src = mutant.Text("fill-onto-nothing", src, "if who == 'F' then\n    return 'refused'\n  end\n  if who == 'C' and entry ~= '' then", "if who == 'F' then\n    return store(entry, ARGV[3], 'applied')\n  end\n  if who == 'C' and entry ~= '' then")
	src = mutant.Text("allocate-without-ticket", src, "return placeholder(version, ARGV[6], 'check ' .. ARGV[6])", "return store(entry, ARGV[3], 'applied')")
	src = mutant.Text("raise-bound", src, "if older(bound, version) then\n  return placeholder(version, token, reply)\nend", "")
	src = mutant.Text("bound-on-replace", src, "ticket == token and not older(version, bound) then", "ticket == token then")
	src = mutant.Text("drop-on-oom", src, "redis.call('UNLINK', KEYS[1])\n    return 'dropped'", "return 'dropped'")
	return mutant.Text("invalidate-keeps-bound", src, "return placeholder(version, ARGV[6], 'settled')", "return placeholder('0', ARGV[6], 'settled')")
}
