package stack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// launcherVariable makes the test binary a launcher that starts a stack in the folder it names and then waits to be
// killed.
const launcherVariable = "TIDELOCK_TEST_LAUNCHER"

func TestMain(m *testing.M) {
	stack.RunChild() // before the launcher, whose NATS inherits its variable
	if dir, ok := os.LookupEnv(launcherVariable); ok {
		runLauncher(dir)
	}
	stacktest.Main(m)
}

// launcherConfig keeps what is written.
func launcherConfig(dir string) stack.Config {
	args := []string{"--appendonly", "yes", "--appendfsync", "always"}
	return stack.Config{Dir: dir, Valkey: stack.ValkeyConfig{Args: args}}
}

// launched is what a launcher prints when its servers serve.
type launched struct {
	Pids             []int
	Postgres, Valkey string
}

func runLauncher(dir string) {
	s, err := stack.Start(context.Background(), launcherConfig(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := launched{
		Pids:     []int{s.Postgres.Pid(), s.Valkey.Pid(), s.NATS.Pid()},
		Postgres: s.Postgres.URL(), Valkey: s.Valkey.URL(),
	}
	if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
		os.Exit(1)
	}
	select {}
}
