package writer_test

import (
	"context"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// losses are the ways in which a value may leave the cache behind everybody's back.
var losses = map[string]func(t *testing.T, v *world, key string){
	"deleted": func(t *testing.T, v *world, key string) { v.command(t, "DEL", key) },
	"flushed": func(t *testing.T, v *world, _ string) { v.command(t, "FLUSHALL") },
	"evicted": func(t *testing.T, v *world, key string) {
		v.command(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
		v.command(t, "CONFIG", "SET", "maxmemory", "1")
		stacktest.Eventually(t, patience, func() bool {
			// A server over its limit evicts before a write and may refuse it all the same.
			_ = v.valkey.Do(context.WithoutCancel(t.Context()), v.valkey.B().Set().Key("other").Value("x").Build()).Error()
			n, err := v.valkey.Do(t.Context(), v.valkey.B().Exists().Key(key).Build()).AsInt64()
			return err == nil && n == 0
		}, "the key is evicted")
		v.command(t, "CONFIG", "SET", "maxmemory", "0")
	},
}

func (v *world) command(t *testing.T, words ...string) {
	t.Helper()
	if err := v.valkey.Do(t.Context(), v.valkey.B().Arbitrary(words...).Build()).Error(); err != nil && !valkey.IsValkeyNil(err) {
		t.Fatalf("%v: %v", words, err)
	}
}

// TestNoZombie pauses a writer between its commit and its apply, for as long as it takes a newer write to reach the cache
// and to be lost there. The older value must not come back.
func TestNoZombie(t *testing.T) {
	t.Parallel()
	for wayName, do := range ways {
		t.Run(wayName, func(t *testing.T) {
			t.Parallel()
			server := stacktest.OwnValkey(t)
			v := newWorldOn(t, server)
			p := rig.Proxy(t, server.Addr())
			paused := v.writer(t, func(c *writer.Config) { c.Cache = slowCache(t, p) })
			other := v.writer(t)
			for name, lose := range losses {
				key := v.warm(t, v.rows(t, name)...)[0]
				must(t, p.Slow(time.Hour))
				done := start(func() (writer.Result, error) { return do(t.Context(), v, paused, key, "older") })
				v.awaitRow(t, key, "older")
				must(t, onlyError(viaPut(t.Context(), v, other, key, "newer")))
				v.holds(t, key, "newer")
				lose(t, v, key)

				must(t, p.Heal())
				a := <-done
				must(t, a.err)
				if e := v.entry(t, key); e.Hit() && string(e.Payload) != "newer" {
					t.Errorf("%s: the cache holds %q again, the row is %q; the paused write is %+v", name, e.Payload, v.row(t, key), a.result)
				}
				if a.result.Deferred() {
					t.Errorf("%s: the paused write did not reach the cache: %+v", name, a.result)
				}
				must(t, onlyError(viaPut(t.Context(), v, paused, key, "newest")))
				if e := v.entry(t, key); e.Hit() && string(e.Payload) != "newest" {
					t.Errorf("%s: the cache holds %q, the row is %q", name, e.Payload, v.row(t, key))
				}
			}
		})
	}
}
