package serve_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/serve"
	"github.com/tidelock-cache/tidelock/writer"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const path = "/v1/flights/1"
	w.do("PUT", path, `{"number":"TL 1"}`, "If-Match: *").want(412)
	first := w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *").want(200).header.Get("ETag")
	w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *").want(412, "the row is there already")
	second := w.do("PATCH", path, `{"delay":1}`, "If-Match: "+first).want(200, `"delay":1`).header.Get("ETag")
	w.do("PATCH", path, `{"delay":2}`, "If-Match: "+first).want(412, "/docs#precondition-failed")
	w.do("PUT", path, `{"number":"TL 9"}`, "If-Match: "+first).want(412)
	w.do("DELETE", path, "", "If-Match: "+first).want(412)
	w.do("PATCH", path, `{"delay":2}`, `If-Match: "7", W/`+second).want(412)
	w.do("PATCH", path, `{"delay":2}`, "If-None-Match: "+second).want(412)
	w.do("GET", path, "", "If-None-Match: W/"+second).want(304).has("ETag", second).has("Cache-Status", "tidelock; hit")
	w.do("GET", path, "", "If-None-Match: "+first).want(200, `"delay":1`)
	w.do("GET", path, "", "If-Match: "+first).want(412)
	w.do("GET", path, "", "If-None-Match: *").want(304)
	w.do("GET", "/v1/flights/2", "", "If-None-Match: *").want(404)
	w.do("PATCH", path, `{"delay":3}`, "If-Match: \"7\" , "+strings.Replace(second, `"`, `"`, 1)).want(200)
	w.do("PATCH", path, `{"delay":3}`, "If-Match: 7").want(400, "entity-tags")
	third := w.do("GET", path, "").want(200).header.Get("ETag")
	w.do("DELETE", path, "", "If-Match: "+third).want(200)
	w.do("PUT", path, `{"number":"TL 1"}`, "If-Match: "+third).want(412)
}

// TestAVersionIsCheckedUnderTheLock: two writers who have read one version wait for the same row; one of them must be told.
func TestAVersionIsCheckedUnderTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const path = "/v1/flights/1"
	tag := w.do("PUT", path, `{"number":"TL 1"}`).want(200).header.Get("ETag")
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT 1 FROM flights WHERE id = 1 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	status := make([]int, 2)
	for i := range status {
		both.Go(func() { status[i] = w.do("PATCH", path, fmt.Sprintf(`{"delay":%d}`, i+1), "If-Match: "+tag).status })
	}
	waitForLock(t, w, 2)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	if status[0]+status[1] != 200+412 {
		t.Errorf("two writes of one version got %v, want one of them 412", status)
	}
}

// TestNoTwoWritesShareAVersion: an entity-tag stands for one content.
func TestNoTwoWritesShareAVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	var mu sync.Mutex
	content := make(map[string]string)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 10 {
				got := w.do("PUT", "/v1/flights/1", fmt.Sprintf(`{"number":"TL 1","delay":%d}`, i*100+j)).want(200)
				mu.Lock()
				if other := content[got.header.Get("ETag")]; other != "" {
					t.Errorf("%s is %s, and %s", got.header.Get("ETag"), other, got.row())
				}
				content[got.header.Get("ETag")] = got.row()
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestTokensAndConsistency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	const path = "/v1/flights/1"
	w.do("PUT", path, `{"number":"TL 1"}`).want(200)
	// A write that another process has committed and that has not reached the cache.
	dead := rig.Writer(t, writer.Config{DB: w.db, Cache: rig.Cache(t, "valkey://127.0.0.1:1", func(c *cache.Config) { c.Timeout = 50 * time.Millisecond })})
	result, err := dead.Put(t.Context(), writer.Put{Key: w.prefix + "flight:1", SQL: `UPDATE flights SET delay = 9 WHERE id = 1 RETURNING '{"id":1,"delay":9}'::json`})
	if err != nil || !result.Deferred() {
		t.Fatal(result, err)
	}
	w.do("GET", path, "").want(200, `"delay":0`).has("Tidelock-Token", "")
	got := w.do("GET", path, "", "Tidelock-Token: "+result.Token().String()).want(200, `"delay":9`).has("Cache-Status", "tidelock; fwd=miss")
	w.do("GET", path, "", "Tidelock-Token: "+got.header.Get("Tidelock-Token")).want(200, `"delay":9`)
	w.do("GET", path, "", "Tidelock-Token: nonsense!").want(400, "Tidelock-Token")
	w.do("GET", path, "", "Tidelock-Consistency: default").want(200)
	w.do("GET", path, "", "Tidelock-Consistency: within=-1s").want(400)
	w.do("GET", path, "", "Tidelock-Consistency: eventual").want(400)
	w.do("GET", path, "", "Tidelock-Consistency: within=1ms").want(400, "at least")
	w.do("GET", path, "", "Tidelock-Consistency: within=2s").want(400, "leases")
	w.do("GET", path, "", "Tidelock-Consistency: strict").want(400, "leases")
	wrote := w.do("PATCH", path, `{"delay":10}`, "Tidelock-Token: "+got.header.Get("Tidelock-Token")).want(200)
	if wrote.header.Get("Tidelock-Token") == "" {
		t.Error("a write gave no token")
	}
}

