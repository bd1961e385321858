package stack_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestServersDieWithTheirLauncher kills a launcher with SIGKILL, which gives it no chance to end its servers, and
// starts another one on the same folder, which finds all data.
func TestServersDieWithTheirLauncher(t *testing.T) {
	t.Parallel()
	dir := publicFolder(t)
	l, launcher := startLauncher(t, dir)
	for _, pid := range l.Pids {
		if !alive(pid) {
			t.Errorf("pid %d does not run", pid)
		}
	}
	_, err := sql(within(t, patience), l.Postgres, "CREATE TABLE t AS SELECT 7 AS n; SELECT 'ok'")
	must(t, err)
	opt, err := valkey.ParseURL(l.Valkey)
	must(t, err)
	must(t, set(within(t, patience), valkeyClient(t, opt), "k", "v"))

	must(t, launcher.Kill())
	stacktest.Eventually(t, patience, func() bool { return !slices.ContainsFunc(l.Pids, alive) }, "the servers have died")

	cfg := launcherConfig(dir)
	cfg.NoNATS = true
	s, err := stack.Start(t.Context(), cfg)
	must(t, err)
	defer s.Close()
	if s.NATS != nil {
		t.Error("NATS was started")
	}
	if n := mustSQL(t, s.Postgres, "SELECT n::text FROM t"); n != "7" {
		t.Errorf("n is %s", n)
	}
	if v, err := get(within(t, patience), valkeyClient(t, s.Valkey.ClientOption()), "k"); v != "v" || err != nil {
		t.Errorf("got %q, %v", v, err)
	}
}

func startLauncher(t *testing.T, dir string) (launched, *os.Process) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), launcherVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var l launched
	must(t, json.NewDecoder(out).Decode(&l))
	return l, cmd.Process
}
