package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestServe runs the command: what is wrong with its file or its address is said, and what is right is served until it is told to stop.
func TestServe(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	if _, err := db.Exec(t.Context(), `CREATE TABLE boats (id int PRIMARY KEY, name text)`); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.yaml", "entities:\n  boats: {table: boats, key: id, cache: 'serve-boat:{id}', columns: name}\n")
	bad := file("bad.yaml", "entities:\n  boats: {table: boats, key: id, cache: 'serve-boat:{id}', columns: nam}\n")
	env := []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_VALKEY_URL=" + stacktest.Valkey(t).URL(), "TIDELOCK_LOG_FORMAT=json", "TIDELOCK_LISTEN=127.0.0.1:0"}
	for want, args := range map[string][]string{
		"--entities":            {"serve"},
		"bad.yaml:2:69:":        {"serve", "--entities", bad, "--check"},
		`no column "nam"`:       {"serve", "--entities", bad},
		"declares no clients":   {"serve", "--entities", good, "--listen", "0.0.0.0:0"},
		"needs its key":         {"serve", "--entities", good, "--tls-cert", good},
		"Timeout -1s":           {"serve", "--entities", good, "--timeout=-1s"},
		"listening: listen tcp": {"serve", "--entities", good, "--listen", "127.0.0.1:99999"},
		"--ops-listen":          {"serve", "--entities", good, "--ops-listen", "127.0.0.1:99999"},
	} {
		if _, stderr, ok := tidelock(t, env, args...); ok || !strings.Contains(stderr, want) {
			t.Errorf("%v ended well: %v, and said %q, want %q", args, ok, stderr, want)
		}
	}
	if _, stderr, ok := tidelock(t, env, "serve", "--entities", good, "--check"); !ok {
		t.Errorf("a good file is refused: %s", stderr)
	}
	cmd, at := running(t, env, "serving", "serve", "--entities", good, "--ops-listen", "127.0.0.1:0")
	answer, err := http.Get("http://" + at["serving"] + "/v1/boats/1")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(string(text), "no such row of boats") {
		t.Errorf("got %d: %s", answer.StatusCode, text)
	}
	requests := scrape(t, at["ops_serving"])["tidelock_http_requests_total"]
	if len(requests.GetMetric()) != 1 || requests.Metric[0].GetCounter().GetValue() != 1 {
		t.Errorf("one request was sent, and it tells %v", requests)
	}
	fetch(t, "http://"+at["ops_serving"]+"/readyz", http.StatusOK)
	http.DefaultClient.CloseIdleConnections()
	stopped(t, cmd)
}
