package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"
	"golang.org/x/sync/errgroup"
)

const (
	clusterSlots = 16384
	minNodes     = 3 // fewer masters cannot agree that one has failed
)

var (
	errClusterState = errors.New("the cluster is not whole yet")
	errTooFewNodes  = fmt.Errorf("a Valkey cluster needs at least %d nodes", minNodes)
)

// ValkeyCluster is a Valkey cluster of masters without replicas. Its nodes can be stopped, killed and paused one by
// one; a node that is wiped forgets that it belongs to the cluster.
type ValkeyCluster struct {
	// Nodes are the masters, each with an equal share of the slots, in the order of the slots.
	Nodes []*Valkey

	busPorts []int
}

// StartValkeyCluster starts n nodes, three or more, and joins them; args are appended to those of each.
func StartValkeyCluster(ctx context.Context, n int, args ...string) (*ValkeyCluster, error) {
	if n < minNodes {
		return nil, errTooFewNodes
	}
	c := &ValkeyCluster{Nodes: make([]*Valkey, n)}
	if err := c.start(ctx, args); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a valkey cluster: %w", err), c.Close())
	}
	return c, nil
}

// Addrs are the host and port of each node.
func (c *ValkeyCluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr()
	}
	return addrs
}

// Close stops all nodes and removes their folders.
func (c *ValkeyCluster) Close() error {
	var closers []func() error
	for _, node := range c.Nodes {
		if node != nil {
			closers = append(closers, node.Close)
		}
	}
	err := closeAll(closers)
	for _, port := range c.busPorts {
		releasePort(port)
	}
	c.busPorts = nil
	return err
}

func (c *ValkeyCluster) start(ctx context.Context, args []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.startNodes(ctx, args); err != nil {
		return err
	}
	for i := range c.Nodes {
		if err := c.join(ctx, i); err != nil {
			return fmt.Errorf("joining node %d: %w", i, err)
		}
	}
	return c.AwaitWhole(ctx)
}

func (c *ValkeyCluster) startNodes(ctx context.Context, args []string) error {
	// By default the bus listens 10,000 above the port of the clients; a free port above that is not certain to exist.
	for range c.Nodes {
		port, err := takePort()
		if err != nil {
			return err
		}
		c.busPorts = append(c.busPorts, port)
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range c.Nodes {
		g.Go(func() error {
			var err error
			c.Nodes[i], err = StartValkey(ctx, ValkeyConfig{Args: []string{"--cluster-enabled", "yes",
				"--cluster-port", strconv.Itoa(c.busPorts[i]), "--cluster-node-timeout", "2000"}}, args...)
			return err
		})
	}
	return g.Wait()
}

// join gives node i its share of the slots and introduces it to the first node; gossip does the rest.
func (c *ValkeyCluster) join(ctx context.Context, i int) error {
	first, n := c.Nodes[0], len(c.Nodes)
	from, to := int64(clusterSlots*i/n), int64(clusterSlots*(i+1)/n-1)
	return c.Nodes[i].with(ctx, func(cl valkey.Client) error {
		slots := cl.B().ClusterAddslotsrange().StartSlotEndSlot().StartSlotEndSlot(from, to).Build()
		if err := cl.Do(ctx, slots).Error(); err != nil || i == 0 {
			return err
		}
		meet := cl.B().ClusterMeet().Ip(host).Port(int64(first.Port())).ClusterBusPort(int64(c.busPorts[0])).Build()
		return cl.Do(ctx, meet).Error()
	})
}

// AwaitWhole waits until every node knows every other one and finds all slots served.
func (c *ValkeyCluster) AwaitWhole(ctx context.Context) error {
	for _, node := range c.Nodes {
		for {
			err := c.whole(ctx, node)
			if err == nil {
				break
			}
			if sleep(ctx, pingInterval) != nil {
				return fmt.Errorf("waiting for the cluster: %w", err)
			}
		}
	}
	return nil
}

func (c *ValkeyCluster) whole(ctx context.Context, node *Valkey) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return node.with(ctx, func(cl valkey.Client) error {
		info, err := cl.Do(ctx, cl.B().ClusterInfo().Build()).ToString()
		if err != nil {
			return err
		}
		fields := parseInfo(info)
		if fields["cluster_state"] != "ok" || fields["cluster_known_nodes"] != strconv.Itoa(len(c.Nodes)) {
			return errClusterState
		}
		return nil
	})
}

func (v *Valkey) with(ctx context.Context, f func(valkey.Client) error) error {
	return v.drv.with(ctx, v.Port(), f)
}

// parseInfo reads the lines "name:value" of INFO and CLUSTER INFO. The client hands out a verbatim string of RESP3 with
// the mark of its format in front.
func parseInfo(info string) map[string]string {
	fields := map[string]string{}
	for sc := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(info, "txt:"))); sc.Scan(); {
		if name, value, ok := strings.Cut(sc.Text(), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}
