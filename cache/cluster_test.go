package cache_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

const clusterNodes = 3

// TestCluster brings a few hundred keys of all nodes through every operation, then loses a node and gets it back.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster, err := stack.StartValkeyCluster(t.Context(), clusterNodes, "--cluster-require-full-coverage", "no")
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Close()) })
	addrs := cluster.Addrs()
	c := rig.Cache(t, fmt.Sprintf("valkey://%s?addr=%s&addr=%s", addrs[0], addrs[1], addrs[2]),
		func(c *cache.Config) { c.BreakerFailures = 1000 }) // one breaker stands for all nodes, and one of them will be lost
	keys, nodes := clusterKeys(t, rig.Valkey(t, cluster.Nodes[0].URL()))
	clusterWrites(t, c, keys)
	clusterLoads(t, c, keys)

	const lost = 1
	must(t, cluster.Nodes[lost].Kill())
	clusterWithout(t, c, keys, nodes, lost)
	must(t, cluster.Nodes[lost].Start(t.Context()))
	must(t, cluster.AwaitWhole(within(t, patience)))
	stacktest.Eventually(t, patience, func() bool { _, err := c.GetMany(t.Context(), keys); return err == nil }, "all keys are there again")
}

// clusterKeys returns keys, and the node of each.
func clusterKeys(t *testing.T, client valkey.Client) (keys []string, nodes []int) {
	t.Helper()
	var count [clusterNodes]int
	for i := range 300 {
		key := fmt.Sprint("flight:", i)
		slot, err := client.Do(t.Context(), client.B().ClusterKeyslot().Key(key).Build()).AsInt64()
		must(t, err)
		node := (int(slot)*clusterNodes + clusterNodes - 1) / 16384
		keys, nodes = append(keys, key), append(nodes, node)
		count[node]++
	}
	if min(count[0], count[1], count[2]) < 50 {
		t.Fatalf("the nodes hold %v keys", count)
	}
	return keys, nodes
}

func clusterWrites(t *testing.T, c *cache.Cache, keys []string) {
	t.Helper()
	changes := make([]cache.Change, len(keys))
	for i, key := range keys {
		changes[i] = allocated(value(key, int64(i+1), key))
	}
	for i, r := range c.Apply(t.Context(), changes...) {
		if r.Outcome != cache.Check {
			t.Fatalf("%s: %+v", keys[i], r)
		}
		changes[i].Ticket = r.Ticket
	}
	for _, want := range []cache.Outcome{cache.Applied, cache.Superseded} {
		expectAll(t, keys, c.Apply(t.Context(), changes...), want)
	}
	expectValues(t, c, keys)
}

func clusterLoads(t *testing.T, c *cache.Cache, keys []string) {
	t.Helper()
	changes := make([]cache.Change, len(keys))
	for i, key := range keys {
		changes[i] = invalidation(key, int64(i+2))
	}
	expectAll(t, keys, c.Apply(t.Context(), changes...), cache.Settled)
	for i, held := range c.Ticket(t.Context(), keys) {
		if held.Err != nil || held.Kind != cache.Placeholder || held.Version != int64(i+2) {
			t.Fatalf("%s: %+v", keys[i], held)
		}
		changes[i] = ticketed(value(keys[i], int64(i+2), keys[i]), held.Ticket)
	}
	expectAll(t, keys, c.Fill(t.Context(), changes...), cache.Applied)
	expectValues(t, c, keys)
}

// clusterWithout holds that the keys of a node that is lost fail and that the others do not notice, also in one pipeline.
func clusterWithout(t *testing.T, c *cache.Cache, keys []string, nodes []int, lost int) {
	t.Helper()
	changes := make([]cache.Change, len(keys))
	var living []string
	for i, key := range keys {
		changes[i] = value(key, 1000, "new")
		if nodes[i] != lost {
			living = append(living, key)
		}
	}
	replies, held := c.Apply(t.Context(), changes...), c.Ticket(t.Context(), keys)
	for i, r := range replies {
		if nodes[i] == lost {
			if !errors.Is(r.Err, cache.ErrUnavailable) || !errors.Is(held[i].Err, cache.ErrUnavailable) {
				t.Errorf("%s is on the lost node: %+v, %+v", keys[i], r, held[i])
			}
			continue
		}
		if r.Outcome != cache.Applied || held[i].Version != 1000 {
			t.Errorf("%s: %+v, %+v", keys[i], r, held[i])
		}
	}
	if entries, err := c.GetMany(t.Context(), living); err != nil || len(entries) != len(living) || entries[0].Version != 1000 {
		t.Errorf("the keys of the others: %v", err)
	}
	if _, err := c.GetMany(t.Context(), keys); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("all keys: %v", err)
	}
}

func expectAll(t *testing.T, keys []string, replies []cache.Reply, want cache.Outcome) {
	t.Helper()
	for i, r := range replies {
		if r.Outcome != want {
			t.Fatalf("%s: %+v, want %v", keys[i], r, want)
		}
	}
}

func expectValues(t *testing.T, c *cache.Cache, keys []string) {
	t.Helper()
	entries, err := c.GetMany(t.Context(), keys)
	must(t, err)
	for i, e := range entries {
		if string(e.Payload) != keys[i] {
			t.Fatalf("%s holds %+v", keys[i], e)
		}
	}
}
