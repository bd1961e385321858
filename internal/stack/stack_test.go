package stack_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

func TestStackServesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s, err := stack.Start(t.Context(), stack.Config{})
	must(t, err)
	if got := mustSQL(t, s.Postgres, "SELECT current_setting('fsync')"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	c := valkeyClient(t, s.Valkey.ClientOption())
	must(t, set(t.Context(), c, "k", "v"))
	js := jetStream(t, s.NATS.URL())
	_, err = js.AddStream(&nats.StreamConfig{Name: "s", Subjects: []string{"s"}})
	must(t, err)
	_, err = js.Publish("s", make([]byte, 8<<20))
	must(t, err)
	pids := []int{s.Postgres.Pid(), s.Valkey.Pid(), s.NATS.Pid()}

	must(t, s.Close())
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("pid %d is left", pid)
		}
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
	must(t, s.Close())
}

func TestStackStartCancelled(t *testing.T) {
	t.Parallel()
	s, err := stack.Start(within(t, moment), stack.Config{})
	if !errors.Is(err, context.DeadlineExceeded) || s != nil {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestPostgresSparesForeignData(t *testing.T) {
	t.Parallel()
	dir := publicFolder(t)
	precious := filepath.Join(dir, "data", "thesis")
	must(t, os.Mkdir(filepath.Dir(precious), 0o755))
	must(t, os.WriteFile(precious, nil, 0o600))
	if p, err := stack.StartPostgres(t.Context(), stack.PostgresConfig{Dir: dir}); err == nil {
		must(t, p.Close())
		t.Error("it started")
	}
	_, err := os.Stat(precious)
	must(t, err)
}

// publicFolder is a folder that other users may enter, unlike t.TempDir.
func publicFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tidelock-test-")
	must(t, err)
	must(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}
