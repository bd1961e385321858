package writer_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/writer"
)

// with returns a pool whose sessions have a setting, such as "deadlock_timeout=50ms".
func (v *world) with(t *testing.T, setting string) *pgxpool.Pool {
	t.Helper()
	return pool(t, v.db.Config().ConnString()+"&"+setting, 4)
}

// pauseSQL makes whoever has written an item wait for an advisory lock before anything else.
const pauseSQL = `
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
CREATE TRIGGER pause AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION pause()`

// TestDeadlockIsRetried: somebody else holds the key and wants the row, which the write holds when it comes to wait for the key. The
// write is the one that Postgres ends, for it looks first; it looks once, so it must be the last to wait.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.exec(t, pauseSQL)
	w := v.writer(t, func(c *writer.Config) { c.DB = v.with(t, "deadlock_timeout=50ms") })
	for name, do := range map[string]way{"Write": viaWrite, "Put": viaPut} {
		key := v.warm(t, v.rows(t, name)...)[0]
		other, gate := v.lockKey(t, key), v.begin(t)
		_, err := other.Exec(t.Context(), "SET LOCAL deadlock_timeout = '1min'")
		must(t, err)
		_, err = gate.Exec(t.Context(), "SELECT pg_advisory_xact_lock(7)")
		must(t, err)
		done := start(func() (writer.Result, error) { return do(t.Context(), v, w, key, "new") })
		v.awaitWaiting(t, 1)
		otherDone := make(chan error, 1)
		go func() {
			_, err := other.Exec(t.Context(), updateSQL, key, "other")
			otherDone <- err
		}()
		v.awaitWaiting(t, 2)
		must(t, gate.Rollback(t.Context()))
		must(t, <-otherDone)
		must(t, other.Commit(t.Context()))
		must(t, (<-done).err)
		v.holds(t, key, "new")
		if n := value[int](t, v, "SELECT n FROM item WHERE key = $1", key); n != 2 {
			t.Errorf("%s: the row was written %d times, want once by each", name, n)
		}
	}
}

// TestSerializationFailureIsRetried, in a new transaction that sees what the first one could not.
func TestSerializationFailureIsRetried(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t, func(c *writer.Config) { c.DB = v.with(t, "default_transaction_isolation=serializable") })
	key := v.warm(t, v.rows(t, "k")...)[0]
	other := v.lockRow(t, key)
	runs := 0
	done := start(func() (writer.Result, error) {
		return w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
			runs++
			return updating(key, "new")(ctx, tx)
		})
	})
	v.awaitWaiting(t, 1)
	_, err := other.Exec(t.Context(), updateSQL, key, "other")
	must(t, err)
	must(t, other.Commit(t.Context()))
	must(t, (<-done).err)
	v.holds(t, key, "new")
	if runs != 2 {
		t.Errorf("the function ran %d times, want 2", runs)
	}
}

// TestLonePutDoesNotWait compares it with the same work by hand, in turns, for the machine has its moods.
func TestLonePutDoesNotWait(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	var puts, hands []time.Duration
	for range 40 {
		begun := time.Now()
		must(t, onlyError(viaPut(t.Context(), v, w, key, "new")))
		puts, begun = append(puts, time.Since(begun)), time.Now()
		must(t, byHand(t.Context(), v, key, "new"))
		hands = append(hands, time.Since(begun))
	}
	if p, h := median(puts), median(hands); p > 3*h+10*time.Millisecond {
		t.Errorf("a lone Put takes %v, by hand it takes %v", p, h)
	}
}

// byHand is what most people write: it makes no promise.
func byHand(ctx context.Context, v *world, key, value string) error {
	var payload string
	err := pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, updateSQL, key, value).Scan(&payload)
	})
	if err != nil {
		return err
	}
	return v.valkey.Do(ctx, v.valkey.B().Set().Key("hand:"+key).Value(payload).ExSeconds(3600).Build()).Error()
}
