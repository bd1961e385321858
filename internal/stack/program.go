package stack

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Program is a process that is no server of ours but lives and dies with us as the servers do: a relay, a writer.
type Program struct{ p *process }

// StartProgram starts cmd with its output in the file at logPath, after what is there. It does not wait for anything.
func StartProgram(cmd *exec.Cmd, logPath string) (*Program, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", cmd.Path, err)
	}
	defer log.Close() // the program has it for itself
	p, err := spawn(cmd, log)
	if err != nil {
		return nil, err
	}
	return &Program{p: p}, nil
}

// Done is closed once the program has ended and been reaped.
func (g *Program) Done() <-chan struct{} { return g.p.done }

// State is how the program ended. It may be asked for once Done is closed.
func (g *Program) State() *os.ProcessState { return g.p.cmd.ProcessState }

// Signal sends a signal; to a program that has ended it does nothing.
func (g *Program) Signal(sig syscall.Signal) error { return g.p.signal(sig) }

// Kill ends the program with SIGKILL and returns when it is gone.
func (g *Program) Kill() error { return g.p.kill() }

// Stop asks the program to stop with SIGTERM, kills it if it has not done so within ten seconds, and returns its exit error.
func (g *Program) Stop() error {
	g.p.ended.Store(true)
	if err := g.p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-g.p.done:
	case <-time.After(stopTimeout):
		return g.p.kill()
	}
	if state := g.State(); !state.Success() {
		return fmt.Errorf("%s: %v", g.p.cmd.Path, state)
	}
	return nil
}
