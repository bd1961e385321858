package cache_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestWrongType(t *testing.T) {
	t.Parallel()
	b := shared(t)
	hash := func(t *testing.T) string {
		key := b.key(t.Name())
		b.cmd(t, "HSET", key, "field", "value")
		return key
	}
	for name, do := range map[string]func(string) cache.Change{
		"write":           func(k string) cache.Change { return value(k, 5, "new") },
		"to be allocated": func(k string) cache.Change { return allocated(value(k, 5, "new")) },
		"invalidated":     func(k string) cache.Change { return invalidation(k, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			key := hash(t)
			if r := b.one(t, do(key)); r.Outcome != cache.Rejected || r.Err == nil || b.exists(t, key) {
				t.Errorf("got %+v, exists: %v", r, b.exists(t, key))
			}
		})
	}
	t.Run("ticket", func(t *testing.T) {
		key := hash(t)
		if h := b.ticket(t, key); !isRefusal(h.Err) || h.Hit() || !b.exists(t, key) {
			t.Errorf("got %+v, exists: %v", h, b.exists(t, key))
		}
	})
	t.Run("fill", func(t *testing.T) {
		key := hash(t)
		if r := b.Fill(t.Context(), ticketed(value(key, 5, "new"), old))[0]; r.Outcome != cache.Refused || r.Err != nil || !b.exists(t, key) {
			t.Errorf("got %+v, exists: %v", r, b.exists(t, key))
		}
	})
	t.Run("get", func(t *testing.T) {
		if e, err := b.Get(t.Context(), hash(t)); !isRefusal(err) || e.Hit() {
			t.Errorf("got %+v, %v", e, err)
		}
	})
	if b.Breaker() != cache.Closed {
		t.Error("the breaker took a reply for an outage")
	}
}

// isRefusal reports whether err is the server's reply WRONGTYPE, and not taken for an outage.
func isRefusal(err error) bool {
	reply, ok := valkey.IsValkeyErr(err)
	return ok && strings.HasPrefix(reply.Error(), "WRONGTYPE") && !errors.Is(err, cache.ErrUnavailable)
}

// TestNoMemory holds that a value which the server has no memory for does not leave an older one behind.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.OwnValkey(t, "--maxmemory-policy", "noeviction").URL())
	for name, c := range map[string]struct {
		held  string
		do    cache.Change
		fill  bool
		want  cache.Outcome
		after string
	}{
		"older value":                    {"tl1 V 5\nold", value("", 6, "new"), false, cache.Dropped, ""},
		"older value, invalidated":       {"tl1 V 5\nold", invalidation("", 6), false, cache.Dropped, ""},
		"older value, filled":            {"tl1 V 5\nold", ticketed(value("", 6, "new"), old), true, cache.Dropped, ""},
		"newer value":                    {"tl1 V 7\nold", value("", 6, "new"), false, cache.Superseded, "tl1 V 7\nold"},
		"placeholder of ours":            {placeholder("5", old), ticketed(value("", 6, "new"), old), false, cache.Dropped, ""},
		"placeholder of another":         {placeholder("5", old), value("", 6, "new"), false, cache.Dropped, ""},
		"nothing":                        {"", value("", 6, "new"), false, cache.Settled, ""},
		"nothing, to be allocated":       {"", allocated(value("", 6, "new")), false, cache.Dropped, ""},
		"foreign bytes, to be allocated": {"by hand", allocated(value("", 6, "new")), false, cache.Dropped, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.do.Key = b.key(t.Name())
			b.put(t, c.do.Key, c.held)
			b.full(t, true)
			send := b.Apply
			if c.fill {
				send = b.Fill
			}
			reply := send(t.Context(), c.do)[0]
			b.full(t, false)
			if got := b.bytes(t, c.do.Key); reply.Outcome != c.want || reply.Err != nil || got != c.after {
				t.Errorf("got %+v and %q is left, want %v and %q", reply, got, c.want, c.after)
			}
		})
	}
	t.Run("many in one call", func(t *testing.T) {
		changes := make([]cache.Change, 10)
		for i := range changes {
			changes[i] = value(b.key(t.Name()+strconv.Itoa(i)), 6, "new")
			b.put(t, changes[i].Key, "tl1 V 5\nold")
		}
		b.one(t, invalidation(b.key("known"), 1)) // the server has the script, which else goes again key by key
		b.cmd(t, "CONFIG", "SET", "maxmemory", "1")
		replies := b.Apply(t.Context(), changes...)
		b.full(t, false)
		for i, reply := range replies {
			if got := b.bytes(t, changes[i].Key); reply.Outcome != cache.Dropped || got != "" {
				t.Errorf("the change %d: %+v, and %q is left", i, reply, got)
			}
		}
	})
	t.Run("ticket", func(t *testing.T) {
		b.full(t, true)
		defer b.full(t, false)
		held := b.ticket(t, b.key("ticket"))
		if _, ok := valkey.IsValkeyErr(held.Err); !ok || held.Hit() || b.Breaker() != cache.Closed {
			t.Errorf("got %+v, the breaker is %v", held, b.Breaker())
		}
	})
}

