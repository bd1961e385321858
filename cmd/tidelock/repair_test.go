package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestOperatorRepairs gives a cache older entries than Postgres has, as a restore by hand would, and holds what status says and
// what each kind of repair does.
func TestOperatorRepairs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := rig.DB(t)
	server := stacktest.OwnValkey(t)
	env := []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_VALKEY_URL=" + server.URL(), "TIDELOCK_NATS_URL=" + stacktest.NATS(t).URL()}
	c := rig.Cache(t, server.URL())
	w := rig.Writer(t, writer.Config{DB: db, Cache: c})
	write := func(key, value string) int64 {
		t.Helper()
		result, err := w.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte(value)))
		if err != nil || result.Deferred() {
			t.Fatalf("writing: %+v, %v", result, err)
		}
		return result.Version()
	}
	prints := func(want string, args ...string) {
		t.Helper()
		stdout, stderr, ok := tidelock(t, env, args...)
		if !ok || !strings.Contains(stdout, want) {
			t.Errorf("%v printed %q and %q, want %q", args, stdout, stderr, want)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if _, stderr, ok := tidelock(t, env, args...); ok || !strings.Contains(stderr, want) {
			t.Errorf("%v ended well: %v, and said %q, want %q", args, ok, stderr, want)
		}
	}
	holds := func(key string, kind cache.Kind) {
		t.Helper()
		if e, err := c.Get(ctx, key); err != nil || e.Kind != kind {
			t.Errorf("%s is %q, %v, want %q", key, string(e.Kind), err, string(kind))
		}
	}
	admin := rig.Valkey(t, server.URL())
	setBack := func(key string) {
		t.Helper()
		if err := admin.Do(ctx, admin.B().Set().Key(key).Value("tl1 V 0\nold").Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	prints("nobody: is a relay running?", "status")
	refused("say what", "repair")
	refused("neither a time", "repair", "--since", "yesterday")
	refused("in the future", "repair", "--since", "2999-01-01T00:00:00Z")
	refused("use --all", "repair", "--since", "5m")

	rig.Relay(t, relay.Config{DB: db, Cache: c, NATS: rig.NATS(t, stacktest.NATS(t).URL())})
	stacktest.Eventually(t, 10*time.Second, func() bool {
		_, known, err := outbox.Since(ctx, db, time.Now())
		return err == nil && known
	}, "the guardian has noted the horizon")
	write("k:old", "new")
	kept := write("k:kept", "new")
	prints("on record, nothing in doubt", "status")
	setBack("k:old")
	prints("looked at", "repair", "--since", "1ms")
	holds("k:old", cache.Placeholder)
	setBack("k:old")
	prints("looked at 2 keys", "repair", "--all")
	holds("k:old", cache.Placeholder)
	if e, err := c.Get(ctx, "k:kept"); err != nil || e.Version != kept {
		t.Errorf("k:kept has version %d, %v, want it untouched at %d", e.Version, err, kept)
	}
	prints("deleted 2 entries", "repair", "--drop")
	holds("k:kept", cache.None)
}
