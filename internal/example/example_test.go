// Package example holds the README's example, so that it compiles and runs.
package example

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// Flight is a row of the table flights.
type Flight struct {
	ID    int `json:"id"`
	Delay int `json:"delay"`
}

// delayFlight is the README's example with its errors handled.
func delayFlight(ctx context.Context, db *pgxpool.Pool, valkeyURL string) (Flight, error) {
	c, err := cache.New(ctx, cache.Config{URL: valkeyURL}) // Valkey may be down
	if err != nil {
		return Flight{}, err
	}
	defer c.Close()
	w, err := writer.New(ctx, writer.Config{DB: db, Cache: c})
	if err != nil {
		return Flight{}, err
	}
	defer w.Close()
	loadFlights := func(ctx context.Context, keys []string) (map[string]Flight, error) { return load(ctx, db, keys) }
	r, err := reader.New(reader.Config{Cache: c, DB: db}, reader.Source[Flight]{Load: loadFlights})
	if err != nil {
		return Flight{}, err
	}
	defer r.Close()

	result, err := w.Put(ctx, writer.Put{
		Key:  "flight:42",
		SQL:  "UPDATE flights AS f SET delay = $2 WHERE id = $1 RETURNING to_jsonb(f)",
		Args: []any{42, 15},
	})
	if err != nil {
		return Flight{}, err
	}
	item, err := r.Get(ctx, "flight:42", reader.AtLeast(result.Token())) // sees that write, whatever Valkey does
	return item.Value, err
}

// load reads the rows of keys such as flight:42.
func load(ctx context.Context, db *pgxpool.Pool, keys []string) (map[string]Flight, error) {
	var ids []int
	for _, key := range keys {
		id, err := strconv.Atoi(strings.TrimPrefix(key, "flight:"))
		if err != nil {
			return nil, fmt.Errorf("reading the key %q: %w", key, err)
		}
		ids = append(ids, id)
	}
	rows, err := db.Query(ctx, "SELECT id, delay FROM flights WHERE id = ANY ($1)", ids)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Flight])
	flights := make(map[string]Flight, len(found))
	for _, f := range found {
		flights["flight:"+strconv.Itoa(f.ID)] = f
	}
	return flights, err
}

func TestReadmeExample(t *testing.T) {
	ctx := t.Context()
	db := rig.DB(t)
	if _, err := db.Exec(ctx, "CREATE TABLE flights (id int PRIMARY KEY, delay int NOT NULL); INSERT INTO flights VALUES (42, 0)"); err != nil {
		t.Fatal(err)
	}
	valkey := stacktest.Valkey(t)
	got, err := delayFlight(ctx, db, valkey.URL())
	if err != nil || got != (Flight{ID: 42, Delay: 15}) {
		t.Fatalf("got %+v, %v, want the delay that was just written", got, err)
	}
	entry, err := rig.Cache(t, valkey.URL()).Get(ctx, "flight:42")
	if err != nil {
		t.Fatal(err)
	}
	var cached Flight
	if err := json.Unmarshal(entry.Payload, &cached); err != nil || cached != got {
		t.Fatalf("the cache holds %q (%v), want the row", entry.Payload, err)
	}
}

// TestReadmeShowsThisExample holds the README's lines against this file.
func TestReadmeShowsThisExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```go\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("the README has no Go example")
	}
	for line := range strings.SplitSeq(block, "\n") {
		code, _, _ := strings.Cut(line, "  //")
		code, _, _ = strings.Cut(code, " // ")
		if code = strings.TrimSpace(code); !strings.Contains(string(source), code) {
			t.Errorf("the README has a line that is not compiled here: %s", code)
		}
	}
}
