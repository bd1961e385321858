package drive

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/reader"
)

// errMax is how much of an error's text goes into the history.
const errMax = 240

// client does one thing at a time. All of it belongs to its own goroutine.
type client struct {
	*driver
	number int
	rng    *rand.Rand
	// session is what its session reads go by; seen, by key, the highest version that one of them returned or that it has written.
	session *reader.Session
	seen    map[string]int64
}

// run takes steps until ctx ends. The calls of a step are not ended by it, so that their outcomes are known.
func (c *client) run(ctx context.Context, step func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for ctx.Err() == nil {
		if err := step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if c.cfg.Pause == 0 {
			continue
		}
		timer.Reset(time.Duration(c.rng.ExpFloat64() * float64(c.cfg.Pause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (c *client) chance(share float64) bool { return share > 0 && c.rng.Float64() < share }

// op is an operation of this client's that is about to begin.
func (c *client) op(kind history.Kind, key string) history.Op {
	return history.Op{Process: c.cfg.Process, Client: c.number, Kind: kind, Key: key}
}

// writeOne does one transaction, and perhaps reads a row of it back.
func (c *client) writeOne(ctx context.Context) error {
	if c.cfg.Sums > 0 && c.chance(c.cfg.Writes.Sum) {
		c.sum(ctx)
		return nil
	}
	t := c.compose()
	if err := c.begin(t.ops); err != nil {
		return err
	}
	token, failure := c.write(ctx, t)
	c.finish(t.ops, outcome(failure), failure)
	if err := c.history.Return(t.ops...); err != nil {
		return err
	}
	if failure != nil {
		return nil
	}
	c.session.Wrote(token)
	text := token.String()
	for _, op := range t.ops {
		c.seen[op.Key] = max(c.seen[op.Key], op.Version)
		c.recent.add(acked{key: op.Key, version: op.Version, token: text})
	}
	if c.chance(c.cfg.Writes.ReadBack) {
		q, err := c.backTo(t.ops[c.rng.IntN(len(t.ops))], token)
		if err != nil {
			return err
		}
		return c.read(ctx, q)
	}
	return nil
}

// compose decides what to write.
func (c *client) compose() *transaction {
	w := c.cfg.Writes
	t := &transaction{way: way(weighted(c.rng, w.Put, w.Write, w.Record)), oversize: c.chance(w.Oversize), abort: c.chance(w.Abort)}
	keys := 1
	if (t.way != byPut || c.cfg.subject() != Tidelock) && c.chance(w.Multi) {
		keys = 2 + c.rng.IntN(2)
	}
	for _, key := range c.ranks.several(c.rng, keys) {
		op := c.op(history.Write, key)
		if op.ID = c.nextID.Add(1); c.chance(w.Delete) {
			op.Kind = history.Delete
		}
		t.ops = append(t.ops, op)
	}
	size := w.pad()
	if t.oversize {
		size = c.cfg.Cache.payloadMax() + 1
	}
	t.pad = padding(t.ops[0].ID, size)
	return t
}

func (c *client) begin(ops []history.Op) error {
	now := history.Now()
	for i := range ops {
		ops[i].Begin = now
	}
	return c.history.Begin(ops...)
}

// write calls the subject with the operation's deadline.
func (c *client) write(ctx context.Context, t *transaction) (cache.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	return c.subject.write(ctx, t)
}

// finish completes operations that have returned. What a transaction has learnt that may not have been committed does not count.
func (c *client) finish(ops []history.Op, outcome history.Outcome, failure error) {
	now := history.Now()
	for i := range ops {
		op := &ops[i]
		if op.End, op.Outcome = now, outcome; failure != nil {
			op.N, op.Version, op.Deferred, op.Err = 0, 0, false, excerpt(failure)
		}
	}
}

func excerpt(err error) string {
	text := err.Error()
	return text[:min(len(text), errMax)]
}
