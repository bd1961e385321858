package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// board is a departure board: a table and the cache in front of it, kept in step in one way or another.
type board interface {
	// write brings one step of a flight to the table and the cache. It fails only when the table was not written.
	write(ctx context.Context, f flight, s step) error
	// read returns what a passenger sees, and whether it came from the cache.
	read(ctx context.Context, id int) (hit bool, err error)
}

// statement returns the SQL of a step on a table. Each returns the row as the cache is to hold it.
func statement(table string, f flight, s step) (sql string, args []any) {
	switch s {
	case scheduled:
		return `INSERT INTO ` + table + ` AS f (id, day, origin, destination, distance) VALUES ($1, $2, $3, $4, $5) RETURNING to_jsonb(f)::text`,
			[]any{f.id, f.day, f.origin, f.destination, f.distance}
	case departed:
		return `UPDATE ` + table + ` AS f SET departed = $2 WHERE id = $1 RETURNING to_jsonb(f)::text`, []any{f.id, f.departed}
	case delayed:
		return `UPDATE ` + table + ` AS f SET delay = $2 WHERE id = $1 RETURNING to_jsonb(f)::text`, []any{f.id, f.delay}
	default:
		return `DELETE FROM ` + table + ` AS f WHERE id = $1 RETURNING ''`, []any{f.id}
	}
}

func createTable(ctx context.Context, db *pgxpool.Pool, table string) error {
	_, err := db.Exec(ctx, `CREATE TABLE `+table+` (
		id int PRIMARY KEY, day text NOT NULL, origin text NOT NULL, destination text NOT NULL, distance int NOT NULL,
		departed text, delay int)`)
	if err != nil {
		return fmt.Errorf("creating the table %s: %w", table, err)
	}
	return nil
}

// rows reads the rows of these ids, or all when there are none, as the cache is to hold them.
func rows(ctx context.Context, db *pgxpool.Pool, table string, ids []int) (map[int]string, error) {
	result, err := db.Query(ctx, `SELECT id, to_jsonb(f)::text FROM `+table+` AS f WHERE $1::int[] IS NULL OR id = ANY ($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	found := make(map[int]string)
	var id int
	var row string
	_, err = pgx.ForEachRow(result, []any{&id, &row}, func() error {
		found[id] = row
		return nil
	})
	return found, err
}

const (
	tidelockTable = "flights"
	naiveTable    = "naive_flights"
)

func tidelockKey(id int) string { return "flight:" + strconv.Itoa(id) }
func naiveKey(id int) string    { return "naive:" + strconv.Itoa(id) }

// tidelockBoard keeps its cache in step through the packages writer and reader.
type tidelockBoard struct {
	writer *writer.Writer
	reader *reader.Raw
	count  *counters
}

func newTidelockBoard(ctx context.Context, db *pgxpool.Pool, c *cache.Cache, cfg writer.Config, count *counters) (*tidelockBoard, error) {
	w, err := writer.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r, err := reader.NewRaw(reader.Config{Cache: c, DB: db, Load: func(ctx context.Context, keys []string) (map[string][]byte, error) {
		return loadFlights(ctx, db, keys)
	}})
	return &tidelockBoard{writer: w, reader: r, count: count}, err
}

func (b *tidelockBoard) close() {
	b.reader.Close()
	b.writer.Close()
}

func loadFlights(ctx context.Context, db *pgxpool.Pool, keys []string) (map[string][]byte, error) {
	ids := make([]int, len(keys))
	for i, key := range keys {
		id, err := strconv.Atoi(key[len("flight:"):])
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	found, err := rows(ctx, db, tidelockTable, ids)
	payloads := make(map[string][]byte, len(found))
	for id, row := range found {
		payloads[tidelockKey(id)] = []byte(row)
	}
	return payloads, err
}

func (b *tidelockBoard) write(ctx context.Context, f flight, s step) error {
	put := writer.Put{Key: tidelockKey(f.id)}
	put.SQL, put.Args = statement(tidelockTable, f, s)
	if s == cancelled {
		put.Kind = outbox.Absent
	}
	result, err := b.writer.Put(ctx, put)
	if err != nil {
		return err
	}
	if result.Deferred() {
		b.count.deferred.Add(1)
	}
	return nil
}

func (b *tidelockBoard) read(ctx context.Context, id int) (bool, error) {
	found, err := b.reader.Get(ctx, tidelockKey(id))
	if errors.Is(err, reader.ErrNotFound) {
		return found.Hit, nil
	}
	return found.Hit, err
}

// naiveBoard is what most teams write: UPDATE, then SET; on a miss SELECT, then SET.
type naiveBoard struct {
	db     *pgxpool.Pool
	client valkey.Client
}

const (
	naiveTimeout = 50 * time.Millisecond // the same as Tidelock's
	naiveTTL     = time.Hour
)

func (b *naiveBoard) write(ctx context.Context, f flight, s step) error {
	sql, args := statement(naiveTable, f, s)
	var row string
	if err := b.db.QueryRow(ctx, sql, args...).Scan(&row); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, naiveTimeout)
	defer cancel()
	key := naiveKey(f.id)
	if s == cancelled {
		b.client.Do(ctx, b.client.B().Del().Key(key).Build())
		return nil
	}
	b.set(ctx, key, row) // its error is logged and forgotten in most services, and so it is here
	return nil
}

func (b *naiveBoard) set(ctx context.Context, key, row string) {
	b.client.Do(ctx, b.client.B().Set().Key(key).Value(row).Px(naiveTTL).Build())
}

func (b *naiveBoard) read(ctx context.Context, id int) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, naiveTimeout)
	defer cancel()
	if b.client.Do(bounded, b.client.B().Get().Key(naiveKey(id)).Build()).Error() == nil {
		return true, nil
	}
	found, err := rows(ctx, b.db, naiveTable, []int{id})
	if row, ok := found[id]; ok {
		again, cancel := context.WithTimeout(ctx, naiveTimeout)
		defer cancel()
		b.set(again, naiveKey(id), row)
	}
	return false, err
}
