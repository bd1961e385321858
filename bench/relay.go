package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/relay"
)

// relayCmd is what `tidelock relay` does, with its defaults.
type relayCmd struct {
	Postgres string `arg:""`
	Valkey   string `arg:""`
	NATS     string `arg:""`
}

// Run relays until it is told to stop.
func (c *relayCmd) Run(ctx context.Context) error {
	db, err := pgxpool.New(ctx, c.Postgres+"&pool_max_conns=8")
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer db.Close()
	valkey, err := cache.New(ctx, cache.Config{URL: c.Valkey, Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer valkey.Close()
	conn, err := nats.Connect(c.NATS, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return fmt.Errorf("connecting to nats: %w", err)
	}
	defer conn.Close()
	r, err := relay.New(relay.Config{DB: db, Cache: valkey, NATS: conn})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}
