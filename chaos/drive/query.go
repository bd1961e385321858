package drive

import (
	"context"
	"maps"
	"slices"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
)

// manyKeys is how many rows a read of several asks for.
const manyKeys = 3

// query is a read to be done.
type query struct {
	level history.Level
	keys  []string
	needs map[string]int64 // the versions that the token asks for
	token cache.Token
}

// readOne reads a row, or several, at one of the levels.
func (c *client) readOne(ctx context.Context) error {
	keys := 1
	if c.chance(c.cfg.Reads.Many) {
		keys = manyKeys
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
	switch weighted(c.rng, r.Default, r.Token, r.Session) {
	case 1:
		a, some := c.recent.draw(c.rng)
		if !some {
			break
		}
		token, err := a.parse()
		keys = append([]string{a.key}, slices.DeleteFunc(keys[1:], func(key string) bool { return key == a.key })...)
		return query{level: history.Token, keys: keys, needs: map[string]int64{a.key: a.version}, token: token}, err
	case 2:
		return c.session(keys), nil
	}
	return query{level: history.Default, keys: keys}, nil
}

// session asks for what the client has seen or written.
func (c *client) session(keys []string) query {
	q := query{level: history.Session, keys: keys, needs: make(map[string]int64)}
	for _, key := range keys {
		if seen := c.seen[key]; seen > 0 {
			q.needs[key] = seen
		}
	}
	if len(q.needs) > 0 {
		q.token = cache.NewToken(maps.All(q.needs))
	}
	return q
}

// backTo asks for a row that the client has just written.
func (c *client) backTo(op history.Op, token cache.Token) query {
	if c.chance(0.5) {
		return query{level: history.Token, keys: []string{op.Key}, needs: map[string]int64{op.Key: op.Version}, token: token}
	}
	return c.session([]string{op.Key})
}

// read does a query and records it.
func (c *client) read(ctx context.Context, q query) error {
	ops := make([]history.Op, len(q.keys))
	begin := history.Now()
	bounded, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	results := c.subject.read(bounded, q.keys, q.token)
	end := history.Now()
	for i, f := range results {
		op := c.op(history.Read, q.keys[i])
		op.Level, op.Need, op.Begin, op.End, op.Outcome = q.level, q.needs[op.Key], begin, end, history.OK
		op.ID, op.N, op.Version, op.Hit = f.id, f.n, f.version, f.hit
		if f.err != nil {
			op.Outcome, op.Err = history.Fail, excerpt(f.err)
		}
		c.seen[op.Key] = max(c.seen[op.Key], f.version)
		ops[i] = op
	}
	return c.history.Return(ops...)
}
