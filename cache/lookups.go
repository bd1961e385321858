package cache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Lookups is how many lookups of keys the servers have counted since they started, of whatever program and command, and how many found the key. It is for
// people who look at a server: those of writers and relays are among them.
func (c *Cache) Lookups(ctx context.Context) (hits, misses int64, err error) {
	nodes, err := c.primaries(ctx)
	if err != nil {
		return 0, 0, err
	}
	counts, errs := inParallel(nodes, func(n node) ([2]int64, error) { return n.lookups(ctx) })
	for i, count := range counts {
		if errs[i] != nil {
			return 0, 0, fmt.Errorf("asking a server for its statistics: %w", errs[i])
		}
		hits, misses = hits+count[0], misses+count[1]
	}
	return hits, misses, nil
}

func (n node) lookups(ctx context.Context) (counts [2]int64, err error) {
	text, err := promptly(ctx, func() (string, error) {
		return n.client.Do(ctx, n.client.B().Info().Section("stats").Build()).ToString()
	})
	if err != nil {
		_, err = translate(ctx, err)
		return counts, err
	}
	for i, name := range []string{"keyspace_hits:", "keyspace_misses:"} {
		_, rest, found := strings.Cut(text, name)
		digits, _, _ := strings.Cut(rest, "\r\n")
		if counts[i], err = strconv.ParseInt(digits, 10, 64); !found || err != nil {
			return counts, fmt.Errorf("no %s in the server's statistics", name)
		}
	}
	return counts, nil
}
