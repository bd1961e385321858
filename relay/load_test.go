package relay_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// attach makes a table of flights, of which psql is free to write, and returns how its rows are loaded.
func (s *site) attach(allocate bool) func(ctx context.Context, keys []string) (map[string][]byte, error) {
	s.t.Helper()
	s.exec("CREATE TABLE flights (id int PRIMARY KEY, number text NOT NULL)")
	err := outbox.Attach(s.t.Context(), s.db, outbox.Attachment{Entity: "flight", Table: pgx.Identifier{"flights"}, Prefix: s.prefix + ":",
		Key: fmt.Sprintf("'%s:' || r.id", s.prefix), Allocate: allocate}, patience)
	if err != nil {
		s.t.Fatal(err)
	}
	return func(ctx context.Context, keys []string) (map[string][]byte, error) {
		rows, err := s.db.Query(ctx, "SELECT $1 || ':' || id, number FROM flights WHERE $1 || ':' || id = ANY ($2)", s.prefix, keys)
		if err != nil {
			return nil, err
		}
		found := make(map[string][]byte)
		var key, number string
		_, err = pgx.ForEachRow(rows, []any{&key, &number}, func() error {
			found[key] = []byte(number)
			return nil
		})
		return found, err
	}
}

// becomes waits until the cache holds an entry of this kind and payload for key.
func (s *site) becomes(key string, kind cache.Kind, payload string) {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() bool {
		e := s.entry(key)
		return e.Kind == kind && string(e.Payload) == payload
	}, key, "is", string(kind), payload)
}

// TestBehindTheCachesBack: what psql changes comes to the cache, as rows where the relay can load them.
func TestBehindTheCachesBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		loads, allocate bool
		fresh, changed  cache.Kind
	}{
		{loads: true, allocate: true, fresh: cache.Value, changed: cache.Value},
		{loads: true, allocate: false, changed: cache.Placeholder},
		{loads: false, allocate: true, changed: cache.Placeholder},
	} {
		t.Run(fmt.Sprintf("loads %t, allocate %t", c.loads, c.allocate), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			load := s.attach(c.allocate)
			s.run(func(cfg *relay.Config) {
				if c.loads {
					cfg.Load = load
				}
			})
			value := func(kind cache.Kind, payload string) string {
				if kind == cache.Value {
					return payload
				}
				return ""
			}
			s.exec("INSERT INTO flights VALUES (1, 'new')")
			s.drained()
			s.becomes(s.key(1), c.fresh, value(c.fresh, "new"))
			s.seed(s.key(2), 1, "old")
			s.exec("INSERT INTO flights VALUES (2, 'first'); UPDATE flights SET number = 'changed'")
			s.drained()
			s.becomes(s.key(2), c.changed, value(c.changed, "changed"))
			s.exec("DELETE FROM flights")
			s.drained()
			if e := s.entry(s.key(2)); e.Hit() {
				t.Errorf("the cache holds %q after the row is gone", e.Payload)
			}
		})
	}
}

// TestLoadThatFailsInvalidates: nothing old stays, and nothing waits.
func TestLoadThatFailsInvalidates(t *testing.T) {
	t.Parallel()
	for name, load := range map[string]func(ctx context.Context, keys []string) (map[string][]byte, error){
		"no end":   func(ctx context.Context, _ []string) (map[string][]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		"an error": func(context.Context, []string) (map[string][]byte, error) { return nil, errors.New("no rights") },
		"too large": func(_ context.Context, keys []string) (map[string][]byte, error) {
			return map[string][]byte{keys[0]: []byte(strings.Repeat("x", 2<<20))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.attach(true)
			s.run(func(cfg *relay.Config) {
				cfg.Load, cfg.Lease = load, 4*time.Second
			})
			s.seed(s.key(1), 1, "old")
			s.exec("INSERT INTO flights VALUES (1, 'new')")
			s.record(set(s.key("neighbour"), "new"))
			s.drained()
			s.becomes(s.key(1), cache.Placeholder, "")
			s.holds(s.key("neighbour"), "new")
		})
	}
}

// TestRowChangesWhileItIsLoaded: the older row is stored under the older version, and the newer one takes its place.
func TestRowChangesWhileItIsLoaded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	load := s.attach(true)
	changed := false
	s.run(func(cfg *relay.Config) {
		cfg.Consumers = 1
		cfg.Load = func(ctx context.Context, keys []string) (map[string][]byte, error) {
			rows, err := load(ctx, keys)
			if !changed { // between the load and whatever comes after it
				changed = true
				s.exec("UPDATE flights SET number = 'newer'")
			}
			return rows, err
		}
	})
	s.exec("INSERT INTO flights VALUES (1, 'new')")
	s.becomes(s.key(1), cache.Value, "newer")
	s.drained()
	latest, err := outbox.Latest(t.Context(), s.db, []string{s.key(1)})
	if err != nil {
		t.Fatal(err)
	}
	if e := s.entry(s.key(1)); string(e.Payload) != "newer" || e.Version != latest[s.key(1)] {
		t.Errorf("the cache holds %q of version %d, want the newer one of %d", e.Payload, e.Version, latest[s.key(1)])
	}
}

// TestLoadIsBounded: what does not fit in a chunk is invalidated.
func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	load := s.attach(true)
	s.run(func(cfg *relay.Config) { cfg.Load, cfg.ChunkBytes = load, 10<<10 })
	s.exec("INSERT INTO flights SELECT g, repeat('x', 1000) FROM generate_series(1, 300) g")
	s.drained()
	values := 0
	for i := range 300 {
		if s.entry(s.key(i + 1)).Hit() {
			values++
		}
	}
	if values == 0 || values == 300 || values%100 != 0 {
		t.Errorf("%d of 300 rows are stored: want a hundred or two", values)
	}
}