// full makes the server refuse whatever takes memory, scripts it has lost included.
func (b *bench) full(t *testing.T, yes bool) {
	t.Helper()
	limit := "0"
	if yes {
		b.cmd(t, "SCRIPT", "FLUSH")
		limit = "1"
	}
	b.cmd(t, "CONFIG", "SET", "maxmemory", limit)
}

// TestPayloadOverLimit holds that a value which may not be stored takes the older one's place all the same, as one that must be loaded.
func TestPayloadOverLimit(t *testing.T) {
	t.Parallel()
	b := shared(t, func(c *cache.Config) { c.PayloadMax = 10 })
	over := strings.Repeat("p", 11)
	for name, c := range map[string]struct {
		held  string
		do    cache.Change
		after string
	}{
		"older value":              {"tl1 V 5\nold", value("", 6, over), placeholder("6", fresh)},
		"newer value":              {"tl1 V 7\nold", value("", 6, over), "tl1 V 7\nold"},
		"nothing":                  {"", value("", 6, over), ""},
		"nothing, to be allocated": {"", allocated(value("", 6, over)), ""},
		"placeholder":              {placeholder("5", old), value("", 6, over), placeholder("6", old)},
		"placeholder of ours":      {placeholder("5", old), ticketed(value("", 6, over), old), placeholder("6", old)},
	} {
		t.Run(name, func(t *testing.T) {
			c.do.Key = b.key(t.Name())
			b.put(t, c.do.Key, c.held)
			reply := b.one(t, c.do)
			tooLarge, ok := errors.AsType[*cache.PayloadError](reply.Err)
			if reply.Outcome != cache.Rejected || !ok || tooLarge.Size != 11 || tooLarge.Limit != 10 || tooLarge.Key != c.do.Key {
				t.Errorf("got %+v", reply)
			}
			got := b.bytes(t, c.do.Key)
			if want := strings.Replace(c.after, fresh, tokenOf(got), 1); got != want {
				t.Errorf("the cache holds %q, want %q", got, want)
			}
		})
	}
	t.Run("filled", func(t *testing.T) {
		key := b.key("filled")
		held := b.ticket(t, key)
		r := b.Fill(t.Context(), ticketed(value(key, 5, over), held.Ticket))[0]
		if got := b.bytes(t, key); r.Outcome != cache.Refused || got != placeholder("0", held.Ticket) {
			t.Errorf("got %+v and %q", r, got)
		}
	})
	t.Run("at the limit", func(t *testing.T) {
		key := b.key("limit")
		b.put(t, key, "tl1 V 5\nold")
		if r := b.one(t, value(key, 6, over[:10])); r.Outcome != cache.Applied {
			t.Errorf("got %+v", r)
		}
	})
}
