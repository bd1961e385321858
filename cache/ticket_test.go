package cache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestTicket(t *testing.T) {
	t.Parallel()
	b := shared(t)
	for name, held := range map[string]string{
		"nothing": "", "text": "by hand", "no line end": "tl1 V 4", "leading zero": "tl1 V 04\nx",
		"header too long": "tl1 P 4 " + strings.Repeat("T", 80) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			key := b.key(t.Name())
			b.put(t, key, held)
			first := b.ticket(t, key)
			if first.Err != nil || first.Kind != cache.Placeholder || first.Version != 0 || len(first.Ticket) < 20 {
				t.Errorf("got %+v", first)
			}
			if got, want := b.bytes(t, key), placeholder("0", first.Ticket); got != want {
				t.Errorf("the cache holds %q, want %q", got, want)
			}
			b.expectTTL(t, key, placeholderTTL)
			if second := b.ticket(t, key); second.Ticket != first.Ticket {
				t.Errorf("a placeholder's token %s was not shared: %s", first.Ticket, second.Ticket)
			}
		})
	}
}

// TestTicketKeepsPlaceholder holds that a ticket takes nothing away: neither the bound that a write has raised nor the token that others hold.
func TestTicketKeepsPlaceholder(t *testing.T) {
	t.Parallel()
	b := shared(t)
	key := b.key("k")
	b.put(t, key, placeholder("9", old))
	if got := b.ticket(t, key); got.Err != nil || got.Kind != cache.Placeholder || got.Version != 9 || got.Ticket != old {
		t.Errorf("got %+v", got)
	}
	if got := b.bytes(t, key); got != placeholder("9", old) {
		t.Errorf("the cache holds %q", got)
	}
	b.expectTTL(t, key, 100*time.Second)
}

func TestTicketFindsValue(t *testing.T) {
	t.Parallel()
	b := shared(t)
	payload := strings.Repeat("p", 100)
	b.put(t, b.key("value"), "tl1 V 7\n"+payload)
	b.put(t, b.key("short"), "tl1 V 8\np")
	b.put(t, b.key("absent"), "tl1 A 9\n")
	keys := []string{b.key("value"), b.key("short"), b.key("absent"), b.key("nothing")}
	want := []cache.Entry{
		{Kind: cache.Value, Version: 7, Payload: []byte(payload)},
		{Kind: cache.Value, Version: 8, Payload: []byte("p")},
		{Kind: cache.Absent, Version: 9},
	}
	held := b.Ticket(t.Context(), keys)
	for i, w := range want {
		expectEntry(t, held[i].Entry, w)
	}
	if held[3].Kind != cache.Placeholder {
		t.Errorf("for nothing got %+v", held[3])
	}
	if got := b.bytes(t, keys[0]); got != "tl1 V 7\n"+payload {
		t.Errorf("a ticket has changed the value to %q", got)
	}
}

// TestReserve holds that a place is reserved where there is nothing, and that what is there stays.
func TestReserve(t *testing.T) {
	t.Parallel()
	b := shared(t)
	held := map[string]string{"value": "tl1 V 7\np", "absent": "tl1 A 9\n", "placeholder": placeholder("9", old), "text": "by hand"}
	keys := []string{b.key("nothing"), b.key("hash")}
	b.cmd(t, "HSET", b.key("hash"), "f", "v")
	for name, bytes := range held {
		b.put(t, b.key(name), bytes)
		keys = append(keys, b.key(name))
	}
	tickets := b.Reserve(t.Context(), keys)
	for i, ticket := range tickets {
		if (ticket != "") != (i == 0) {
			t.Errorf("the ticket for %s is %q", keys[i], ticket)
		}
	}
	if got := b.bytes(t, keys[0]); got != placeholder("0", tickets[0]) {
		t.Errorf("where there was nothing there is %q, and the ticket is %q", got, tickets[0])
	}
	b.expectTTL(t, keys[0], placeholderTTL)
	for name, bytes := range held {
		if got := b.bytes(t, b.key(name)); got != bytes {
			t.Errorf("%s: the cache holds %q, before it was %q", name, got, bytes)
		}
	}
	if again := b.Reserve(t.Context(), keys[:1]); again[0] != "" {
		t.Errorf("a place is reserved twice: %q", again)
	}
	if r := b.Fill(t.Context(), ticketed(value(keys[0], 3, "v"), tickets[0])); r[0].Outcome != cache.Applied {
		t.Errorf("filling with the ticket: %+v", r)
	}
}

// TestReserveWhileTheServerIsAway gives no tickets, and the breaker hears of it.
func TestReserveWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL(), quick)
	must(t, server.Pause())
	stacktest.Eventually(t, patience, func() bool {
		if tickets := b.Reserve(t.Context(), []string{"k", "l"}); tickets[0] != "" || tickets[1] != "" {
			t.Fatalf("got the tickets %q", tickets)
		}
		return b.Cache.Breaker() != cache.Closed
	}, "the breaker opens")
	must(t, server.Resume())
	recovers(t, b.Cache)
}

// TestTokensDiffer holds that a placeholder left after a flush has another token, so that no ticket from before is good.
func TestTokensDiffer(t *testing.T) {
	t.Parallel()
	b := shared(t)
	key, seen := b.key("k"), map[string]bool{}
	for range 50 {
		got := b.ticket(t, key)
		if got.Err != nil || seen[got.Ticket] {
			t.Fatalf("got %+v after %d others", got, len(seen))
		}
		seen[got.Ticket] = true
		b.put(t, key, "")
	}
}

func expectEntry(t testing.TB, got, want cache.Entry) {
	t.Helper()
	if got.Kind != want.Kind || got.Version != want.Version || got.Ticket != want.Ticket || string(got.Payload) != string(want.Payload) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
