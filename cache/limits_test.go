package cache_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, reason string }{
		"plain":        {"flight:123", ""},
		"spaces":       {"a b\nc", ""},
		"other script": {"полёт:１", ""},
		"longest":      {strings.Repeat("k", cache.KeyMax), ""},
		"too long":     {strings.Repeat("k", cache.KeyMax+1), "1025 bytes"},
		"empty":        {"", "empty"},
		"not UTF-8":    {"a\xff", "UTF-8"},
		"zero byte":    {"a\x00b", "zero byte"},
	} {
		t.Run(name, func(t *testing.T) {
			err := cache.CheckKey(c.key)
			if c.reason == "" {
				must(t, err)
				return
			}
			bad, ok := errors.AsType[*cache.KeyError](err)
			if !ok || bad.Key != c.key || !strings.Contains(err.Error(), c.reason) || len(err.Error()) > 200 {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCheckTTL(t *testing.T) {
	t.Parallel()
	for ttl, good := range map[time.Duration]bool{
		-time.Second: false, 0: false, time.Millisecond - 1: false, time.Millisecond: true, time.Hour: true, cache.TTLMax: true, cache.TTLMax + 1: false,
	} {
		if err := cache.CheckTTL(ttl); (err == nil) != good {
			t.Errorf("%v: %v", ttl, err)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome cache.Outcome
		name    string
		done    bool
	}{
		{cache.Failed, "failed", false}, {cache.Applied, "applied", true}, {cache.Superseded, "superseded", true}, {cache.Settled, "settled", true},
		{cache.Check, "check", true}, {cache.Refused, "refused", false}, {cache.Dropped, "dropped", true}, {cache.Rejected, "rejected", true},
	} {
		if c.outcome.String() != c.name || c.outcome.Done() != c.done {
			t.Errorf("%s is %v and done: %v", c.name, c.outcome, c.outcome.Done())
		}
	}
	for state, name := range map[cache.BreakerState]string{cache.Closed: "closed", cache.Open: "open", cache.HalfOpen: "half-open"} {
		if state.String() != name {
			t.Errorf("%s is %v", name, state)
		}
	}
}
