package relay_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/relay"
)

// A relay inside a service of your own, in place of the command "tidelock relay".
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var db *pgxpool.Pool                                                                             // of the primary
	store, err := cache.New(ctx, cache.Config{URL: "valkey://localhost:6379", Timeout: time.Second}) // Valkey may be down
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	conn, err := nats.Connect("nats://localhost:4222", nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)) // NATS may be down
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	r, err := relay.New(relay.Config{DB: db, Cache: store, NATS: conn})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := r.Run(ctx); err != nil { // until the signal
		fmt.Println(err)
	}
}
