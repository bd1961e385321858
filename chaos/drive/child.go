package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"

	"go.uber.org/zap"
)

// childVariable tells a copy of the program that it is to be a driver or a relay, and which.
const childVariable = "TIDELOCK_CHAOS_DRIVE"

// childReady is set by RunChild.
var childReady atomic.Bool

// errNotReady keeps a program that would not become a driver from starting itself over and over.
var errNotReady = errors.New("drive: RunChild must be called first in main, or in TestMain")

// childConfig is what a process is told: one of the two.
type childConfig struct {
	Driver *Config      `json:",omitempty"`
	Relay  *RelayConfig `json:",omitempty"`
}

// RunChild turns the process into a driver or a relay if it was started as one, and then does not return; otherwise it returns at once. Call
// it first thing in main and in TestMain, before flags are parsed.
func RunChild() {
	childReady.Store(true)
	encoded, ok := os.LookupEnv(childVariable)
	if !ok {
		return
	}
	log, err := newLog()
	if err == nil {
		err = runChild(encoded, log)
		_ = log.Sync()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "drive:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// newLog writes JSON to standard error.
func newLog() (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.DisableCaller, cfg.DisableStacktrace, cfg.Sampling = true, true, nil
	cfg.OutputPaths = []string{"stderr"}
	return cfg.Build()
}

func runChild(encoded string, log *zap.Logger) error {
	var cfg childConfig
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil {
		return fmt.Errorf("decoding %s: %w", childVariable, err)
	}
	switch {
	case cfg.Driver != nil:
		return runDriver(*cfg.Driver, log.With(zap.String("process", cfg.Driver.Process)))
	case cfg.Relay != nil:
		return runRelay(*cfg.Relay, log.With(zap.String("process", cfg.Relay.Name)))
	default:
		return fmt.Errorf("%s names neither a driver nor a relay", childVariable)
	}
}

// Command returns the command that starts a driver.
func Command(cfg Config) (*exec.Cmd, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return command(childConfig{Driver: &cfg})
}

// RelayCommand returns the command that starts a relay.
func RelayCommand(cfg RelayConfig) (*exec.Cmd, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return command(childConfig{Relay: &cfg})
}

func command(cfg childConfig) (*exec.Cmd, error) {
	if !childReady.Load() {
		return nil, errNotReady
	}
	encoded, err := json.Marshal(cfg)
	if err != nil {
		return nil, fmt.Errorf("encoding the settings: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(encoded))
	return cmd, nil
}
