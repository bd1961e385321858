package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/writer"
)

const (
	lightFlights = 2000
	// lightWriters and lightReaders each do something, wait for a pause, and do it again.
	lightWriters, lightReaders = 3, 8
	lightWrite, lightRead      = 120 * time.Millisecond, 30 * time.Millisecond
	// crowd is how many flights most of the reads and the writes are of.
	crowd = 200
)

// Light is light traffic on a stack, for who looks at it: flights are written and read through Tidelock for as long as it runs.
type Light struct {
	db      *pgxpool.Pool
	cache   *cache.Cache
	nats    *nats.Conn
	board   *tidelockBoard
	flights []flight
}

// NewLight connects to a stack that has the schema. Its servers may come and go later.
func NewLight(ctx context.Context, servers *stack.Stack) (l *Light, err error) {
	l = new(Light)
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if l.flights, err = flights(lightFlights); err != nil {
		return l, err
	}
	if l.db, err = pgxpool.New(ctx, servers.Postgres.URL()+"&pool_max_conns=8"); err != nil {
		return l, fmt.Errorf("connecting to postgres: %w", err)
	}
	if l.cache, err = cache.New(ctx, cache.Config{URL: servers.Valkey.URL()}); err != nil {
		return l, err
	}
	if l.nats, err = nats.Connect(servers.NATS.URL(), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)); err != nil {
		return l, fmt.Errorf("connecting to nats: %w", err)
	}
	if err = createTable(ctx, l.db, "IF NOT EXISTS "+tidelockTable); err != nil { // it is there on a folder that was kept
		return l, err
	}
	l.board, err = newTidelockBoard(ctx, l.db, l.cache, writer.Config{DB: l.db, Cache: l.cache, NATS: l.nats}, new(counters))
	return l, err
}

// Run writes and reads until ctx ends. What fails while a server is away is left at that.
func (l *Light) Run(ctx context.Context) {
	var work sync.WaitGroup
	for range lightWriters {
		work.Go(func() { l.often(ctx, lightWrite, l.write) })
	}
	for range lightReaders {
		work.Go(func() {
			l.often(ctx, lightRead, func(ctx context.Context, f flight) { _, _ = l.board.read(ctx, f.id) })
		})
	}
	work.Wait()
}

// often does something with one flight after another, mostly with the same ones.
func (l *Light) often(ctx context.Context, pause time.Duration, do func(context.Context, flight)) {
	for ctx.Err() == nil {
		among := len(l.flights)
		if rand.N(5) > 0 {
			among = crowd
		}
		do(ctx, l.flights[rand.N(among)])
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
		}
	}
}

// write schedules the flight, or gives it another delay.
func (l *Light) write(ctx context.Context, f flight) {
	_, _ = l.board.writer.Put(ctx, writer.Put{Key: tidelockKey(f.id), SQL: `INSERT INTO ` + tidelockTable + ` AS f (id, day, origin, destination, distance, departed, delay)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET delay = excluded.delay RETURNING to_jsonb(f)::text`,
		Args: []any{f.id, f.day, f.origin, f.destination, f.distance, f.departed, rand.N(180) - 20}})
}

// Row returns the row behind a flight's key, empty for none.
func (l *Light) Row(ctx context.Context, key string) (string, error) {
	number, ours := strings.CutPrefix(key, "flight:")
	id, err := strconv.Atoi(number)
	if !ours || err != nil {
		return "", errors.New("only the rows of flights are known, with keys such as flight:42")
	}
	found, err := rows(ctx, l.db, tidelockTable, []int{id})
	return found[id], err
}

// Close disconnects. Nothing may be running.
func (l *Light) Close() {
	if l.board != nil {
		l.board.close()
	}
	if l.nats != nil {
		l.nats.Close()
	}
	if l.cache != nil {
		l.cache.Close()
	}
	if l.db != nil {
		l.db.Close()
	}
}
