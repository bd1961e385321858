package drive

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
)

const (
	connectTimeout = 2 * time.Second        // of one connection to Postgres
	retryPause     = 200 * time.Millisecond // between two tries of what may not fail for good
)

// persist tries until it succeeds or ctx ends.
func persist[T any](ctx context.Context, log *zap.Logger, what string, try func() (T, error)) (T, error) {
	for {
		v, err := try()
		if err == nil {
			return v, nil
		}
		log.Warn("start_failed", zap.String("what", what), zap.Error(err))
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return v, fmt.Errorf("%s: %w", what, ctx.Err())
		}
	}
}

// openDatabase opens a pool whose statements pass the points. It does not connect yet.
func openDatabase(url string, conns int, p *points) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading DatabaseURL: %w", err)
	}
	cfg.MaxConns = int32(conns)
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	if len(p.list) > 0 {
		cfg.ConnConfig.Tracer = tracer{points: p}
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return pool, nil
}

// openCache connects to Valkey, which may be down, or may not want us yet.
func openCache(ctx context.Context, cfg cache.Config) (*cache.Cache, error) {
	return persist(ctx, cfg.Log, "opening the cache", func() (*cache.Cache, error) { return cache.New(ctx, cfg) })
}

// openNATS connects to NATS, which may be down: the connection is tried for ever, in the background.
func openNATS(url, name string, log *zap.Logger) (*nats.Conn, error) {
	conn, err := nats.Connect(url,
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Info("nats_disconnected", zap.Error(err)) }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats_connected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("nats_error", zap.Error(err)) }),
	)
	if err != nil {
		return nil, fmt.Errorf("opening NATS: %w", err)
	}
	return conn, nil
}
