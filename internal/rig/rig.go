// Package rig puts Tidelock's packages on real servers for tests: each database is fresh and migrated, and everything is
// closed when the test ends.
package rig

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// template is a database with the schema: to copy it is faster than to migrate each test's own.
var template struct {
	once sync.Once
	name string // empty if it could not be made
}

func migrated(t testing.TB) string {
	t.Helper()
	template.once.Do(func() {
		const name = "migrated"
		if _, err := migrations.Up(t.Context(), stacktest.Template(t, name)); err != nil {
			t.Fatalf("migrating: %v", err)
		}
		template.name = name
	})
	if template.name == "" {
		t.Fatal("there is no database with the schema: see the test that failed first")
	}
	return template.name
}

// DB returns a pool on a fresh database with the schema, on the server that the package's tests share.
func DB(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Pool(t, stacktest.DatabaseLike(t, migrated(t)))
}

// Pool returns a pool on the database at url.
func Pool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("making a pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Cache returns a cache with a timeout that a busy machine keeps; tune may change its settings.
func Cache(t testing.TB, url string, tune ...func(*cache.Config)) *cache.Cache {
	t.Helper()
	cfg := cache.Config{URL: url, Timeout: 2 * time.Second, WatchTimeout: 2 * time.Second, Log: Log(t)}
	for _, f := range tune {
		f(&cfg)
	}
	c, err := cache.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("making a cache: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// Valkey returns a plain client of the server at url, to look at entries and to do by hand what nobody should.
func Valkey(t testing.TB, url string) valkey.Client {
	t.Helper()
	option, err := valkey.ParseURL(url)
	if err != nil {
		t.Fatalf("reading the valkey URL: %v", err)
	}
	option.DisableCache, option.ForceSingleClient = true, true
	client, err := valkey.NewClient(option)
	if err != nil {
		t.Fatalf("connecting to valkey: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// NATS returns a connection that never gives up.
func NATS(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		t.Fatalf("connecting to NATS: %v", err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// Writer returns a writer.
func Writer(t testing.TB, cfg writer.Config) *writer.Writer {
	t.Helper()
	w, err := writer.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("making a writer: %v", err)
	}
	t.Cleanup(w.Close)
	return w
}

// Relay runs a relay until stop is called or the test ends.
func Relay(t testing.TB, cfg relay.Config) (r *relay.Relay, stop func()) {
	t.Helper()
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatalf("making a relay: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Errorf("running the relay: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return r, stop
}

// Log returns a logger that writes to the test's log.
func Log(t testing.TB) *zap.Logger { return zaptest.NewLogger(t) }
