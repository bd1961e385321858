package writer_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/writer"
)

// A writer needs the pool of the primary and a cache, which may be down.
func ExampleNew() {
	ctx := context.Background()
	db, err := pgxpool.New(ctx, os.Getenv("TIDELOCK_DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	c, err := cache.New(ctx, cache.Config{URL: os.Getenv("TIDELOCK_VALKEY_URL")})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	w, err := writer.New(ctx, writer.Config{DB: db, Cache: c})
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
}

// Write runs a function in a transaction: it updates a row and says what that means to the cache.
func ExampleWriter_Write() {
	ctx := context.Background()
	var w *writer.Writer // see New

	result, err := w.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		var payload []byte
		err := tx.QueryRow(ctx, "UPDATE flights AS f SET delay = $2 WHERE id = $1 RETURNING to_jsonb(f)", 42, 15).Scan(&payload)
		if err != nil {
			return err // rolls back
		}
		return tx.Change(writer.Set("flight:42", payload))
	})
	if err != nil {
		log.Fatal(err)
	}
	if result.Deferred() {
		fmt.Println("committed; a relay will bring it to the cache")
	}
	fmt.Println("a read that must see this write passes", result.Token())
}

// A value that is made of several rows is computed once its key is locked.
func ExampleRefresh() {
	ctx := context.Background()
	var w *writer.Writer // see New

	board := writer.Refresh("board:LHR", func(ctx context.Context, tx pgx.Tx) (payload []byte, err error) {
		return payload, tx.QueryRow(ctx, "SELECT jsonb_agg(f ORDER BY id) FROM flights AS f WHERE airport = $1", "LHR").Scan(&payload)
	})
	_, err := w.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE flights SET delay = $2 WHERE id = $1", 42, 15)
		return err
	}, board)
	if err != nil {
		log.Fatal(err)
	}
}

// Put is one statement that returns the payload. Puts that are under way at the same moment share a transaction.
func ExampleWriter_Put() {
	ctx := context.Background()
	var w *writer.Writer // see New

	_, err := w.Put(ctx, writer.Put{
		Key:  "flight:42",
		SQL:  "UPDATE flights AS f SET delay = $2 WHERE id = $1 RETURNING to_jsonb(f)",
		Args: []any{42, 15},
	})
	if err != nil {
		log.Fatal(err)
	}
}

// Record and Apply serve code that begins and commits its transactions itself.
func ExampleWriter_Record() {
	ctx := context.Background()
	var w *writer.Writer // see New
	var db *pgxpool.Pool

	tx, err := db.Begin(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	var payload []byte
	err = tx.QueryRow(ctx, "UPDATE flights AS f SET delay = $2 WHERE id = $1 RETURNING to_jsonb(f)", 42, 15).Scan(&payload)
	if err != nil {
		log.Fatal(err)
	}
	pending, err := w.Record(ctx, tx, writer.Set("flight:42", payload)) // the last statement before the commit
	if err != nil {
		log.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		log.Fatal(err)
	}
	if _, err := pending.Apply(ctx); err != nil {
		log.Print(err) // it is committed all the same, and a relay brings it to the cache
	}
}
