package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

const (
	startTimeout  = 60 * time.Second // the most that one start may take, recovery included
	pingTimeout   = 2 * time.Second
	pingInterval  = 20 * time.Millisecond
	startAttempts = 8
	startBackoff  = 50 * time.Millisecond // before the second attempt; doubles
)

// errExited tells that a server ended by itself before it served.
var errExited = errors.New("the server exited before it answered")

// newServer makes a server that is stopped. A port of 0 means one of our choice.
func newServer(name string, dir folder, port int, log *zap.Logger, drv driver) (*Server, error) {
	if log == nil {
		log = zap.NewNop()
	}
	s := &Server{name: name, dir: dir, drv: drv, log: log, port: port, fixed: port != 0}
	if s.fixed {
		reservePort(port)
		return s, nil
	}
	var err error
	s.port, err = takePort()
	return s, err
}

// startServer makes a server and starts it; when it does not come up nothing of it is left.
func startServer(ctx context.Context, name string, dir folder, port int, log *zap.Logger, drv driver) (*Server, error) {
	s, err := newServer(name, dir, port, log, drv)
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// launch tries to start the server until it serves or trying makes no sense. It expects op to be held.
func (s *Server) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := os.Stat(s.dir.data())
	s.hasPast = err == nil
	if err := s.drv.prepare(ctx); err != nil {
		return err
	}
	for attempt, wait := 1, startBackoff; ; attempt, wait = attempt+1, wait*2 {
		err := s.try(ctx)
		if err == nil {
			s.wasUp = true
			return nil
		}
		if !errors.Is(err, errExited) || attempt == startAttempts || !s.worthRetrying() {
			return err
		}
		s.log.Debug("server_start_retried", zap.String("server", s.name), zap.Error(err))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// worthRetrying tells whether another attempt may fare better than one that ended with the server's exit. It may when
// another process took the port, and with luck gives it back; a server whose port no client knows yet goes to another
// one. And it may when a previous run was not long ago and its remains are still in the way.
func (s *Server) worthRetrying() bool {
	if s.wasUp {
		return true
	}
	if portFree(s.Port()) {
		return s.hasPast
	}
	return !s.fixed && s.changePort() == nil
}

func (s *Server) changePort() error {
	port, err := takePort()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	releasePort(s.port)
	s.port = port
	return nil
}

// try starts the process once and waits until it serves. On failure no process is left.
func (s *Server) try(ctx context.Context) error {
	p, err := s.spawn()
	if err != nil {
		return err
	}
	if err := s.await(ctx, p); err != nil {
		err = errors.Join(err, s.kill(p))
		return fmt.Errorf("%w; the end of its log:\n%s", err, s.LogTail(tailLines))
	}
	s.log.Info("server_started", zap.String("server", s.name), zap.String("addr", s.Addr()), zap.Int("pid", p.pid()))
	return nil
}

func (s *Server) spawn() (*process, error) {
	cmd, err := s.drv.command(s.Port())
	if err != nil {
		return nil, err
	}
	log, from, err := openLog(s.LogPath())
	if err != nil {
		return nil, fmt.Errorf("opening its log: %w", err)
	}
	defer log.Close()
	p, err := spawn(cmd, log)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc, s.logFrom = p, from
	return p, nil
}

// await waits until the process serves.
func (s *Server) await(ctx context.Context, p *process) error {
	for {
		err := s.ping(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			if p.ended.Load() {
				return fmt.Errorf("ended while it was starting: %w", err)
			}
			return fmt.Errorf("%w (%v)", errExited, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer (%w): %w", ctx.Err(), err)
		case <-time.After(pingInterval):
		}
	}
}

func (s *Server) ping(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.drv.ping(ctx, s.Port(), p.pid())
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
