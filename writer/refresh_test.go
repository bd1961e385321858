package writer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestRefreshSeesTheOtherRows has two transactions change different rows of one aggregate at the same time. Each computes the
// aggregate; the key is held so that both are past their own rows before either may commit. Computed before the key is locked,
// neither sees the other's row, and the cache is left with half of it. Refresh computes under the lock.
func TestRefreshSeesTheOtherRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(v *world, key string) declare
		right  bool
	}{
		"computed before the lock": {computeFirst, false},
		"Refresh":                  {refreshLater, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.writer(t)
			rows := v.rows(t, "row1", "row2")
			key := v.prefix + "sum"
			held := v.lockKey(t, key)
			var done []<-chan answer
			for _, row := range rows {
				done = append(done, start(func() (writer.Result, error) {
					return w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
						if err := justUpdating(row, "new")(ctx, tx); err != nil {
							return err
						}
						return test.change(v, key)(ctx, tx)
					})
				}))
			}
			v.awaitWaiting(t, 2)
			must(t, held.Rollback(t.Context()))
			for _, d := range done {
				must(t, (<-d).err)
			}
			if want := v.sum(t, v.db); v.cached(t, key, want) != test.right {
				t.Errorf("the rows add up to %s, the cache holds %s", want, v.entry(t, key).Payload)
			}
		})
	}
}

type declare func(ctx context.Context, tx *writer.Tx) error

// sum is the aggregate: how many rows were changed.
func (v *world) sum(t *testing.T, db outbox.DB) (payload string) {
	t.Helper()
	must(t, db.QueryRow(t.Context(), sumSQL).Scan(&payload))
	return payload
}

const sumSQL = "SELECT sum(n)::text FROM item"

func computeFirst(_ *world, key string) declare {
	return func(ctx context.Context, tx *writer.Tx) error {
		var payload []byte
		if err := tx.QueryRow(ctx, sumSQL).Scan(&payload); err != nil {
			return err
		}
		return tx.Change(writer.Set(key, payload))
	}
}

func refreshLater(_ *world, key string) declare {
	return func(_ context.Context, tx *writer.Tx) error {
		return tx.Change(writer.Refresh(key, func(ctx context.Context, tx pgx.Tx) (payload []byte, err error) {
			return payload, tx.QueryRow(ctx, sumSQL).Scan(&payload)
		}))
	}
}

func TestFailedRefreshRollsBack(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	mine := errors.New("mine")
	failing := writer.Refresh(key, func(context.Context, pgx.Tx) ([]byte, error) { return nil, mine })
	if _, err := w.Write(t.Context(), justUpdating(key, "new"), failing); !errors.Is(err, mine) || !contains(err, key) {
		t.Errorf("got %v, want the function's error and the key", err)
	}
	v.untouched(t, key)
}

// TestLastChangeOfAKeyCounts, also when one of them is computed.
func TestLastChangeOfAKeyCounts(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "set", "refresh")
	set := func(key string) writer.Change { return writer.Set(key, []byte("set")) }
	result, err := w.Write(t.Context(), func(context.Context, *writer.Tx) error { return nil },
		refreshTo(keys[0], "refreshed"), set(keys[1]), set(keys[0]), refreshTo(keys[1], "refreshed"))
	must(t, err)
	if len(result.Keys) != 2 || !v.cached(t, keys[0], "set") || !v.cached(t, keys[1], "refreshed") {
		t.Errorf("the cache holds %q and %q, results %+v", v.entry(t, keys[0]).Payload, v.entry(t, keys[1]).Payload, result)
	}
}