func TestWithoutValkey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(c *serve.Config) {
		c.Cache = rig.Cache(t, "valkey://127.0.0.1:1", func(c *cache.Config) { c.Timeout = 50 * time.Millisecond })
	})
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200, `"cache":"deferred"`)
	w.do("GET", "/v1/flights/1", "").want(200, `"number":"TL 1"`).has("Cache-Status", "tidelock; fwd=bypass; detail=unavailable")
	w.do("GET", "/livez", "").want(200)
	w.do("GET", "/readyz", "").want(200, `"state":"degraded"`, `"valkey":"down"`)
}

// TestAVersionThatPostgresHasForgotten: the cache may still have it, and must not go on giving it to who is refused for it.
func TestAVersionThatPostgresHasForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	tag := w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200).header.Get("ETag")
	w.exec(`DELETE FROM tidelock.versions`)
	w.exec(`SELECT setval('tidelock.version_seq', 100)`)
	w.exec(`UPDATE tidelock.floor SET version = 100`)
	w.do("GET", "/v1/flights/1", "").want(200).has("ETag", tag)
	w.do("PATCH", "/v1/flights/1", `{"delay":1}`, "If-Match: "+tag).want(412)
	w.do("GET", "/v1/flights/1", "").want(200).has("ETag", `"100"`)
	w.do("PATCH", "/v1/flights/1", `{"delay":1}`, `If-Match: "100"`).want(200, `"delay":1`).has("ETag", `"101"`)
}

// TestDocumentedRightsSuffice does everything as a role with the rights that the manual asks for.
func TestDocumentedRightsSuffice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(c *serve.Config) {
		if _, err := c.DB.Exec(t.Context(), `CREATE ROLE a_server LOGIN; GRANT USAGE ON SCHEMA tidelock TO a_server; GRANT USAGE ON SEQUENCE tidelock.version_seq TO a_server;
			GRANT SELECT, INSERT, UPDATE ON tidelock.versions TO a_server; GRANT SELECT, INSERT, UPDATE, DELETE ON tidelock.outbox, tidelock.requests TO a_server;
			GRANT SELECT ON tidelock.floor, tidelock.servers, tidelock.strict, tidelock.strict_generation TO a_server;
			GRANT SELECT, INSERT, UPDATE, DELETE ON flights, seats, kinds TO a_server`); err != nil {
			t.Fatal(err)
		}
		admin := c.DB
		t.Cleanup(func() { _, _ = admin.Exec(context.Background(), `DROP OWNED BY a_server; DROP ROLE a_server`) })
		cfg := c.DB.Config()
		cfg.ConnConfig.User = "a_server"
		c.DB = tunedFrom(t, cfg)
	})
	tag := w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`, "Idempotency-Key: a").want(200).header.Get("ETag")
	w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`, "Idempotency-Key: a").want(200)
	w.do("PATCH", "/v1/flights/1", `{"delay":1}`, "If-Match: "+tag).want(200)
	w.do("GET", "/v1/flights/1", "").want(200)
	w.do("POST", "/v1/flights:invalidate", `{"ids":[1]}`).want(200)
	w.do("GET", "/v1/flights/1", "").want(200).has("Cache-Status", "tidelock; fwd=miss")
	w.do("DELETE", "/v1/flights/1", "").want(200)
	w.do("GET", "/readyz", "").want(200, "ready")
}

// waitForLock waits until so many sessions of the world's wait for a lock.
func waitForLock(t *testing.T, w *world, sessions int) {
	t.Helper()
	stacktest.Eventually(t, 20*time.Second, func() bool {
		var waiting int
		err := w.db.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == sessions
	}, "sessions wait for a lock")
}
