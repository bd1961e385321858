package chaos

import (
	"context"
	"fmt"
)

// server is what all servers can do.
type server interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Kill() error
	Pause() error
	Resume() error
	Wipe() error
	Running() bool
	Addr() string
	LogTail(lines int) string
}

// which names a server of the stage.
type which func(*Stage) server

func theValkey(s *Stage) server   { return s.valkey }
func theReplica(s *Stage) server  { return s.replica }
func theNATS(s *Stage) server     { return s.nats }
func thePostgres(s *Stage) server { return s.postgres }

func kill(w which) Fault {
	return onServer("killing", w, func(_ context.Context, v server) error { return v.Kill() })
}
func pause(w which) Fault {
	return onServer("pausing", w, func(_ context.Context, v server) error { return v.Pause() })
}
func resume(w which) Fault {
	return onServer("resuming", w, func(_ context.Context, v server) error { return v.Resume() })
}
func wipe(w which) Fault {
	return onServer("wiping", w, func(_ context.Context, v server) error { return v.Wipe() })
}
func start(w which) Fault {
	return onServer("starting", w, func(ctx context.Context, v server) error { return v.Start(ctx) })
}
func stop(w which) Fault {
	return onServer("stopping", w, func(ctx context.Context, v server) error { return v.Stop(ctx) })
}

func onServer(doing string, w which, do func(context.Context, server) error) Fault {
	return func(ctx context.Context, s *Stage) error {
		if err := do(ctx, w(s)); err != nil {
			return fmt.Errorf("%s a server: %w", doing, err)
		}
		return nil
	}
}
