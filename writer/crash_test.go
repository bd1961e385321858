package writer_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// doomedVariable makes the test binary, started once more, a writer that is to be killed.
const doomedVariable = "TIDELOCK_TEST_DOOMED"

// doomed is what such a writer does: it waits for a line on its standard input before it writes "new".
type doomed struct{ Postgres, Valkey, Key, Way string }

const ready = "ready"

// TestInnerDoomed is the process that TestKilledAfterTheCommit kills.
func TestInnerDoomed(t *testing.T) {
	text := os.Getenv(doomedVariable)
	if text == "" {
		return // in the ordinary run there is nothing to do
	}
	var d doomed
	must(t, json.Unmarshal([]byte(text), &d))
	v := &world{db: rig.Pool(t, d.Postgres)}
	v.cache = rig.Cache(t, d.Valkey, func(c *cache.Config) { c.Timeout = time.Hour })
	w := v.writer(t)
	fmt.Println(ready)
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(t, err)
	_, err = ways[d.Way](t.Context(), v, w, d.Key, "new")
	t.Errorf("the write came back: %v", err)
}

// TestKilledAfterTheCommit kills a writer with SIGKILL between its commit and its apply. All that is left of the write is in Postgres.
func TestKilledAfterTheCommit(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	p := rig.Proxy(t, hostPort(v.url))
	var keys []string
	for name := range ways {
		key := v.warm(t, v.rows(t, name)...)[0]
		keys = append(keys, key)
		must(t, p.Heal())
		victim, write := startDoomed(t, doomed{v.db.Config().ConnString(), "valkey://" + p.Addr(), key, name})
		must(t, p.Blackhole())
		write()
		v.awaitRow(t, key, "new")
		must(t, victim.Kill())
		if !v.cached(t, key, "old") {
			t.Errorf("the entry is %+v, want it as it was before the write", v.entry(t, key))
		}
	}
	if n := v.records(t); n != len(keys) {
		t.Errorf("%d records are left of %d writers", n, len(keys))
	}
	v.relay(t, v.cache)
	for _, key := range keys {
		stacktest.Eventually(t, patience, func() bool { return v.settled(t, key) }, "the relay settles the key")
	}
}

// startDoomed returns the process once it is connected, and what makes it write.
func startDoomed(t *testing.T, d doomed) (victim *os.Process, write func()) {
	t.Helper()
	text, err := json.Marshal(d)
	must(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestInnerDoomed$")
	cmd.Env = append(os.Environ(), doomedVariable+"="+string(text))
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != ready {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd.Process, func() {
		_, err := fmt.Fprintln(in)
		must(t, err)
	}
}
