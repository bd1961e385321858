package writer_test

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/writer"
)

const updateSQL = "UPDATE item SET value = $2, n = n + 1 WHERE key = $1 RETURNING value"

// way is one of the ways to write a row's value.
type way func(ctx context.Context, v *world, w *writer.Writer, key, value string) (writer.Result, error)

// ways must all keep the same promises.
var ways = map[string]way{"Write": viaWrite, "Put": viaPut, "Record": viaRecord}

// everyWay has that of a value which is computed, too.
var everyWay = map[string]way{"Write": viaWrite, "Put": viaPut, "Record": viaRecord, "Refresh": viaRefresh}

func viaWrite(ctx context.Context, _ *world, w *writer.Writer, key, value string) (writer.Result, error) {
	return w.Write(ctx, updating(key, value))
}

// updating is a function for Write.
func updating(key, value string) func(context.Context, *writer.Tx) error {
	return func(ctx context.Context, tx *writer.Tx) error {
		if err := justUpdating(key, value)(ctx, tx); err != nil {
			return err
		}
		return tx.Change(writer.Set(key, []byte(value)))
	}
}

// justUpdating is one that leaves it to others to say what it means to the cache.
func justUpdating(key, value string) func(context.Context, *writer.Tx) error {
	return func(ctx context.Context, tx *writer.Tx) error {
		_, err := tx.Exec(ctx, updateSQL, key, value)
		return err
	}
}

func viaPut(ctx context.Context, _ *world, w *writer.Writer, key, value string) (writer.Result, error) {
	return w.Put(ctx, putting(key, value))
}

func putting(key, value string) writer.Put {
	return writer.Put{Key: key, SQL: updateSQL, Args: []any{key, value}}
}

func viaRecord(ctx context.Context, v *world, w *writer.Writer, key, value string) (writer.Result, error) {
	var pending *writer.Pending
	err := pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, updateSQL, key, value); err != nil {
			return err
		}
		pending, err = w.Record(ctx, tx, writer.Set(key, []byte(value)))
		return err
	})
	if err != nil {
		return writer.Result{}, err
	}
	return pending.Apply(ctx)
}

// viaRefresh has its key locked by a statement of its own.
func viaRefresh(ctx context.Context, _ *world, w *writer.Writer, key, value string) (writer.Result, error) {
	return w.Write(ctx, justUpdating(key, value), writer.Refresh(key, func(ctx context.Context, tx pgx.Tx) (payload []byte, err error) {
		return payload, tx.QueryRow(ctx, "SELECT value FROM item WHERE key = $1", key).Scan(&payload)
	}))
}

// answer is what a write came back with.
type answer struct {
	result writer.Result
	err    error
}

// start writes in the background.
func start(do func() (writer.Result, error)) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		result, err := do()
		done <- answer{result, err}
	}()
	return done
}
