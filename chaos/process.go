package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// stopTimeout is how long a process may take to finish what it has begun.
const stopTimeout = 10 * time.Second

// process is one life of a driver or a relay.
type process struct{ *stack.Program }

// launch starts a process that logs to the end of a file.
func launch(cmd *exec.Cmd, logPath string) (*process, error) {
	// Under the race detector a program sleeps for a second before it exits.
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	program, err := stack.StartProgram(cmd, logPath)
	if err != nil {
		return nil, err
	}
	return &process{program}, nil
}

// stop lets the process finish, also one that stands. That it had to be killed, or ended with an error, is an error.
func (p *process) stop() error {
	if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
		return errors.Join(err, p.Kill())
	}
	select {
	case <-p.Done():
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("a process did not stop within %v", stopTimeout), p.Kill())
	}
	if status, ok := p.State().Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
		return nil // it had only just begun
	}
	if !p.State().Success() {
		return fmt.Errorf("a process ended with %v", p.State())
	}
	return nil
}
