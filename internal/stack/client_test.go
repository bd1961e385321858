package stack_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// patience is how long a test waits for something that should take moments.
const patience = 20 * time.Second

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sql runs statements in a session of its own and returns the one value that the last of them yields.
func sql(ctx context.Context, url, stmts string) (value string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, stmts).ReadAll()
	if err != nil {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

func mustSQL(t *testing.T, p *stack.Postgres, stmt string) string {
	t.Helper()
	value, err := sql(within(t, patience), p.URL(), stmt)
	must(t, err)
	return value
}

// valkeyClient is a client that fails rather than waits.
func valkeyClient(t *testing.T, opt valkey.ClientOption) valkey.Client {
	t.Helper()
	opt.DisableCache, opt.DisableRetry = true, true
	c, err := valkey.NewClient(opt)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func set(ctx context.Context, c valkey.Client, key, value string) error {
	return c.Do(ctx, c.B().Set().Key(key).Value(value).Build()).Error()
}

func get(ctx context.Context, c valkey.Client, key string) (string, error) {
	value, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
	if valkey.IsValkeyNil(err) {
		return "", nil
	}
	return value, err
}

func jetStream(t *testing.T, url string) nats.JetStreamContext {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	must(t, err)
	t.Cleanup(nc.Close)
	js, err := nc.JetStream(nats.MaxWait(patience))
	must(t, err)
	return js
}
