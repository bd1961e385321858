package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Server is one server that takes writes: the whole of the cache, or one shard of a cluster.
type Server struct {
	// Shard is the cluster's name for the shard, which its servers keep through failovers; empty without a cluster.
	Shard string
	// RunID is the process's; another after each start.
	RunID string
	// ReplID is that of the server's history; another after each start and each promotion. (It may also change when a first replica
	// connects, which loses nothing.)
	ReplID string
	// Canary is the one that was found, empty for none.
	Canary string
	// Left says that the new one was left.
	Left bool
}

// Canary is a text to leave in a server, if it is the one that the text speaks of: a history, an xid, and perhaps more.
type Canary struct {
	RunID, ReplID, Text string
	// Replaces is a canary of another history, or of a later xid, that may be replaced. Others of that kind stay.
	Replaces string
}

// ErrReplica says that a server which is to take writes is a replica by now.
var ErrReplica = errors.New("it is a replica")

// canaryKey begins the name of a canary. The database's name follows; in a cluster, a number in braces, which puts it in a slot of the shard.
const canaryKey = "tidelock:canary:"

// Watch asks every server that takes writes who it is and what canary it has, and leaves the one given for its shard if it is the very
// server that this one speaks of, all in one step of the server. What a server has kept of its data reaches at least to the canary that is found in it: a
// replica, a snapshot and a log that was cut short all hold a prefix of what their server did. database tells the canaries of databases that
// share the cache from each other.
//
// It goes by no breaker: it is how a guardian finds out. It returns those servers that answered; an error says that not all did.
func (c *Cache) Watch(ctx context.Context, database string, canaries map[string]Canary) ([]Server, error) {
	nodes, err := c.primaries(ctx)
	answers, errs := inParallel(nodes, func(n node) (Server, error) { return n.watch(ctx, c.cfg.watchTimeout(), database, canaries[n.shard]) })
	var servers []Server
	for i, s := range answers {
		if errs[i] != nil {
			err = fmt.Errorf("asking the server of shard %q: %w", nodes[i].shard, errs[i])
			continue
		}
		servers = append(servers, s)
	}
	return servers, err
}

// inParallel asks all at once: one that does not answer must not keep us from the others.
func inParallel[Q, A any](questions []Q, ask func(Q) (A, error)) ([]A, []error) {
	answers, errs := make([]A, len(questions)), make([]error, len(questions))
	var wg sync.WaitGroup
	for i, q := range questions {
		wg.Go(func() { answers[i], errs[i] = ask(q) })
	}
	wg.Wait()
	return answers, errs
}

// node is the connection to one server.
type node struct {
	shard  string
	epoch  uint64 // of its configuration, in a cluster
	tag    string // ends the names of canaries
	slots  []slotRange
	client valkey.Client
}

// primaries returns the servers that take writes.
func (c *Cache) primaries(ctx context.Context) ([]node, error) {
	client := c.client.Load()
	if client == nil {
		return nil, fmt.Errorf("%w: not connected yet", ErrUnavailable)
	}
	if (*client).Mode() != valkey.ClientModeCluster {
		return []node{{client: *client}}, nil
	}
	clients := slices.Collect(maps.Values((*client).Nodes()))
	nodes, errs := inParallel(clients, func(client valkey.Client) (node, error) { return shardOf(ctx, client, c.cfg.watchTimeout()) })
	var primaries []node
	var failed error
	for i, n := range nodes {
		switch {
		case errs[i] != nil:
			failed = fmt.Errorf("asking a node of the cluster: %w", errs[i])
		case len(n.slots) > 0:
			n.tag = tagIn(n.client, n.slots)
			primaries = append(primaries, n)
		}
	}
	return newest(primaries), failed
}

// newest keeps one primary a shard: of an old one that has not heard of its successor and the successor, the latter.
func newest(primaries []node) []node {
	slices.SortFunc(primaries, func(a, b node) int {
		return cmp.Or(strings.Compare(a.shard, b.shard), cmp.Compare(b.epoch, a.epoch))
	})
	return slices.CompactFunc(primaries, func(a, b node) bool { return a.shard == b.shard })
}

