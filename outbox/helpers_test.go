package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// patience bounds the wait for what takes milliseconds on an idle machine.
const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wide returns a pool of that many connections on the same database.
func wide(t testing.TB, db *pgxpool.Pool, conns int) *pgxpool.Pool {
	t.Helper()
	return rig.Pool(t, fmt.Sprintf("%s&pool_max_conns=%d", db.Config().ConnString(), conns))
}

func exec(t testing.TB, db outbox.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// value returns the one value of a query.
func value[T any](t testing.TB, db outbox.DB, sql string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// column returns the values of a query's one column.
func column[T any](t testing.TB, db outbox.DB, sql string, args ...any) []T {
	t.Helper()
	rows, err := db.Query(t.Context(), sql, args...)
	must(t, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	must(t, err)
	return values
}

// begin opens a transaction that is rolled back when the test ends, unless the test ends it first.
func begin(t testing.TB, db *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := db.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if err := tx.Rollback(context.Background()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("rolling back: %v", err)
		}
	})
	return tx
}

func set(key, payload string) outbox.Record {
	return outbox.Record{Key: key, Kind: outbox.Set, Payload: []byte(payload), TTL: time.Hour, Allocate: true}
}

// sender is a pool or a transaction.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// add appends records, due after grace, and returns their versions. On a pool that is a transaction of its own.
func add(t testing.TB, db sender, grace time.Duration, records ...outbox.Record) []int64 {
	t.Helper()
	var b pgx.Batch
	outbox.Append(&b, records, grace, outbox.Strict{})
	must(t, db.SendBatch(t.Context(), &b).Close())
	var versions []int64
	for _, r := range records {
		versions = append(versions, r.Version)
	}
	return versions
}

// one appends one record that is due now.
func one(t testing.TB, db sender, key string) int64 {
	t.Helper()
	return add(t, db, 0, set(key, "x"))[0]
}

// take claims what is due and returns the versions in the order in which they came.
func take(t testing.TB, db outbox.DB, limit int, lease time.Duration) (versions []int64, seen int) {
	t.Helper()
	taken, err := outbox.Take(t.Context(), db, outbox.Place{}, 0, limit, lease)
	must(t, err)
	return versionsOf(taken), taken.Seen
}

func versionsOf(taken outbox.Taken) (versions []int64) {
	for _, c := range taken.Claims {
		versions = append(versions, c.Version)
	}
	return versions
}

func pending(t testing.TB, db outbox.DB) []int64 {
	t.Helper()
	return column[int64](t, db, "SELECT version FROM tidelock.outbox WHERE aside IS NULL ORDER BY version")
}

// sameSet compares without regard to order.
func sameSet(t testing.TB, what string, got, want []int64) {
	t.Helper()
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// waiting returns how many sessions of the database wait for another transaction.
func waiting(t testing.TB, db outbox.DB) int {
	t.Helper()
	return value[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
}

func awaitWaiting(t testing.TB, db outbox.DB, n int) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool { return waiting(t, db) == n }, fmt.Sprint(n), "sessions wait for a lock")
}

// ended is what is said of a record that has come to rest.
func ended(t testing.TB, db outbox.DB, version int64, reason string) outbox.Settled {
	t.Helper()
	return outbox.Settled{Key: value[string](t, db, "SELECT key FROM tidelock.outbox WHERE version = $1", version), Version: version, Reason: reason}
}

// retire deletes records as settled, on whatever server: none is on record.
func retire(t testing.TB, db outbox.DB, versions ...int64) {
	t.Helper()
	settled := make([]outbox.Settled, len(versions))
	for i, version := range versions {
		settled[i] = ended(t, db, version, "")
	}
	done, err := outbox.Retire(t.Context(), db, settled)
	if must(t, err); done.Records != int64(len(versions)) {
		t.Fatalf("%d of %d records were retired", done.Records, len(versions))
	}
}
