package stacktest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// lazy starts a server once, when it is first asked for.
type lazy[S interface{ Close() error }] struct {
	start func(context.Context) (S, error)

	once    sync.Once
	server  S
	err     error
	started bool
}

// The servers that all tests of a package share.
var (
	sharedPostgres = lazy[*stack.Postgres]{start: startPostgres}
	sharedValkey   = lazy[*stack.Valkey]{start: func(ctx context.Context) (*stack.Valkey, error) {
		return stack.StartValkey(ctx, stack.ValkeyConfig{})
	}}
	sharedNATS = lazy[*stack.NATS]{start: func(ctx context.Context) (*stack.NATS, error) {
		return stack.StartNATS(ctx, stack.NATSConfig{})
	}}
)

// Postgres is the package's shared Postgres, which runs without fsync.
func Postgres(t testing.TB) *stack.Postgres {
	t.Helper()
	return sharedPostgres.get(t)
}

// Valkey is the package's shared Valkey.
func Valkey(t testing.TB) *stack.Valkey {
	t.Helper()
	return sharedValkey.get(t)
}

// NATS is the package's shared NATS.
func NATS(t testing.TB) *stack.NATS {
	t.Helper()
	return sharedNATS.get(t)
}

// get starts the server with a context that outlives the test which happens to come first.
func (l *lazy[S]) get(t testing.TB) S {
	t.Helper()
	requireMain(t)
	l.once.Do(func() {
		l.server, l.err = l.start(context.WithoutCancel(t.Context()))
		l.started = l.err == nil
	})
	if l.err != nil {
		t.Fatalf("stacktest: %v", l.err)
	}
	return l.server
}

// close stops the server if a test has started it. It runs after the tests.
func (l *lazy[S]) close() error {
	if !l.started {
		return nil
	}
	return l.server.Close()
}

func closeShared() error {
	return errors.Join(sharedPostgres.close(), sharedValkey.close(), sharedNATS.close())
}

func startPostgres(ctx context.Context) (*stack.Postgres, error) {
	return stack.StartPostgres(ctx, stack.PostgresConfig{NoFsync: true})
}

func requireMain(t testing.TB) {
	t.Helper()
	if !inMain.Load() {
		t.Fatal("stacktest: TestMain must call stacktest.Main")
	}
}
