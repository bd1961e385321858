package cache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Lookups is how many lookups of keys a server has counted since it started, of whatever program and command. It is for people who look at a server: those of
// writers and relays are among them.
type Lookups struct {
	// Shard and RunID are those of Server.
	Shard, RunID string
	Hits, Misses int64 // those that found the key, and those that did not
}

// Lookups asks every server that takes writes. It goes by no breaker, and fails unless all answer.
func (c *Cache) Lookups(ctx context.Context) ([]Lookups, error) {
	nodes, err := c.primaries(ctx)
	if err != nil {
		return nil, err
	}
	lookups, errs := inParallel(nodes, func(n node) (Lookups, error) { return n.lookups(ctx) })
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("asking a server for its statistics: %w", err)
		}
	}
	return lookups, nil
}

func (n node) lookups(ctx context.Context) (Lookups, error) {
	l := Lookups{Shard: n.shard}
	text, err := promptly(ctx, func() (string, error) {
		return n.client.Do(ctx, n.client.B().Info().Section("server", "stats").Build()).ToString()
	})
	if err != nil {
		_, err = translate(err)
		return l, err
	}
	fields := make(map[string]string)
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = value
	}
	l.RunID = fields["run_id"]
	for name, to := range map[string]*int64{"keyspace_hits": &l.Hits, "keyspace_misses": &l.Misses} {
		if *to, err = strconv.ParseInt(fields[name], 10, 64); err != nil {
			return l, fmt.Errorf("reading %s of a server's statistics: %w", name, err)
		}
	}
	return l, nil
}
