package drive

import (
	"context"
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/reader"
)

const (
	moves = 0.2 // is the share of a session's reads before which it moves, as if to another process
	// Half of the bounds are the least that there is, the others up to so much more.
	boundMore = 2 * time.Second
)

// query is a read to be done.
type query struct {
	level  history.Level
	keys   []string
	needs  map[string]int64 // the versions that it must get
	within time.Duration    // the bound, 0 for none
	demand reader.Option
}

// readOne reads a row, or several, at one of the levels.
func (c *client) readOne(ctx context.Context) error {
	keys := 1
	if c.chance(c.cfg.Reads.Many) {
		keys = c.cfg.Reads.manyKeys()
	}
	q, err := c.ask(c.ranks.several(c.rng, keys))
	if err != nil {
		return err
	}
	return c.read(ctx, q)
}

// ask decides how to read keys. A read with a token is of a key that the token is about, with others for company.
func (c *client) ask(keys []string) (query, error) {
	r := c.cfg.Reads
	switch weighted(c.rng, r.Default, r.Token, r.Session, r.Within, r.Strict) {
	case 1:
		a, some := c.recent.draw(c.rng)
		if !some {
			break
		}
		token, err := a.parse()
		keys = append([]string{a.key}, slices.DeleteFunc(keys[1:], func(key string) bool { return key == a.key })...)
		return query{level: history.Token, keys: keys, needs: map[string]int64{a.key: a.version}, demand: reader.AtLeast(token)}, err
	case 2:
		return c.inSession(keys)
	case 3:
		if c.leased() {
			return c.within(keys)
		}
	case 4:
		if c.leased() && len(c.strict.names) > 0 {
			return c.strictly(len(keys)), nil
		}
	}
	return query{level: history.Default, keys: keys, demand: reader.In(nil)}, nil
}

// inSession asks for what the client's session has seen or written.
func (c *client) inSession(keys []string) (query, error) {
	if c.chance(moves) {
		token, err := cache.ParseToken(c.session.Token().String())
		if err != nil {
			return query{}, err
		}
		c.session = reader.NewSession(token)
	}
	q := query{level: history.Session, keys: keys, needs: make(map[string]int64), demand: reader.In(c.session)}
	for _, key := range keys {
		if seen := c.seen[key]; seen > 0 {
			q.needs[key] = seen
		}
	}
	return q, nil
}

// leased reports whether reads can be had that need leases.
func (c *client) leased() bool { return c.cfg.NATSURL != "" }

// within asks for what is no older than a bound.
func (c *client) within(keys []string) (query, error) {
	d := reader.WithinLeast
	if c.chance(0.5) {
		d += time.Duration(c.rng.Int64N(int64(boundMore)))
	}
	demand, err := reader.Within(d)
	return query{level: history.Within, keys: keys, within: d, demand: demand}, err
}

// backTo asks for a row that the client has just written.
func (c *client) backTo(op history.Op, token cache.Token) (query, error) {
	if c.chance(0.5) {
		return query{level: history.Token, keys: []string{op.Key}, needs: map[string]int64{op.Key: op.Version}, demand: reader.AtLeast(token)}, nil
	}
	return c.inSession([]string{op.Key})
}

// read does a query and records it.
func (c *client) read(ctx context.Context, q query) error {
	ops := make([]history.Op, len(q.keys))
	begin := history.Now()
	bounded, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	results := c.subject.read(bounded, q.keys, q.demand)
	end := history.Now()
	for i, f := range results {
		op := c.op(history.Read, q.keys[i])
		op.Level, op.Need, op.Within, op.Begin, op.End, op.Outcome = q.level, q.needs[op.Key], int64(q.within), begin, end, history.OK
		op.ID, op.N, op.Version, op.Hit = f.id, f.n, f.version, f.hit
		if f.err != nil {
			op.Outcome, op.Err = history.Fail, excerpt(f.err)
		}
		if q.level == history.Session {
			c.seen[op.Key] = max(c.seen[op.Key], f.version)
		}
		ops[i] = op
	}
	return c.history.Return(ops...)
}
