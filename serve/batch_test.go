package serve_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/serve"
)

func TestBatchGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	tag := w.do("PUT", "/v1/flights/1", `{"number":"TL 1"}`).want(200).header.Get("ETag")
	w.do("PUT", "/v1/seats/1/A,1", `{"taken":true}`).want(200)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[1,"2",1]}`).want(200, `{"items":[{"id":1,"found":true,"etag":"\`+strings.TrimSuffix(tag, `"`)+`\"","row":{"id":1,"number":"TL 1",`,
		`{"id":"2","found":false},{"id":1,"found":true`)
	w.do("POST", "/v1/seats:batchGet", `{"ids":[[1,"A,1"],["1","B"]]}`).want(200, `{"id":[1,"A,1"],"found":true`, `"row":{"flight":1,"seat no":"A,1","taken":true}`, `{"id":["1","B"],"found":false}`)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[1,1.0]}`).want(400, `"operation":1`)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[1,"\ud800",null]}`).want(400)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[]}`).want(400)
	w.do("POST", "/v1/flights:batchGet", `{"id":[1]}`).want(400)
	w.do("POST", "/v1/flights:batchGet", `{"ids":[1]} x`).want(400)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	send := func(operations ...string) answer {
		return w.do("POST", "/v1/batch", `{"operations":[`+strings.Join(operations, ",")+`]}`)
	}
	flight := func(method, more string) string {
		return fmt.Sprintf(`{"method":%q,"entity":"flights","id":1,%s}`, method, more)
	}
	const seat = `{"method":"PUT","entity":"seats","id":[1,"A"],"row":{"taken":true}}`
	w.do("GET", "/v1/flights/1", "").want(404) // is cached as absent from now on
	made := send(seat, flight("PUT", `"row":{"number":"TL 1"}`)).want(200, `{"items":[{"cache":"`, `"row":{"flight":1,"seat no":"A","taken":true}},{"cache":"applied"`, `"number":"TL 1"`)
	if made.header.Get("Tidelock-Token") == "" {
		t.Error("a batch gave no token")
	}
	tag := w.do("GET", "/v1/flights/1", "").want(200).header.Get("ETag")
	quoted := strings.ReplaceAll(tag, `"`, `\"`)

	// All or nothing.
	send(`{"method":"PATCH","entity":"seats","id":[1,"A"],"row":{"taken":false}}`, flight("PATCH", `"if_match":"\"7\"","row":{"delay":1}`)).want(412, `"operation":1`)
	send(`{"method":"DELETE","entity":"seats","id":[1,"A"]}`, flight("PATCH", `"row":{"number":"much too long a number"}`)).want(422, `"operation":1`)
	send(`{"method":"DELETE","entity":"seats","id":[1,"A"]}`, `{"method":"DELETE","entity":"seats","id":[1,"B"]}`).want(404, `"operation":1`)
	w.do("GET", "/v1/seats/1/A", "").want(200, `"taken":true`)
	w.do("GET", "/v1/flights/1", "").want(200, `"delay":0`).has("ETag", tag)

	send(`{"method":"DELETE","entity":"seats","id":[1,"A"]}`, flight("PATCH", `"if_match":"`+quoted+`","row":{"delay":1}`),
		`{"method":"PUT","entity":"flights","id":2,"if_none_match":"*","row":{"number":"TL 2"}}`).want(200)
	w.do("GET", "/v1/seats/1/A", "").want(404)
	w.do("GET", "/v1/flights/1", "").want(200, `"delay":1`)
	send(seat, `{"method":"PUT","entity":"flights","id":2,"if_none_match":"*","row":{"number":"TL 2"}}`).want(412, `"operation":1`)
	for _, bad := range []string{"", flight("GET", `"row":{}`), flight("DELETE", `"row":{}`), flight("PUT", `"row":{"number":"a","secret":"b"}`), flight("PUT", `"rows":{}`),
		`{"method":"DELETE","entity":"flight","id":1}`, `{"method":"PUT","entity":"flights","id":[1,2],"row":{"number":"a"}}`, seat + "," + seat, flight("PUT", `"row":null`), "1"} {
		if got := send(bad); got.status < 400 || got.status >= 500 {
			t.Errorf("%s got %d: %s", bad, got.status, got.body)
		}
	}
}

// TestBatchesDoNotLockEachOtherOut writes the same rows in opposite orders.
func TestBatchesDoNotLockEachOtherOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.exec(`INSERT INTO flights (id, number) VALUES (1, 'a'), (2, 'b')`)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				first := 1 + (i+j)%2
				w.do("POST", "/v1/batch", fmt.Sprintf(`{"operations":[{"method":"PATCH","entity":"flights","id":%d,"row":{"delay":%d}},{"method":"PATCH","entity":"flights","id":%d,"row":{"delay":%d}}]}`,
					first, j, 3-first, j)).want(200)
				w.do("PATCH", "/v1/flights/1", `{"gate":"A"}`).want(200)
			}
		})
	}
	all.Wait()
	var deadlocks int
	if err := w.db.QueryRow(t.Context(), `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks); err != nil || deadlocks > 0 {
		t.Errorf("there were %d deadlocks (%v)", deadlocks, err)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "clients:\n"+client("a", `scopes: {"*": [read, write]}`)+client("b", `scopes: {"*": [read, write]}`))
	const path = "/v1/flights/1"
	key := "Idempotency-Key: 2c6f"
	first := w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *", key, bearer("a")).want(200).has("Idempotency-Replayed", "")
	again := w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *", key, bearer("a")).want(200).has("Idempotency-Replayed", "true").has("ETag", first.header.Get("ETag")).
		has("Tidelock-Token", first.header.Get("Tidelock-Token"))
	if again.row() != first.row() {
		t.Errorf("the replay has %s, want %s", again.row(), first.row())
	}
	w.do("PUT", path, `{"number":"TL 2"}`, "If-None-Match: *", key, bearer("a")).want(422, "idempotency-key-reused")
	w.do("PUT", path, `{"number":"TL 1"}`, key, bearer("a")).want(422, "idempotency-key-reused")
	w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *", key, bearer("b")).want(412)
	w.do("PATCH", path, `{"delay":1}`, bearer("b")).want(200)
	if late := w.do("PUT", path, `{"number":"TL 1"}`, "If-None-Match: *", key, bearer("a")).want(200, `"delay":0`); late.header.Get("ETag") != "" || late.header.Get("Tidelock-Token") == "" {
		t.Errorf("the replay of what was overwritten bears %q and %q", late.header.Get("ETag"), late.header.Get("Tidelock-Token"))
	}
	// What was not committed is not kept.
	w.do("PATCH", "/v1/flights/2", `{"delay":1}`, "Idempotency-Key: late", bearer("a")).want(404)
	w.do("PUT", "/v1/flights/2", `{"number":"TL 2"}`, bearer("a")).want(200)
	w.do("PATCH", "/v1/flights/2", `{"delay":1}`, "Idempotency-Key: late", bearer("a")).want(200).has("Idempotency-Replayed", "")
	w.do("DELETE", "/v1/flights/2", "", "Idempotency-Key: gone", bearer("a")).want(200)
	w.do("DELETE", "/v1/flights/2", "", "Idempotency-Key: gone", bearer("a")).want(200).has("Idempotency-Replayed", "true")
	w.do("DELETE", "/v1/flights/2", "", "Idempotency-Key: "+strings.Repeat("x", 256), bearer("a")).want(400)
}

// TestOneKeyIsDoneOnce sends one request many times at once.
func TestOneKeyIsDoneOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", func(c *serve.Config) { c.KeepRequests = time.Hour })
	w.exec(`INSERT INTO flights (id, number) VALUES (1, 'a')`)
	const batch = `{"operations":[{"method":"PATCH","entity":"flights","id":1,"row":{"delay":5}},{"method":"PUT","entity":"seats","id":[1,"A"],"if_none_match":"*","row":{"taken":true}}]}`
	var mu sync.Mutex
	tokens, fresh := make(map[string]bool), 0
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			got := w.do("POST", "/v1/batch", batch, "Idempotency-Key: once").want(200, `"delay":5`, `"taken":true`)
			mu.Lock()
			defer mu.Unlock()
			tokens[got.header.Get("Tidelock-Token")] = true
			if got.header.Get("Idempotency-Replayed") == "" {
				fresh++
			}
		})
	}
	all.Wait()
	if fresh != 1 || len(tokens) != 1 {
		t.Errorf("it was done %d times, with %d tokens", fresh, len(tokens))
	}
}
