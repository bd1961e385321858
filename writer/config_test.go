package writer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/writer"
)

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }

// refreshTo computes always the same.
func refreshTo(key, payload string) writer.Change {
	return writer.Refresh(key, func(context.Context, pgx.Tx) ([]byte, error) { return []byte(payload), nil })
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	for field, spoil := range map[string]func(*writer.Config){
		"DB":            func(c *writer.Config) { c.DB = nil },
		"Cache":         func(c *writer.Config) { c.Cache = nil },
		"Allocate":      func(c *writer.Config) { c.Allocate = 7 },
		"TTL":           func(c *writer.Config) { c.TTL = cache.TTLMax + 1 },
		"TTL: ":         func(c *writer.Config) { c.TTL = time.Microsecond },
		"Grace":         func(c *writer.Config) { c.Grace = -1 },
		"CommitTimeout": func(c *writer.Config) { c.CommitTimeout = -1 },
		"Committers":    func(c *writer.Config) { c.Committers = -1 },
		"GroupMax":      func(c *writer.Config) { c.GroupMax = -1 },
	} {
		cfg := writer.Config{DB: v.db, Cache: v.cache}
		spoil(&cfg)
		if w, err := writer.New(t.Context(), cfg); err == nil {
			w.Close()
			t.Errorf("a bad %s is accepted", field)
		} else if !contains(err, "writer: ") || !contains(err, field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestPostgresDownAtStart(t *testing.T) {
	t.Parallel()
	p := rig.Proxy(t, "127.0.0.1:1")
	must(t, p.Cut())
	db := rig.Pool(t, "postgres://nobody@"+p.Addr()+"/none?sslmode=disable")
	_, err := writer.New(t.Context(), writer.Config{DB: db, Cache: commonWorld(t).cache})
	if _, ok := errors.AsType[*pgconn.ConnectError](err); !ok {
		t.Errorf("New: %v, want the driver's error", err)
	}
}

// TestTimeToLive: entries live as long as asked, less up to a tenth by chance.
func TestTimeToLive(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	const ttl = 20 * time.Hour
	w := v.writer(t, func(c *writer.Config) { c.TTL = ttl })
	lives := make(map[time.Duration]bool)
	for _, key := range v.numbered(t, 10) {
		must(t, onlyError(viaPut(t.Context(), v, w, key, "x")))
		lives[v.ttl(t, key, ttl)] = true
	}
	if len(lives) == 1 {
		t.Error("all entries expire at the same moment")
	}
	keys := v.rows(t, "named", "put")
	must(t, onlyError(w.Write(t.Context(), func(context.Context, *writer.Tx) error { return nil }, writer.Set(keys[0], nil).Within(time.Hour))))
	v.ttl(t, keys[0], time.Hour)
	put := putting(keys[1], "x")
	put.TTL = 2 * time.Hour
	must(t, onlyError(w.Put(t.Context(), put)))
	v.ttl(t, keys[1], 2*time.Hour)
}

// ttl returns the time to live of an entry that was just written, to the minute, and checks it.
func (v *world) ttl(t *testing.T, key string, want time.Duration) time.Duration {
	t.Helper()
	got, err := v.cache.TTL(t.Context(), key)
	must(t, err)
	if got > want || got < want*9/10-time.Minute {
		t.Errorf("%s has %v to live, want about %v", key, got, want)
	}
	return got.Round(time.Minute)
}
