package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// stopTimeout is how long a server may take to stop by itself when the caller's context allows more.
const stopTimeout = 10 * time.Second

var (
	// ErrRunning is returned by Wipe, RestoreRDB and CutAOF, which need a server that is stopped.
	ErrRunning = errors.New("the server is running")
	// ErrNotRunning is returned by Pause and Resume on a server that is stopped.
	ErrNotRunning = errors.New("the server is not running")
	// ErrClosed is returned by Start after Close.
	ErrClosed = errors.New("the server is closed")
)

// driver is what differs from one kind of server to the next.
type driver interface {
	// prepare makes the data folder ready for a start. The server is not running.
	prepare(ctx context.Context) error
	// command is the server in the foreground, logging to its standard output and error.
	command(port int) (*exec.Cmd, error)
	// ping asks the server on the port whether it serves and whether it is the one with this pid.
	ping(ctx context.Context, port, pid int) error
	// stopSignal asks the server to stop in an orderly way and soon.
	stopSignal() syscall.Signal
	// release frees what a server that did not stop in order has left in the kernel. The server is not running.
	release() error
	// url is where clients find the server.
	url(port int) string
}

// Server is one real server process. It can be stopped, killed, paused and started again on the same port with the
// same data. Its methods may be called from several goroutines: Kill, Pause and Resume act at once, also on a server
// that is just starting or stopping.
type Server struct {
	name string
	dir  folder
	drv  driver
	log  *zap.Logger

	fixed bool // the caller chose the port

	op      sync.Mutex // serialises Start, Stop, Wipe and Close, and guards what follows
	wasUp   bool       // has answered once: clients know its port
	hasPast bool       // the present start found data
	closed  bool

	mu      sync.Mutex // guards what follows
	port    int
	proc    *process
	logFrom int64 // where in the log file the present run begins
}

// Start starts the server on its port with the data that is there, and returns when it serves. On a running server it
// does nothing.
func (s *Server) Start(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.closed {
		return fmt.Errorf("starting %s: %w", s.name, ErrClosed)
	}
	if s.Running() {
		return nil
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("starting %s: %w", s.name, err)
	}
	return nil
}

// Stop asks the server to stop and kills it when it has not done so before ctx ends, at most after ten seconds; that it
// had to is an error. The server is down when Stop returns. Stop works on a paused server and does nothing on one that
// is not running.
func (s *Server) Stop(ctx context.Context) error {
	s.op.Lock()
	defer s.op.Unlock()
	return s.stop(ctx)
}

func (s *Server) stop(ctx context.Context) error {
	p := s.current()
	if p == nil || !p.running() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	p.ended.Store(true)
	err := errors.Join(p.signal(s.drv.stopSignal()), p.resume())
	if err == nil {
		select {
		case <-p.done:
			s.log.Info("server_stopped", zap.String("server", s.name))
			return nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return errors.Join(fmt.Errorf("stopping %s: killed: %w", s.name, err), s.kill(p))
}

// Kill ends the server and its children with SIGKILL and returns when they are gone, like a machine that loses its
// power except that what was written to files stays. It does nothing on a server that is not running.
func (s *Server) Kill() error {
	p := s.current()
	if p == nil || !p.running() {
		return nil
	}
	return s.kill(p)
}

func (s *Server) kill(p *process) error {
	if err := errors.Join(p.kill(), s.drv.release()); err != nil {
		return fmt.Errorf("killing %s: %w", s.name, err)
	}
	s.log.Info("server_killed", zap.String("server", s.name))
	return nil
}

// Pause stops the server and its children where they stand, with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Pause() error {
	return s.onRunning("pausing", (*process).pause)
}

// Resume lets a paused server go on.
func (s *Server) Resume() error {
	return s.onRunning("resuming", (*process).resume)
}

func (s *Server) onRunning(doing string, act func(*process) error) error {
	p := s.current()
	if p == nil || !p.running() {
		return fmt.Errorf("%s %s: %w", doing, s.name, ErrNotRunning)
	}
	if err := act(p); err != nil {
		return fmt.Errorf("%s %s: %w", doing, s.name, err)
	}
	return nil
}

// Wipe removes the server's data; the next Start begins with an empty server. It needs a server that is stopped.
func (s *Server) Wipe() error {
	return s.whileStopped("wiping", func() error {
		return errors.Join(s.drv.release(), os.RemoveAll(s.dir.data()))
	})
}

// whileStopped does something to the files of a server, which must be stopped and stays so meanwhile.
func (s *Server) whileStopped(doing string, act func() error) error {
	s.op.Lock()
	defer s.op.Unlock()
	err := ErrRunning
	if !s.Running() {
		err = act()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, s.name, err)
	}
	return nil
}

// Close stops the server for good, gives its port back and removes its folder if the package made it.
func (s *Server) Close() error {
	s.op.Lock()
	defer s.op.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := errors.Join(s.stop(context.Background()), s.drv.release())
	releasePort(s.Port())
	return errors.Join(err, s.dir.remove())
}
