package writer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/writer"
)

// firsts are all ways to begin a transaction: each gives the row the value "new" by its first statement.
var firsts = map[string]func(ctx context.Context, tx pgx.Tx, key string) error{
	"Exec": func(ctx context.Context, tx pgx.Tx, key string) error {
		tag, err := tx.Exec(ctx, updateSQL, key, "new")
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("the tag is %v", tag)
		}
		return err
	},
	"Exec of several": func(ctx context.Context, tx pgx.Tx, key string) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("SELECT 1; UPDATE item SET value = 'new' WHERE key = '%s'", key))
		return err
	},
	"Exec with an option": func(ctx context.Context, tx pgx.Tx, key string) error {
		_, err := tx.Exec(ctx, updateSQL, pgx.QueryExecModeExec, key, "new")
		return err
	},
	"Exec with names": func(ctx context.Context, tx pgx.Tx, key string) error {
		_, err := tx.Exec(ctx, "UPDATE item SET value = @value WHERE key = @key", pgx.NamedArgs{"key": key, "value": "new"})
		return err
	},
	"Query": func(ctx context.Context, tx pgx.Tx, key string) error {
		rows, err := tx.Query(ctx, returningSQL, key, "new")
		if err != nil {
			return err
		}
		values, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err == nil && fmt.Sprint(values) != "[new]" {
			err = fmt.Errorf("the rows are %v", values)
		}
		return err
	},
	"Query, closed early": func(ctx context.Context, tx pgx.Tx, key string) error {
		rows, err := tx.Query(ctx, "WITH one AS ("+returningSQL+") SELECT value FROM one, generate_series(1, 1000)", key, "new")
		if err != nil {
			return err
		}
		rows.Next()
		rows.Close()
		return rows.Err()
	},
	"Query, read to its end": func(ctx context.Context, tx pgx.Tx, key string) error {
		rows, err := tx.Query(ctx, returningSQL, key, "new")
		for err == nil && rows.Next() {
			var value string
			err = rows.Scan(&value)
		}
		return errors.Join(err, rows.Err())
	},
	"Query, scanned wrongly": func(ctx context.Context, tx pgx.Tx, key string) error {
		rows, err := tx.Query(ctx, returningSQL, key, "new")
		if err != nil {
			return err
		}
		rows.Next()
		var wrong int
		if err := rows.Scan(&wrong); err == nil {
			return errors.New("text was scanned as a number")
		}
		return nil
	},
	"Query with an option": func(ctx context.Context, tx pgx.Tx, key string) error {
		rows, err := tx.Query(ctx, returningSQL, pgx.QueryResultFormats{pgx.TextFormatCode}, key, "new")
		if err != nil {
			return err
		}
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		return err
	},
	"QueryRow": func(ctx context.Context, tx pgx.Tx, key string) error {
		var value string
		err := tx.QueryRow(ctx, returningSQL, key, "new").Scan(&value)
		if err == nil && value != "new" {
			err = fmt.Errorf("the row is %q", value)
		}
		return err
	},
	"QueryRow of nothing": func(ctx context.Context, tx pgx.Tx, key string) error {
		var value string
		if err := tx.QueryRow(ctx, "SELECT value FROM item WHERE key = $1", "none").Scan(&value); !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("%w, want ErrNoRows", err)
		}
		_, err := tx.Exec(ctx, updateSQL, key, "new")
		return err
	},
	"SendBatch": func(ctx context.Context, tx pgx.Tx, key string) error {
		var b pgx.Batch
		b.Queue(updateSQL, key, "new")
		return tx.SendBatch(ctx, &b).Close()
	},
	"CopyFrom": func(ctx context.Context, tx pgx.Tx, key string) error {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"item"}, []string{"key", "value"}, pgx.CopyFromRows([][]any{{key + ":copied", "new"}})); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, updateSQL, key, "new")
		return err
	},
	"Prepare": func(ctx context.Context, tx pgx.Tx, key string) error {
		if _, err := tx.Prepare(ctx, "opening", updateSQL); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "opening", key, "new")
		return errors.Join(err, tx.Conn().Deallocate(ctx, "opening"))
	},
	"Conn": func(ctx context.Context, tx pgx.Tx, key string) error {
		_, err := tx.Conn().Exec(ctx, updateSQL, key, "new")
		return err
	},
	"a savepoint": func(ctx context.Context, tx pgx.Tx, key string) error {
		return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, updateSQL, key, "new")
			return err
		})
	},
	"a large object": func(ctx context.Context, tx pgx.Tx, key string) error {
		objects := tx.LargeObjects()
		if _, err := objects.Create(ctx, 0); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, updateSQL, key, "new")
		return err
	},
}

const returningSQL = "UPDATE item SET value = $2 WHERE key = $1 RETURNING value"

// TestFirstStatementIsInTheTransaction: whatever comes first is committed with the record, and taken back with it, and leaves the connection free for more.
func TestFirstStatementIsInTheTransaction(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	for name, first := range firsts {
		t.Run(name, func(t *testing.T) {
			key := v.warm(t, v.rows(t, name)...)[0]
			write := func(end error) error {
				_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
					if err := first(ctx, tx, key); err != nil {
						return err
					}
					var value string
					if err := tx.QueryRow(ctx, "SELECT value FROM item WHERE key = $1", key).Scan(&value); err != nil || value != "new" {
						return fmt.Errorf("the transaction sees %q, %w", value, err)
					}
					return end
				}, writer.Set(key, []byte("new")))
				return err
			}
			if err := write(errMine); !errors.Is(err, errMine) {
				t.Fatal(err)
			}
			v.untouched(t, key)
			must(t, write(nil))
			v.holds(t, key, "new")
			if got := v.row(t, key); got != "new" {
				t.Errorf("the row is %q", got)
			}
		})
	}
}

// TestFirstStatementFails: the error is Postgres's, and nothing is written, if do passes over it or not.
func TestFirstStatementFails(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	for name, test := range map[string]struct{ sql, code string }{
		"no such table":   {"UPDATE nowhere SET value = $2 WHERE key = $1", "42P01"},
		"not a statement": {"UPDATE item SET value = $2 WHERE key = $1 AND", "42601"},
		"a duplicate":     {"INSERT INTO item (key, value) VALUES ($1, $2)", "23505"},
	} {
		for _, over := range []bool{false, true} {
			var first error
			_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
				if _, first = tx.Exec(ctx, test.sql, key, "new"); over {
					return nil
				}
				return first
			}, writer.Set(key, []byte("new")))
			if e, ok := errors.AsType[*pgconn.PgError](first); !ok || e.Code != test.code || err == nil || errors.Is(err, writer.ErrUnknown) {
				t.Errorf("%s: the statement gave %v, the write %v", name, first, err)
			}
			v.untouched(t, key)
		}
	}
	_, err := w.Write(t.Context(), func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte("old")))
	must(t, err)
	v.holds(t, key, "old")
}
