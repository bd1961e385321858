package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"
)

// maxPayload is the largest message that the server takes.
const maxPayload = 8 << 20

// ErrNoRunChild is returned by StartNATS in a program that has not called RunChild. Its child would be a second copy
// of the program rather than a server.
var ErrNoRunChild = errors.New("stack.RunChild was not called: call it first thing in main or TestMain")

// NATSConfig configures a NATS server.
type NATSConfig struct {
	// Dir is the server's folder. Empty means a fresh temporary one that Close removes; any other is kept, with the
	// streams in it.
	Dir string
	// Port is the port to listen on, 0 for one of our choice.
	Port int
	// Log takes the launcher's own messages; nil means none. The server logs to a file in its folder.
	Log *zap.Logger
	// SyncAlways makes JetStream sync to disk before it acknowledges. Without it a message is acknowledged when it has
	// been written, which survives SIGKILL, but not a crash of the machine.
	SyncAlways bool
}

// NATS is a NATS server with JetStream in a process of its own.
type NATS struct {
	*Server
}

// StartNATS starts a NATS server with JetStream. The program must have called RunChild.
func StartNATS(ctx context.Context, cfg NATSConfig) (*NATS, error) {
	if !childReady.Load() {
		return nil, fmt.Errorf("starting nats: %w", ErrNoRunChild)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	dir, err := openFolder(cfg.Dir, "nats")
	if err != nil {
		return nil, err
	}
	d := &natsDriver{self: self, dir: dir, name: "tidelock-" + nuid.Next(), syncAlways: cfg.SyncAlways}
	s, err := startServer(ctx, "nats", dir, cfg.Port, cfg.Log, d)
	if err != nil {
		return nil, err
	}
	return &NATS{Server: s}, nil
}

// natsDriver implements driver.
type natsDriver struct {
	self       string
	dir        folder
	name       string // unlike any other, so that ping knows the server
	syncAlways bool
}

func (d *natsDriver) prepare(context.Context) error {
	return os.MkdirAll(d.dir.data(), 0o700)
}

func (d *natsDriver) command(port int) (*exec.Cmd, error) {
	cfg, err := json.Marshal(childConfig{Name: d.name, Port: port, StoreDir: d.dir.data(), SyncAlways: d.syncAlways})
	if err != nil {
		return nil, fmt.Errorf("encoding its configuration: %w", err)
	}
	cmd := exec.Command(d.self)
	cmd.Dir = d.dir.path
	// Under the race detector a program sleeps for a second before it exits, to which a server need not be subject.
	cmd.Env = append(os.Environ(), childVariable+"="+string(cfg), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd, nil
}

func (d *natsDriver) ping(_ context.Context, port, _ int) error {
	nc, err := nats.Connect(d.url(port), nats.NoReconnect(), nats.Timeout(pingTimeout))
	if err != nil {
		return err
	}
	defer nc.Close()
	if nc.ConnectedServerName() != d.name {
		return errStranger
	}
	js, err := nc.JetStream(nats.MaxWait(pingTimeout))
	if err != nil {
		return err
	}
	_, err = js.AccountInfo()
	return err
}

func (d *natsDriver) stopSignal() syscall.Signal { return syscall.SIGTERM }

func (d *natsDriver) release() error { return nil }

func (d *natsDriver) url(port int) string {
	return "nats://" + address(port)
}

// StoreDir is where JetStream keeps its files.
func (n *NATS) StoreDir() string {
	return filepath.Join(n.Dir(), "data", "jetstream")
}
