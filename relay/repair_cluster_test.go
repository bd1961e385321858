package relay_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// shards is a site whose cache is a cluster.
type shards struct {
	*site
	cluster *stack.ValkeyCluster
	clients []valkey.Client // one a node
	w       *writer.Writer
	keys    []string
	nodes   map[string]int // of keys
}

func newShards(t testing.TB) *shards {
	t.Helper()
	cluster, err := stack.StartValkeyCluster(t.Context(), 3)
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	addrs := cluster.Addrs()
	s := &shards{site: siteAt(t, fmt.Sprintf("%s?addr=%s&addr=%s", addrs[0], addrs[1], addrs[2])), cluster: cluster, nodes: make(map[string]int)}
	_, err = s.db.Exec(t.Context(), "DELETE FROM tidelock.servers") // which names one without a shard
	must(t, err)
	for _, node := range cluster.Nodes {
		s.clients = append(s.clients, rig.Valkey(t, node.URL()))
	}
	for i := range 24 {
		key, n := s.key(i), len(cluster.Nodes)
		s.keys, s.nodes[key] = append(s.keys, key), (int(s.slot(key))*n+n-1)/16384 // node i begins with slot 16384*i/n
	}
	s.w = s.writer(s.cache)
	return s
}

func (s *shards) slot(key string) int64 {
	s.t.Helper()
	slot, err := s.valkey.Do(s.t.Context(), s.valkey.B().ClusterKeyslot().Key(key).Build()).AsInt64()
	must(s.t, err)
	return slot
}

// canaries returns the keys of the canaries that a node has.
func (s *shards) canaries(node int) []string {
	s.t.Helper()
	c := s.clients[node]
	keys, _ := c.Do(s.t.Context(), c.B().Keys().Pattern(s.canaryKey()+"*").Build()).AsStrSlice()
	return keys
}

// marked waits for a fresh canary in each node and returns their keys.
func (s *shards) marked() []string {
	s.t.Helper()
	keys := make([]string, len(s.clients))
	for i, c := range s.clients {
		stacktest.Eventually(s.t, patience, func() bool { return len(s.canaries(i)) == 1 }, "each node has its canary")
		keys[i] = s.canaries(i)[0]
		s.site.marked(c, keys[i])
	}
	return keys
}

// put writes all keys and returns their versions.
func (s *shards) put(value string) map[string]int64 {
	s.t.Helper()
	versions := make(map[string]int64)
	for _, key := range s.keys {
		versions[key] = s.site.put(s.w, key, value).Version()
	}
	s.drained()
	return versions
}

// restarted checks that all entries but those of the lost node stay.
func (s *shards) restarted(lost int, versions map[string]int64) {
	s.t.Helper()
	must(s.t, errors.Join(s.cluster.Nodes[lost].Kill(), s.cluster.Nodes[lost].Start(s.t.Context())))
	s.mended(s.cluster.Nodes[lost])
	s.connected(s.keys...)
	for _, key := range s.keys {
		e := s.entry(key)
		switch {
		case s.nodes[key] == lost && e.Hit():
			s.t.Errorf("%s: the node has lost it, and the cache serves %q of version %d", key, e.Payload, e.Version)
		case s.nodes[key] != lost && (!e.Hit() || e.Version != versions[key]):
			s.t.Errorf("%s: its node has lost nothing, and the cache holds %q of version %d instead of %d", key, string(e.Kind), e.Version, versions[key])
		}
	}
}

// TestClusterNodeLosesData restarts one node with old data, and another one with none, after a slot with its canary was moved away from it.
func TestClusterNodeLosesData(t *testing.T) {
	t.Parallel()
	s := newShards(t)
	s.run()
	s.put("old")
	s.passed()
	s.marked()
	must(t, s.cluster.Nodes[1].Save(t.Context()))
	s.restarted(1, s.put("new"))

	versions := s.put("newer")
	registered := s.listed()
	canary := s.marked()[0]
	s.move(s.slot(canary), 0, 2)
	stacktest.Eventually(t, patience, func() bool { keys := s.canaries(0); return len(keys) == 1 && keys[0] != canary }, "the node has a canary in another slot")
	s.site.marked(s.clients[0], s.canaries(0)[0])
	for id, server := range s.listed() {
		if before, ok := registered[id]; !ok || !before.Since.Equal(server.Since) || server.Doubt() {
			t.Errorf("the servers on record were %+v, and %+v is", registered, server)
		}
	}
	s.restarted(0, versions)
	s.put("newest")
	for _, key := range s.keys {
		s.holds(key, "newest")
	}
}

// TestCanaryOfAnotherShard restarts a node with old data while nobody watches, and then moves a slot there from another node, which
// has its canary in it: it speaks of that node's data.
func TestCanaryOfAnotherShard(t *testing.T) {
	t.Parallel()
	const from, to = 2, 1 // of the numbers that canaries end with the lowest is in a slot of node 2, the second lowest of node 1
	s := newShards(t)
	_, stop := s.run()
	s.put("old")
	s.passed()
	s.marked()
	must(t, s.cluster.Nodes[to].Save(t.Context()))
	versions := s.put("new")
	s.passed()
	canary := s.marked()[from]
	stop()
	must(t, errors.Join(s.cluster.Nodes[to].Kill(), s.cluster.Nodes[to].Start(t.Context()), s.cluster.AwaitWhole(t.Context())))
	s.move(s.slot(canary), from, to)
	s.run()
	s.mended(s.cluster.Nodes[to])
	s.connected(s.keys...)
	for _, key := range s.keys {
		if e := s.entry(key); e.Hit() && e.Version != versions[key] {
			t.Errorf("%s: the cache serves %q of version %d", key, e.Payload, e.Version)
		}
	}
}

// move moves a slot with its keys to another node.
func (s *shards) move(slot int64, from, to int) {
	s.t.Helper()
	text := strconv.FormatInt(slot, 10)
	source, target := s.command(from, "CLUSTER", "MYID"), s.command(to, "CLUSTER", "MYID")
	s.command(to, "CLUSTER", "SETSLOT", text, "IMPORTING", source)
	s.command(from, "CLUSTER", "SETSLOT", text, "MIGRATING", target)
	for {
		c := s.clients[from]
		keys, err := c.Do(s.t.Context(), c.B().ClusterGetkeysinslot().Slot(slot).Count(100).Build()).AsStrSlice()
		must(s.t, err)
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			host, port, _ := strings.Cut(s.cluster.Nodes[to].Addr(), ":")
			s.command(from, "MIGRATE", host, port, key, "0", "5000", "REPLACE")
			if _, ours := s.nodes[key]; ours {
				s.nodes[key] = to
			}
		}
	}
	s.command(to, "CLUSTER", "SETSLOT", text, "NODE", target)
	s.command(from, "CLUSTER", "SETSLOT", text, "NODE", target)
}

func (s *shards) command(node int, words ...string) string {
	s.t.Helper()
	c := s.clients[node]
	reply, err := c.Do(s.t.Context(), c.B().Arbitrary(words...).Build()).ToString()
	must(s.t, err)
	return reply
}
