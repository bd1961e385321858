package stacktest

import (
	"context"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

const logLines = 30 // how much of a private server's log a failed test prints

// ownServer is what the servers of package stack have in common.
type ownServer interface {
	Close() error
	LogTail(lines int) string
}

// OwnPostgres starts a Postgres for this test alone, without fsync, and removes it when the test ends.
func OwnPostgres(t testing.TB) *stack.Postgres {
	t.Helper()
	return own(t, startPostgres)
}

// OwnValkey starts a Valkey for this test alone, with further arguments, and removes it when the test ends.
func OwnValkey(t testing.TB, args ...string) *stack.Valkey {
	t.Helper()
	return own(t, func(ctx context.Context) (*stack.Valkey, error) {
		return stack.StartValkey(ctx, stack.ValkeyConfig{}, args...)
	})
}

// OwnNATS starts a NATS for this test alone and removes it when the test ends.
func OwnNATS(t testing.TB) *stack.NATS {
	t.Helper()
	return own(t, func(ctx context.Context) (*stack.NATS, error) {
		return stack.StartNATS(ctx, stack.NATSConfig{})
	})
}

func own[S ownServer](t testing.TB, start func(context.Context) (S, error)) S {
	t.Helper()
	requireMain(t)
	s, err := start(t.Context())
	if err != nil {
		t.Fatalf("stacktest: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", s.LogTail(logLines))
		}
		if err := s.Close(); err != nil {
			t.Errorf("stacktest: %v", err)
		}
	})
	return s
}