// shardOf returns a node, without slots for a replica.
func shardOf(ctx context.Context, client valkey.Client, timeout time.Duration) (node, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	replies, err := promptly(ctx, func() ([]valkey.ValkeyResult, error) {
		return client.DoMulti(ctx, client.B().Arbitrary("CLUSTER", "MYSHARDID").Build(), client.B().ClusterNodes().Build()), nil
	})
	if err != nil {
		return node{}, err
	}
	shard, err := replies[0].ToString()
	if err != nil {
		return node{}, err
	}
	table, err := replies[1].ToString()
	epoch, slots := ownSlots(table)
	return node{shard: shard, epoch: epoch, slots: slots, client: client}, err
}

type slotRange struct{ first, last uint16 }

func within(slots []slotRange, slot uint16) bool {
	return slices.ContainsFunc(slots, func(r slotRange) bool { return r.first <= slot && slot <= r.last })
}

// ownSlots reads the answer to CLUSTER NODES, a line a node: id, address, flags, …, its configuration's epoch in the seventh field, slots from the
// ninth on.
func ownSlots(table string) (epoch uint64, slots []slotRange) {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.Contains(fields[2], "myself") || !strings.Contains(fields[2], "master") {
			continue
		}
		epoch, _ = strconv.ParseUint(fields[6], 10, 64)
		for _, field := range fields[8:] {
			from, to, many := strings.Cut(field, "-")
			first, err := strconv.ParseUint(from, 10, 16)
			if err != nil {
				continue // [93->-…]: a slot on its way
			}
			last := first
			if many {
				if last, err = strconv.ParseUint(to, 10, 16); err != nil {
					continue
				}
			}
			slots = append(slots, slotRange{uint16(first), uint16(last)})
		}
	}
	return epoch, slots
}

// tagIn returns the end of a key that puts it in one of the slots.
func tagIn(client valkey.Client, slots []slotRange) string {
	for i := 0; ; i++ {
		tag := fmt.Sprintf(":{%d}", i)
		cmd := client.B().Get().Key(tag).Build()
		slot := cmd.Slot()
		if within(slots, slot) {
			return tag
		}
	}
}

func (n node) watch(ctx context.Context, timeout time.Duration, database string, canary Canary) (Server, error) {
	return watch(ctx, timeout, n.client, n.shard, canaryKey+database+n.tag, canary)
}

// promptly does something that ought to end with ctx, and waits no longer. A call that finds another one connecting waits for that one, whose own deadline may
// be later: the guardian must not lose its office over it.
func promptly[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		value, err := do()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func watch(ctx context.Context, timeout time.Duration, client valkey.CoreClient, shard, key string, canary Canary) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	expected := ""
	if canary.RunID != "" {
		expected = canary.RunID + " " + canary.ReplID
	}
	reply, err := promptly(ctx, func() ([]valkey.ValkeyMessage, error) {
		results, _ := canaryScript.run(ctx, client, []call{{key: key, args: []string{expected, canary.Text, canary.Replaces}}}, askNone)
		return results[0].ToArray()
	})
	if err == nil && len(reply) != 4 {
		err = fmt.Errorf("the canary script replied with %d values", len(reply))
	}
	if err != nil {
		replica := strings.HasPrefix(err.Error(), "READONLY")
		if _, err = translate(err); replica {
			err = fmt.Errorf("%w: %w", ErrReplica, err)
		}
		return Server{}, err
	}
	s := Server{Shard: shard}
	for i, to := range []*string{&s.RunID, &s.ReplID, &s.Canary} {
		if *to, err = reply[i].ToString(); err != nil {
			return Server{}, fmt.Errorf("reading the canary script's reply: %w", err)
		}
	}
	left, err := reply[3].AsInt64()
	s.Left = left == 1
	return s, err
}
