package cache_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestPipelineOfManyOutcomes holds that the replies come in the order of the changes, each with its own outcome.
func TestPipelineOfManyOutcomes(t *testing.T) {
	t.Parallel()
	b := shared(t, func(c *cache.Config) { c.PayloadMax = 10 })
	b.put(t, b.key("older"), "tl1 V 5\nold")
	b.put(t, b.key("newer"), "tl1 V 7\nold")
	b.put(t, b.key("twice"), "tl1 V 5\nold")
	b.put(t, b.key("ours"), placeholder("5", old))
	b.cmd(t, "HSET", b.key("hash"), "f", "v")
	b.cmd(t, "SCRIPT", "FLUSH")
	replies := b.Apply(t.Context(),
		value(b.key("older"), 6, "new"),
		value(b.key("newer"), 6, "new"),
		value(b.key("nothing"), 6, "new"),
		value(b.key("hash"), 6, "new"),
		allocated(value(b.key("allocated"), 6, "new")),
		value(b.key("twice"), 6, "six"),
		value(b.key("twice"), 8, "eight"),
		value(b.key("twice"), 7, "seven"),
		value(b.key("large"), 6, "more than ten"),
		ticketed(value(b.key("ours"), 6, "new"), old),
	)
	want := []cache.Outcome{cache.Applied, cache.Superseded, cache.Settled, cache.Rejected, cache.Check,
		cache.Applied, cache.Applied, cache.Superseded, cache.Rejected, cache.Applied}
	var got []cache.Outcome
	for _, r := range replies {
		got = append(got, r.Outcome)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := b.bytes(t, b.key("twice")); got != "tl1 V 8\neight" {
		t.Errorf("of three versions %q is left", got)
	}
	fills := b.Fill(t.Context(),
		ticketed(value(b.key("allocated"), 6, "new"), replies[4].Ticket),
		ticketed(value(b.key("nothing"), 6, "new"), replies[4].Ticket),
		value(b.key("older"), 6, "new"),
	)
	if fills[0].Outcome != cache.Applied || fills[1].Outcome != cache.Refused || fills[2].Outcome != cache.Superseded {
		t.Errorf("the fills gave %+v", fills)
	}
}

// TestScriptsLost holds that a server which has lost the scripts is given them again, for each script and also while others call.
func TestScriptsLost(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t).URL())
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for i := range 50 {
				key := b.key(fmt.Sprint(caller, "/", i))
				held := b.Ticket(t.Context(), []string{key, key})
				if held[0].Err != nil || held[1].Err != nil {
					t.Errorf("taking tickets: %+v", held)
					return
				}
				r := b.Fill(t.Context(), ticketed(value(key, 1, "v"), held[0].Ticket), value(key, 2, "w"), value(key, 3, "x"))
				if r[0].Outcome != cache.Applied || r[1].Outcome != cache.Applied || r[2].Outcome != cache.Applied {
					t.Errorf("filling: %+v", r)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { callers.Wait(); close(done) }()
	for flushed := false; ; flushed = true {
		b.cmd(t, "SCRIPT", "FLUSH")
		select {
		case <-done:
			if !flushed {
				t.Error("the callers were done before the scripts were lost")
			}
			return
		default:
		}
	}
}

// TestForbiddenKeyAmongMany holds that a key which the server does not let us touch spoils nothing for those that go with it, also where there are more
// than go in one command, and that all replies name the server.
func TestForbiddenKeyAmongMany(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL())
	b.cmd(t, "ACL", "SETUSER", "limited", "on", ">secret", "+@all", "~tidelock:*", "~ours:*")
	limited := on(t, strings.Replace(server.URL(), "://", "://limited:secret@", 1))
	const many, forbidden = 150, 70
	keys, changes := make([]string, many), make([]cache.Change, many)
	for i := range keys {
		keys[i] = fmt.Sprint("ours:", i)
		if i == forbidden {
			keys[i] = "theirs"
		}
		changes[i] = value(keys[i], 6, "new")
	}
	for i, ticket := range limited.Reserve(t.Context(), keys) {
		if (ticket == "") != (i == forbidden) {
			t.Errorf("the ticket of %s is %q", keys[i], ticket)
		}
		changes[i].Ticket = ticket
	}
	for i, r := range limited.Apply(t.Context(), changes...) {
		if i == forbidden && r.Outcome != cache.Failed || i != forbidden && r.Outcome != cache.Applied {
			t.Errorf("%s is %+v", keys[i], r)
		}
		if r.Server == "" {
			t.Errorf("the reply for %s names no server", keys[i])
		}
	}
}

func TestGetMany(t *testing.T) {
	t.Parallel()
	b := shared(t)
	b.put(t, b.key("value"), "tl1 V 5\npayload")
	b.put(t, b.key("absent"), "tl1 A 6\n")
	b.put(t, b.key("placeholder"), placeholder("7", old))
	b.put(t, b.key("foreign"), "by hand")
	b.cmd(t, "HSET", b.key("hash"), "f", "v")
	names := []string{"value", "nothing", "absent", "placeholder", "foreign", "hash", "value"}
	want := []cache.Entry{
		{Kind: cache.Value, Version: 5, Payload: []byte("payload")}, {}, {Kind: cache.Absent, Version: 6},
		{Kind: cache.Placeholder, Version: 7, Ticket: old}, {}, {}, {Kind: cache.Value, Version: 5, Payload: []byte("payload")},
	}
	hits := []bool{true, false, true, false, false, false, true}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = b.key(name)
	}
	got, err := b.GetMany(t.Context(), keys)
	must(t, err)
	for i := range want {
		expectEntry(t, got[i], want[i])
		if got[i].Hit() != hits[i] {
			t.Errorf("%s is a hit: %v", names[i], got[i].Hit())
		}
		if names[i] == "hash" {
			continue // Get says so, see TestWrongType
		}
		e, err := b.Get(t.Context(), keys[i])
		must(t, err)
		expectEntry(t, e, want[i])
	}
}

func TestNoKeys(t *testing.T) {
	t.Parallel()
	b := shared(t)
	entries, err := b.GetMany(t.Context(), nil)
	if len(entries) != 0 || err != nil {
		t.Errorf("GetMany gave %v, %v", entries, err)
	}
	if held := b.Ticket(t.Context(), nil); len(held) != 0 {
		t.Errorf("Ticket gave %v", held)
	}
	if replies := b.Apply(t.Context()); len(replies) != 0 {
		t.Errorf("Apply gave %v", replies)
	}
	if b.Breaker() != cache.Closed {
		t.Errorf("the breaker is %v", b.Breaker())
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	b := shared(t)
	key := b.key("k")
	b.cmd(t, "SET", key, "tl1 V 1\n")
	if ttl, err := b.TTL(t.Context(), key); ttl != 0 || err != nil {
		t.Errorf("of an entry that does not expire: %v, %v", ttl, err)
	}
	if ttl, err := b.TTL(t.Context(), b.key("nothing")); ttl != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", ttl, err)
	}
	b.one(t, value(key, 2, "v"))
	b.expectTTL(t, key, valueTTL)
}
