// Package subject holds the ways of doing the same work that the bench compares: Tidelock's, those written by hand with the same
// clients, and peers.
package subject

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

const (
	updateSQL     = "UPDATE items SET body = $2 WHERE id = $1"
	returningSQL  = updateSQL + " RETURNING body"
	updateManySQL = "UPDATE items SET body = $2 WHERE id = ANY ($1)"
	// ttl is the time to live of every entry.
	ttl = time.Hour
)

// Hand is what a team writes by itself, with pgx and valkey-go: the row, then the cache.
type Hand struct {
	DB     *pgxpool.Pool
	Valkey valkey.Client
}

func (h Hand) key(n int) string { return "hand:" + strconv.Itoa(n) }

func (h Hand) set(ctx context.Context, n int, body []byte) error {
	return h.Valkey.Do(ctx, h.Valkey.B().Set().Key(h.key(n)).Value(valkey.BinaryString(body)).Ex(ttl).Build()).Error()
}

// Update is the UPDATE by itself, with nobody to tell.
func (h Hand) Update(ctx context.Context, c *turns.Client) error {
	_, err := h.DB.Exec(ctx, updateSQL, c.Key(), c.Payload())
	return err
}

// Autocommit is the statement that Put runs as well, by itself, then a SET of what it returns.
func (h Hand) Autocommit(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	var body []byte
	if err := h.DB.QueryRow(ctx, returningSQL, n, c.Payload()).Scan(&body); err != nil {
		return err
	}
	return h.set(ctx, n, body)
}

// Transaction is BEGIN, UPDATE, COMMIT, then a SET.
func (h Hand) Transaction(ctx context.Context, c *turns.Client) error {
	n, body := c.Key(), c.Payload()
	err := pgx.BeginFunc(ctx, h.DB, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, updateSQL, n, body)
		return err
	})
	if err != nil {
		return err
	}
	return h.set(ctx, n, body)
}

// Delete is the UPDATE by itself, then a DEL: the next reader loads the value.
func (h Hand) Delete(ctx context.Context, c *turns.Client) error {
	n := c.Key()
	if _, err := h.DB.Exec(ctx, updateSQL, n, c.Payload()); err != nil {
		return err
	}
	return h.Valkey.Do(ctx, h.Valkey.B().Del().Key(h.key(n)).Build()).Error()
}

// Get is a bare GET.
func (h Hand) Get(ctx context.Context, c *turns.Client) error {
	_, err := h.Valkey.Do(ctx, h.Valkey.B().Get().Key(h.key(c.Key())).Build()).AsBytes()
	return err
}

// Many is how many keys a read of several takes.
const Many = 100

// GetMany is one MGET of Many keys.
func (h Hand) GetMany(ctx context.Context, c *turns.Client) error {
	got, err := valkey.MGet(h.Valkey, ctx, keys(c, h.key))
	if err != nil {
		return err
	}
	for _, message := range got {
		if _, err := message.AsBytes(); err != nil {
			return err
		}
	}
	return nil
}

func keys(c *turns.Client, name func(int) string) []string {
	names := make([]string, Many)
	for i := range names {
		names[i] = name(c.Key())
	}
	return names
}

// Fill sets all keys to what the table holds.
func (h Hand) Fill(ctx context.Context) error {
	return setRows(ctx, h.DB, h.Valkey, "SELECT id, body FROM items", func(n int, body []byte) (string, []byte) { return h.key(n), body })
}

// setRows sets an entry for every row of a query.
func setRows(ctx context.Context, db *pgxpool.Pool, client valkey.Client, query string, entry func(n int, body []byte) (key string, value []byte)) error {
	var some []valkey.Completed
	bytes := 0
	flush := func() error {
		for _, reply := range client.DoMulti(ctx, some...) {
			if err := reply.Error(); err != nil {
				return err
			}
		}
		some, bytes = some[:0], 0
		return nil
	}
	err := eachRow(ctx, db, query, func(n int, body []byte) error {
		key, value := entry(n, body)
		some = append(some, client.B().Set().Key(key).Value(string(value)).Ex(ttl).Build())
		if bytes += len(value); len(some) < 500 && bytes < 1<<20 {
			return nil
		}
		return flush()
	})
	if err == nil && len(some) > 0 {
		err = flush()
	}
	return err
}

// eachRow hands on every row of a query: a number and bytes.
func eachRow(ctx context.Context, db *pgxpool.Pool, query string, do func(n int, body []byte) error) error {
	rows, err := db.Query(ctx, query)
	if err != nil {
		return err
	}
	var n int
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &body}, func() error { return do(n, body) })
	return err
}

// TransactionOf returns a subject's work: BEGIN, one UPDATE of n rows, COMMIT, then a SET of each in one pipeline.
func (h Hand) TransactionOf(n int) func(context.Context, *turns.Client) error {
	return func(ctx context.Context, c *turns.Client) error {
		ids, body := c.Own(n), c.Payload()
		err := pgx.BeginFunc(ctx, h.DB, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, updateManySQL, ids, body)
			return err
		})
		if err != nil {
			return err
		}
		sets := make([]valkey.Completed, n)
		for i, id := range ids {
			sets[i] = h.Valkey.B().Set().Key(h.key(id)).Value(valkey.BinaryString(body)).Ex(ttl).Build()
		}
		for _, reply := range h.Valkey.DoMulti(ctx, sets...) {
			if err := reply.Error(); err != nil {
				return err
			}
		}
		return nil
	}
}
