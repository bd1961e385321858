package reader_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestAtLeastOfSeveralTokens wants the newest of all for each key, in whatever order they are given.
func TestAtLeastOfSeveralTokens(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	cut, keys := f.cutOff(), []string{f.key("a"), f.key("b"), f.key("both")}
	var tokens []reader.Option
	for _, key := range keys {
		f.put(key, "old")
	}
	for i, named := range [][]string{{keys[0], keys[2]}, {keys[1], keys[2]}} {
		var changes []writer.Change
		for _, key := range named {
			value := fmt.Sprint("new ", i)
			f.insert(key, value)
			changes = append(changes, writer.Set(key, []byte(value)))
		}
		result, err := cut.Write(t.Context(), noStatements, changes...)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, reader.AtLeast(result.Token()))
	}
	values := map[string]string{keys[0]: "new 0", keys[1]: "new 1", keys[2]: "new 1"}
	stale := make(map[string]cache.Change)
	for _, key := range keys {
		e := f.entry(key)
		stale[key] = cache.Change{Key: key, Version: e.Version, Kind: e.Kind, Payload: e.Payload, TTL: time.Minute}
	}
	for range 2 {
		r := f.raw()
		for _, key := range keys {
			f.restore(stale[key])
			p, err := r.Get(t.Context(), key, tokens...)
			want(t, p, err, values[key], false)
			f.restore(stale[key])
		}
		got, err := r.GetMany(t.Context(), keys, tokens...)
		for _, key := range keys {
			want(t, got[key], err, values[key], false)
		}
		slices.Reverse(tokens)
	}
}

// restore brings an entry back to an older state, as no part of Tidelock would.
func (f *table) restore(c cache.Change) {
	f.t.Helper()
	f.del(c.Key)
	c.Ticket = f.cache.Ticket(f.t.Context(), []string{c.Key})[0].Ticket
	if reply := f.cache.Apply(f.t.Context(), c)[0]; reply.Outcome != cache.Applied {
		f.t.Fatalf("restoring %s: %+v", c.Key, reply)
	}
}
