package outbox_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/outbox"
)

// What an operator asks first: how much waits, and for how long.
func ExampleCount() {
	ctx := context.Background()
	db, err := pgxpool.New(ctx, os.Getenv("TIDELOCK_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	s, err := outbox.Count(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d records wait, the oldest for %v; %d are set aside\n", s.Pending, s.Oldest, s.Aside)
}

// Records that were set aside are looked at, and then put back in line.
func ExampleRetry() {
	ctx := context.Background()
	db, err := pgxpool.New(ctx, os.Getenv("TIDELOCK_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	aside := true
	items, err := outbox.List(ctx, db, outbox.Filter{Aside: &aside}, 100)
	if err != nil {
		log.Fatal(err)
	}
	for _, item := range items {
		fmt.Println(item.Version, item.Key, item.Aside)
	}
	n, err := outbox.Retry(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "records are in line again")
}
