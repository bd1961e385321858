package serve_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/serve"
)

// TestStrictAndBoundedReads has a relay, which grants leases, and a Valkey of its own, which it guards.
func TestStrictAndBoundedReads(t *testing.T) {
	t.Parallel()
	valkey := stacktest.OwnValkey(t)
	w := newWorld(t, `  strict:
    table: strict
    key: id
    cache: PREFIXstrict:{id}
    columns: [n]
    strict: true
`, func(c *serve.Config) {
		prefix := "TestStrictAndBoundedReads:strict:"
		if _, err := c.DB.Exec(t.Context(), `CREATE TABLE strict (id int PRIMARY KEY, n int)`); err != nil {
			t.Fatal(err)
		}
		c.Cache = rig.Cache(t, valkey.URL())
		c.NATS = rig.NATS(t, stacktest.NATS(t).URL())
		rig.Relay(t, relay.Config{DB: c.DB, Cache: rig.Cache(t, valkey.URL()), NATS: rig.NATS(t, stacktest.NATS(t).URL()), Stream: "HTTP"})
		leases, err := lease.NewClient(lease.Config{DB: c.DB, NATS: c.NATS})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(leases.Close)
		if _, err := serve.New(t.Context(), *c); err == nil {
			t.Error("an entity is strict that the database does not know for one")
		}
		if err := outbox.DeclareStrict(t.Context(), c.DB, prefix); err != nil {
			t.Fatal(err)
		}
		if _, err := serve.New(t.Context(), *c); err == nil {
			t.Error("an entity is strict that there are no leases for")
		}
		c.Leases = leases
	})
	w.do("PUT", "/v1/strict/1", `{"n":1}`).want(200, `"cache":"applied"`)
	stacktest.Eventually(t, 30*time.Second, func() bool {
		return w.do("GET", "/v1/strict/1", "", "Tidelock-Consistency: strict").status == 200
	}, "the prefix comes into force")
	stacktest.Eventually(t, 30*time.Second, func() bool {
		got := w.do("GET", "/v1/strict/1", "", "Tidelock-Consistency: strict")
		return got.status == 200 && got.header.Get("Cache-Status") == "tidelock; hit"
	}, "a strict read is served from the cache")
	w.do("PATCH", "/v1/strict/1", `{"n":2}`).want(200)
	w.do("GET", "/v1/strict/1", "", "Tidelock-Consistency: strict").want(200, `"n":2`)
	w.do("GET", "/v1/flights/1", "", "Tidelock-Consistency: strict").want(400, "not strict")
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200)
	w.do("GET", "/v1/flights/1", "", "Tidelock-Consistency: within=2s").want(200)
	w.do("GET", "/readyz", "").want(200, `"state":"ready"`, `"nats":"ok"`)
}
