package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
)

// childVariable tells a copy of the program that it is to be a NATS server, and which.
const childVariable = "TIDELOCK_STACK_NATS"

// childReady is set by RunChild.
var childReady atomic.Bool

var errNotReady = errors.New("not ready for connections")

// childConfig is what a NATS server is told through childVariable.
type childConfig struct {
	Name       string
	Port       int
	StoreDir   string
	SyncAlways bool
}

// RunChild turns the process into a NATS server if it was started as one, and then does not return; otherwise it
// returns at once. Call it first thing in main and in TestMain, before flags are parsed.
func RunChild() {
	childReady.Store(true)
	cfg, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	if err := serveNATS(cfg); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveNATS serves until the process is told to stop.
func serveNATS(encoded string) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil {
		return fmt.Errorf("decoding %s: %w", childVariable, err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	s, err := server.NewServer(cfg.options())
	if err != nil {
		return fmt.Errorf("configuring the server: %w", err)
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		return errNotReady
	}
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

func (c childConfig) options() *server.Options {
	return &server.Options{
		ServerName: c.Name,
		Host:       host,
		Port:       c.Port,
		NoSigs:     true, // serveNATS handles them
		JetStream:  true,
		StoreDir:   c.StoreDir,
		SyncAlways: c.SyncAlways,
		MaxPayload: maxPayload,
		Logtime:    true,
	}
}
