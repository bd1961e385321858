package outbox_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

const keep = time.Hour

func prune(t testing.TB, db outbox.DB) int64 {
	t.Helper()
	n, err := outbox.Prune(t.Context(), db, keep)
	must(t, err)
	return n
}

// age makes everything written so far older than keep, in the eyes of Prune. It marks an epoch first: without one newer than
// a write nothing says how old the write is.
func age(t testing.TB, db outbox.DB) {
	t.Helper()
	prune(t, db)
	exec(t, db, "UPDATE tidelock.epochs SET at = at - $1::interval", 2*keep)
}

// settled writes keys whose records are retired, and returns the last version.
func settled(t testing.TB, db interface {
	sender
	outbox.DB
}, keys ...string) (version int64) {
	t.Helper()
	for _, key := range keys {
		version = one(t, db, key)
		retire(t, db, version)
	}
	return version
}

func floor(t testing.TB, db outbox.DB) int64 {
	t.Helper()
	return value[int64](t, db, "SELECT version FROM tidelock.floor")
}

func keysLeft(t testing.TB, db outbox.DB) string {
	t.Helper()
	return fmt.Sprint(column[string](t, db, "SELECT key FROM tidelock.versions ORDER BY key"))
}

// awaitKeys prunes until these keys alone are left. Once may not do: transactions of other tests, in other databases of the same
// server, hold the floor back while they last.
func awaitKeys(t testing.TB, db outbox.DB, want string) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool {
		prune(t, db)
		return keysLeft(t, db) == want
	}, "the keys", want, "are left")
}

// awaitFloor prunes until the floor has risen.
func awaitFloor(t testing.TB, db outbox.DB) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool {
		prune(t, db)
		return floor(t, db) > 0
	}, "the floor rises")
}

// label returns the version that a load of the key would bear.
func label(t testing.TB, db outbox.DB, key string) int64 {
	t.Helper()
	var version int64
	must(t, db.QueryRow(t.Context(), labelSQL(t), []string{key}).Scan(nil, &version, nil))
	return version
}

// labelSQL is the reader's own statement.
func labelSQL(t testing.TB) string {
	t.Helper()
	sql, err := os.ReadFile("../reader/sql/versions.sql")
	must(t, err)
	return string(sql)
}

func TestPruneForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	old := settled(t, db, "a", "b")
	age(t, db)
	recent := settled(t, db, "b", "c")
	awaitKeys(t, db, "[b c]")
	for key, want := range map[string]int64{"a": old, "never written": old, "c": recent} {
		if got := label(t, db, key); got != want {
			t.Errorf("a load of %q bears version %d, want %d", key, got, want)
		}
	}
	if again := settled(t, db, "a"); again <= floor(t, db) {
		t.Errorf("a key that was forgotten came back with version %d, the floor is %d", again, floor(t, db))
	}
	if n := prune(t, db); n != 0 {
		t.Errorf("%d versions went that are not old", n)
	}
}

func TestNothingIsPrunedWithinKeep(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	settled(t, db, "a")
	for range 3 {
		if n := prune(t, db); n != 0 || floor(t, db) != 0 {
			t.Fatalf("%d versions went, the floor is %d", n, floor(t, db))
		}
	}
}

// TestOpenTransactionHoldsTheFloor: a transaction that has drawn a version for a new key may commit at any later time. Were the floor
// above it by then, a value loaded before would bear a version that beats it.
func TestOpenTransactionHoldsTheFloor(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	before := settled(t, db, "a")
	prune(t, db) // a mark that all transactions before it have left behind
	open := begin(t, db)
	drawn := one(t, open, "new")
	settled(t, db, "b")
	age(t, db) // and a younger one, which the open transaction has not
	awaitFloor(t, db)
	if got := floor(t, db); got != before || keysLeft(t, db) != "[b]" {
		t.Fatalf("the floor is %d, want %d: a transaction with version %d is open", got, before, drawn)
	}
	must(t, open.Commit(t.Context()))
	if got := label(t, db, "new"); got != drawn {
		t.Errorf("a load bears version %d, want %d", got, drawn)
	}
	retire(t, db, drawn)
	awaitKeys(t, db, "[]")
}

// TestPendingRecordHoldsTheFloor: a record whose key has no row counts as superseded and would be lost.
func TestPendingRecordHoldsTheFloor(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	settled(t, db, "a")
	version := one(t, db, "pending")
	settled(t, db, "z")
	age(t, db)
	awaitFloor(t, db)
	if got := floor(t, db); got != version-1 || keysLeft(t, db) != "[pending z]" {
		t.Errorf("the floor is %d, want just below the record %d", got, version)
	}
	if got, _ := take(t, db, 10, time.Hour); len(got) != 1 {
		t.Errorf("claimed %v, want the pending record", got)
	}
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, version, "settled by deleting the entry")}))
	awaitKeys(t, db, "[]")
}

func TestFloorNeverFalls(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	version := settled(t, db, "a")
	age(t, db)
	awaitKeys(t, db, "[]")
	exec(t, db, "INSERT INTO tidelock.epochs (xid, version, at) VALUES ('1', 0, now() - interval '1 day')")
	prune(t, db)
	if got := floor(t, db); got < version {
		t.Errorf("the floor fell from %d to %d", version, got)
	}
}

// TestPrunePages has more keys than one statement looks at.
func TestPrunePages(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	exec(t, db, `INSERT INTO tidelock.versions (key, version, xid)
		SELECT 'k' || n, nextval('tidelock.version_seq'), pg_current_xact_id() FROM generate_series(1, 25000) AS n`)
	settled(t, db, "m")
	age(t, db)
	settled(t, db, "k7", "n")
	awaitKeys(t, db, "[k7 n]")
	if n := value[int](t, db, "SELECT count(*) FROM tidelock.epochs WHERE at < now() - $1::interval", keep); n != 0 {
		t.Errorf("%d marks are left below the floor", n)
	}
}
