package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/valkey-io/valkey-go"
)

// Get returns what the cache holds at key: the zero Entry for nothing. Its error is ErrUnavailable, or the server's
// reply, for example when the key holds another type.
func (c *Cache) Get(ctx context.Context, key string) (Entry, error) {
	trip, err := c.begin(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer trip.end()
	raw, err := trip.client.Do(trip.ctx, trip.client.B().Get().Key(key).Build()).AsBytes()
	if err = trip.judge(err); err != nil {
		return Entry{}, err
	}
	return decode(raw), nil
}

// GetMany returns the entries of all keys, in their order, with one MGET, in a cluster one a slot. A key of another type
// reads as nothing.
func (c *Cache) GetMany(ctx context.Context, keys []string) ([]Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	trip, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer trip.end()
	entries := make([]Entry, len(keys))
	if err = trip.judge(trip.getMany(keys, entries)); err != nil {
		return nil, err
	}
	return entries, nil
}

func (t trip) getMany(keys []string, entries []Entry) error {
	if t.client.Mode() == valkey.ClientModeCluster {
		return t.getEach(keys, entries)
	}
	return t.getAll(keys, entries)
}

// getAll asks the one server that there is.
func (t trip) getAll(keys []string, entries []Entry) error {
	held, err := t.client.Do(t.ctx, t.client.B().Mget().Key(keys...).Build()).ToArray()
	if err != nil {
		return err
	}
	return readAll(held, entries)
}

// readAll reads the reply to an MGET.
func readAll(held []valkey.ValkeyMessage, entries []Entry) error {
	if len(held) != len(entries) {
		return fmt.Errorf("the server replied to MGET of %d keys with %d values", len(entries), len(held))
	}
	for i := range held {
		entries[i] = entryOf(&held[i])
	}
	return nil
}

// getEach asks the servers of a cluster.
func (t trip) getEach(keys []string, entries []Entry) error {
	held, err := valkey.MGet(t.client, t.ctx, keys)
	for i, key := range keys {
		message := held[key]
		entries[i] = entryOf(&message)
	}
	return err
}

// entryOf reads a reply; one that holds no text is no entry.
func entryOf(message *valkey.ValkeyMessage) Entry {
	raw, err := message.AsBytes()
	if err != nil {
		return Entry{}
	}
	return decode(raw)
}

// Held is the reply of one ticket: the entry that the cache holds now, or why it could not be had.
type Held struct {
	Entry
	Err error
}

// Ticket must be called before Postgres is read for a fill. For each key it returns the value found, or a placeholder whose
// Ticket the fill has to show. All keys go in one pipeline.
func (c *Cache) Ticket(ctx context.Context, keys []string) []Held {
	held := make([]Held, len(keys))
	trip, err := c.begin(ctx)
	if err != nil {
		for i := range held {
			held[i].Err = err
		}
		return held
	}
	defer trip.end()
	ttl := strconv.FormatInt(c.cfg.placeholderTTL().Milliseconds(), 10)
	calls := make([]call, len(keys))
	for i, key := range keys {
		calls[i] = call{key: key, args: []string{rand.Text(), ttl}}
	}
	var worst verdict
	results, _ := ticketScript.run(trip.ctx, trip.client, calls, askNone)
	for i, result := range results {
		raw, err := result.AsBytes()
		v, err := trip.translate(err)
		if held[i].Err = err; err == nil {
			held[i].Entry = decode(raw)
		}
		worst = max(worst, v)
	}
	c.breaker.record(worst)
	return held
}

// Reserve is Ticket for whoever replaces whatever the cache holds: for each key where it holds nothing it returns a ticket, and "" where it holds something or
// does not answer. It costs the server much less.
func (c *Cache) Reserve(ctx context.Context, keys []string) []string {
	tickets := make([]string, len(keys))
	if len(keys) == 0 {
		return tickets
	}
	trip, err := c.begin(ctx)
	if err != nil {
		return tickets
	}
	defer trip.end()
	ttl := c.cfg.placeholderTTL().Milliseconds()
	commands := make(valkey.Commands, len(keys))
	for i, key := range keys {
		tickets[i] = rand.Text()
		commands[i] = trip.client.B().Set().Key(key).Value(tag + "P 0 " + tickets[i] + "\n").Nx().PxMilliseconds(ttl).Build()
	}
	var worst verdict
	for i, result := range trip.client.DoMulti(trip.ctx, commands...) {
		err := result.Error()
		if err != nil {
			tickets[i] = ""
		}
		v, _ := trip.translate(err)
		worst = max(worst, v)
	}
	c.breaker.record(worst)
	return tickets
}
