package cache

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"
)

//go:embed lua/entry.lua
var entryText string

var entrySource = strings.ReplaceAll(entryText, "FORMATS", strconv.Itoa(FormatMax))

//go:embed lua/each.lua
var eachSource string

//go:embed lua/ticket.lua
var ticketSource string

//go:embed lua/apply.lua
var applySource string

//go:embed lua/canary.lua
var canarySource string

//go:embed lua/drop.lua
var dropSource string

var (
	ticketScript = newScript(entrySource+mutate(ticketSource, ticketMutants), 1)
	applyScript  = newScript(entrySource+eachSource+mutate(applySource, applyMutants), groupKeys)
	canaryScript = newScript(mutate(canarySource, canaryMutants), 1)
	dropScript   = newScript(entrySource+dropSource, 1)
)

// script is a Lua script run by its hash. The library's own ExecMulti loads the script on every node at every call and
// fails the whole batch when one node is dead; this one sends the source only to a server that has lost it.
type script struct {
	source, sha string
	most        int // keys in one command
}

func newScript(source string, most int) script {
	sum := sha1.Sum([]byte(source))
	return script{source: source, sha: hex.EncodeToString(sum[:]), most: most}
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
	askOne      // a pipeline goes through one connection, so any of its calls speaks for all
	askEach     // of a cluster each key may be on another server
)

// result is a script's reply for one key.
type result interface {
	ToString() (string, error)
	AsBytes() ([]byte, error)
	AsInt64() (int64, error)
	ToArray() ([]valkey.ValkeyMessage, error)
	Error() error
}

const (
	// groupKeys and groupBytes bound what one command of a pipeline does: the server serves nobody else meanwhile.
	groupKeys  = 64
	groupBytes = 256 << 10
)

// groups cuts the calls into those that go in one command: in a cluster, and on a connection to one of its servers, each goes alone.
func groups(client valkey.CoreClient, calls []call, most int) [][]call {
	if whole, ok := client.(valkey.Client); !ok || whole.Mode() == valkey.ClientModeCluster {
		most = 1
	}
	all := make([][]call, 0, len(calls)/most+1)
	start, size := 0, 0
	for i, c := range calls {
		if i-start == most || i > start && size > groupBytes {
			all = append(all, calls[start:i])
			start, size = i, 0
		}
		for _, arg := range c.args {
			size += len(arg)
		}
	}
	return append(all, calls[start:])
}

// run sends the calls in one pipeline and returns a result for each. Those that found the script lost, and those of a group that failed as a whole,
// go again in a second pipeline; where asked, each result comes with a number that stands for all that came from the same server.
func (s script) run(ctx context.Context, client valkey.CoreClient, calls []call, ask ask) (results []result, batches []int) {
	if len(calls) == 0 {
		return nil, nil
	}
	results, batches = make([]result, 0, len(calls)), make([]int, len(calls))
	var lost []call
	var places []int
	pieces := groups(client, calls, s.most)
	for i, reply := range s.send(ctx, client, pieces, ask, false) {
		failure, failed := valkey.IsValkeyErr(reply.Error())
		for at, result := range spread(reply, len(pieces[i])) {
			if failed && (failure.IsNoScript() || len(pieces[i]) > 1) {
				lost, places = append(lost, pieces[i][at]), append(places, len(results))
			}
			results = append(results, result)
		}
	}
	for i := range batches {
		if ask == askEach {
			batches[i] = i
		}
	}
	if len(lost) == 0 {
		return results, batches
	}
	singly := make([][]call, len(lost))
	for i := range lost {
		singly[i] = lost[i : i+1]
	}
	for i, reply := range s.send(ctx, client, singly, ask, true) {
		results[places[i]] = reply
		if ask != askEach {
			batches[places[i]] = 1
		}
	}
	return results, batches
}

// send runs the script on each group of calls, by its source or by its hash.
func (s script) send(ctx context.Context, client valkey.CoreClient, groups [][]call, ask ask, bySource bool) []*valkey.ValkeyResult {
	cmds := make(valkey.Commands, len(groups))
	for i, group := range groups {
		keys, args := make([]string, len(group)), make([]string, 0, len(group)*len(group[0].args)+1)
		for at, call := range group {
			keys[at], args = call.key, append(args, call.args...)
		}
		if ask != askNone {
			args = append(args, "1") // of each group: those that fail speak for nobody
		}
		if bySource {
			cmds[i] = client.B().Eval().Script(s.source).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
		} else {
			cmds[i] = client.B().Evalsha().Sha1(s.sha).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
		}
	}
	replies := client.DoMulti(ctx, cmds...)
	all := make([]*valkey.ValkeyResult, len(replies))
	for i := range replies {
		all[i] = &replies[i]
	}
	return all
}

// spread returns what a reply says of each of so many keys.
func spread(reply *valkey.ValkeyResult, keys int) []result {
	all := make([]result, keys)
	if keys > 1 {
		if parts, err := reply.ToArray(); err == nil && len(parts) == keys {
			for i := range parts {
				all[i] = &parts[i]
			}
			return all
		}
	}
	for i := range all {
		all[i] = reply
	}
	return all
}
