package stack

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestPortsAreReserved(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 50 {
		port, err := takePort()
		if err != nil {
			t.Fatal(err)
		}
		defer releasePort(port)
		if seen[port] || port < lowestPort || port >= highestPort {
			t.Errorf("port %d", port)
		}
		seen[port] = true
	}
}

// TestLostPort has somebody else listen on the port of a server before its first start: one of our choice is replaced,
// one of the caller's is an error.
func TestLostPort(t *testing.T) {
	t.Parallel()
	taken := occupyPort(t)

	if v, err := StartValkey(t.Context(), ValkeyConfig{Port: taken}); err == nil {
		v.Close()
		t.Error("two servers share a port")
	}
	dir, err := openFolder("", "valkey")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer("valkey", dir, 0, nil, &valkeyDriver{bin: "valkey-server", dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	releasePort(s.port)
	s.port = taken
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Port() == taken {
		t.Error("the port did not change")
	}
}

// occupyPort takes a port for as long as the test runs, with a server that hangs up on everybody.
func occupyPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", address(0))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestTail(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if got := tail(path, 0, 3); got != "" {
		t.Errorf("no file: %q", got)
	}
	if err := os.WriteFile(path, []byte("old\n1\n2\n3\n4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from  int64
		lines int
		want  string
	}{{0, 2, "3\n4"}, {4, 9, "1\n2\n3\n4"}, {12, 9, ""}} {
		if got := tail(path, c.from, c.lines); got != c.want {
			t.Errorf("from %d, %d lines: %q", c.from, c.lines, got)
		}
	}
}

func TestAccountMayNotEnterItsFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := &account{name: "stranger", uid: uint32(os.Geteuid()) + 1, gid: uint32(os.Getegid()) + 1}
	err := stranger.checkParents(filepath.Join(dir, "data"))
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

// TestEnvironmentOfPostgres holds that variables which would steer Postgres elsewhere do not reach it.
func TestEnvironmentOfPostgres(t *testing.T) {
	t.Setenv("PGDATA", "/elsewhere")
	t.Setenv("LC_MESSAGES", "de_DE.UTF-8")
	d := &postgresDriver{bin: postgresBin{postgres: "postgres"}, dir: folder{path: t.TempDir()}}
	cmd, err := d.command(1)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(cmd.Env, func(kv string) bool {
		return !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "LC_")
	})
	if !slices.Equal(got, []string{"LC_ALL=C"}) {
		t.Errorf("it gets %v", got)
	}
}

func TestNATSNeedsRunChild(t *testing.T) {
	childReady.Store(false)
	defer childReady.Store(true)
	if _, err := StartNATS(t.Context(), NATSConfig{}); !errors.Is(err, ErrNoRunChild) {
		t.Errorf("got %v", err)
	}
}

// TestKillDuringStart kills a server that never comes to serve.
func TestKillDuringStart(t *testing.T) {
	t.Parallel()
	dir, err := openFolder("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer("fake", dir, 0, nil, sleeper{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	started := make(chan error, 1)
	go func() { started <- s.Start(t.Context()) }()
	poll(s.Running)
	if err := s.Kill(); err != nil {
		t.Error(err)
	}
	if err := <-started; err == nil || errors.Is(err, errExited) {
		t.Errorf("Start: %v", err)
	}
}

// sleeper is a driver of a server that runs and never answers.
type sleeper struct{}

func (sleeper) prepare(context.Context) error        { return nil }
func (sleeper) command(int) (*exec.Cmd, error)       { return exec.Command("sleep", "60"), nil }
func (sleeper) ping(context.Context, int, int) error { return errStranger }
func (sleeper) stopSignal() syscall.Signal           { return syscall.SIGTERM }
func (sleeper) release() error                       { return nil }
func (sleeper) url(int) string                       { return "" }
