package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestOperatorAttaches holds what is said while tables are attached, changed and detached.
func TestOperatorAttaches(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE boats (id int PRIMARY KEY, name text NOT NULL) PARTITION BY RANGE (id); CREATE TABLE buoys (id int PRIMARY KEY)")
	path := filepath.Join(t.TempDir(), "entities.yaml")
	if err := os.WriteFile(path, []byte(`entities:
  boat: {table: boats, key: id, cache: 'boat:{id}', columns: name}
  buoy: {table: buoys, key: id, cache: 'buoy:{id}', methods: get, strict: true}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_ENTITIES=" + path}
	says := func(fine bool, want string, args ...string) {
		t.Helper()
		stdout, stderr, ok := tidelock(t, env, args...)
		if ok != fine || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v ended well: %t, and said %q, want %q", args, ok, stdout+stderr, want)
		}
	}
	says(true, "no table is attached", "attached")
	says(false, `declares no entity "ship"`, "attach", "ship")
	says(false, "is strict", "attach", "buoy")
	says(true, `every statement that changes rows of "public"."boats" is recorded`, "attach", "boat")
	says(true, "attached since 20", "attached")
	says(true, "took back migration 10", "migrate", "down", "--yes")
	says(true, "took back migration 9", "migrate", "down", "--yes")
	says(false, "tidelock detach", "migrate", "down", "--yes")
	says(true, "applied 2 migrations", "migrate", "up")
	exec("CREATE TABLE boats_low PARTITION OF boats FOR VALUES FROM (0) TO (10)")
	says(true, "missing or disabled on public.boats_low", "attached")
	says(true, "is attached", "attach", "boat")
	exec("INSERT INTO boats VALUES (1, 'Ark')")
	says(true, "boat:1", "outbox", "list")
	exec("ALTER TABLE boats RENAME TO ships")
	says(true, "was called boats", "attached")
	exec("ALTER TABLE ships RENAME TO boats")

	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO boats VALUES (2, 'Raft')"); err != nil {
		t.Fatal(err)
	}
	says(false, "in use", "detach", "boat", "--wait", "50ms")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	says(true, `"boat" is detached`, "detach", "boat")
	says(false, "is not attached", "detach", "boat")
	says(true, "no table is attached", "attached")
}

// TestRelayLoadsWhatPsqlChanges: it brings the rows of an attached table to the cache, and its dashboard shows them to an administrator.
func TestRelayLoadsWhatPsqlChanges(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	env, file := boats(t, server.URL())
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a token of the test"), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "TIDELOCK_ENTITIES="+file, "TIDELOCK_STREAM="+t.Name())
	if _, stderr, ok := tidelock(t, env, "attach", "boats"); !ok {
		t.Fatal(stderr)
	}
	relay, at := running(t, env, "ops_serving", "relay", "--listen", "127.0.0.1:0", "--admin-token-file", token)
	db, err := pgx.Connect(t.Context(), strings.TrimPrefix(env[0], "TIDELOCK_DATABASE_URL="))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "INSERT INTO boats VALUES (7, 'Ark')"); err != nil {
		t.Fatal(err)
	}
	key, row := t.Name()+":7", `{"id":7,"name":"Ark"}`
	c := rig.Cache(t, server.URL())
	stacktest.Eventually(t, 20*time.Second, func() bool {
		e, err := c.Get(t.Context(), key)
		return err == nil && string(e.Payload) == row
	}, "the row is in the cache")

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at["ops_serving"]+"/dashboard/key?key="+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer a token of the test")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	var shown struct{ Row string }
	if err := json.Unmarshal(text, &shown); err != nil || shown.Row != row {
		t.Errorf("the dashboard says %s, %v", text, err)
	}
	stopped(t, relay)
}
