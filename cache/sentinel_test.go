package cache_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestSentinel loses a primary and holds that the cache goes on with the replica that a sentinel has promoted.
func TestSentinel(t *testing.T) {
	t.Parallel()
	primary, replica := stacktest.OwnValkey(t, "--repl-diskless-sync-delay", "0"), stacktest.OwnValkey(t)
	second := on(t, replica.URL()) // until the promotion, which ends its connections
	follow(t, second, primary.Addr())
	c := rig.Cache(t, "valkey://"+sentinel(t, primary.Addr())+"?master_set=tides", quick, func(c *cache.Config) { c.Timeout = 2 * time.Second })
	must(t, c.Wait(within(t, patience)))
	recovers(t, c)
	allocate(t, c, "before")
	stacktest.Eventually(t, patience, func() bool { return second.bytes(t, "before") == "tl1 V 5\nv" }, "the replica has the value")
	must(t, primary.Kill())
	recovers(t, c)
	allocate(t, c, "after")
	if got := on(t, replica.URL()).bytes(t, "after"); got != "tl1 V 5\nv" {
		t.Errorf("the new primary holds %q", got)
	}
}

// sentinel starts one that needs no other's vote, and returns its address.
func sentinel(t *testing.T, primary string) string {
	t.Helper()
	p, err := stack.NewProxy(primary) // only for its port, which stays reserved while the proxy is cut
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	must(t, p.Cut())
	host, port := split(t, primary)
	_, own := split(t, p.Addr())
	dir := t.TempDir()
	conf := filepath.Join(dir, "sentinel.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, `bind 127.0.0.1
port %s
dir %s
sentinel monitor tides %s %s 1
sentinel down-after-milliseconds tides 500
sentinel failover-timeout tides 5000
`, own, dir, host, port), 0o600))
	program, err := stack.StartProgram(exec.Command("valkey-server", conf, "--sentinel"), filepath.Join(dir, "log"))
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("the sentinel's log:\n%s", log)
		}
		must(t, program.Kill())
	})
	return p.Addr()
}

func split(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	must(t, err)
	return host, port
}
