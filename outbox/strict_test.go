package outbox_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

// strict is what the one prefix is like.
func strict(t testing.TB, db outbox.DB) outbox.StrictPrefix {
	t.Helper()
	prefixes, err := outbox.StrictPrefixes(t.Context(), db)
	must(t, err)
	if len(prefixes) != 1 {
		t.Fatalf("%d prefixes are declared, want one: %+v", len(prefixes), prefixes)
	}
	return prefixes[0]
}

func readStrict(t testing.TB, db outbox.DB) outbox.Strict {
	t.Helper()
	s, err := outbox.ReadStrict(t.Context(), db)
	must(t, err)
	return s
}

// appendAs writes a record as a writer that goes by what it has read.
func appendAs(t testing.TB, db sender, s outbox.Strict) error {
	var b pgx.Batch
	outbox.Append(&b, []outbox.Record{set("s:a", "x")}, time.Hour, s)
	return outbox.Explain(db.SendBatch(t.Context(), &b).Close())
}

// TestStrictLife declares a prefix and takes it back, with writers and transactions of all times.
func TestStrictLife(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	before := readStrict(t, db)
	if before.Has("s:a") {
		t.Error("a key is strict, and nothing was declared")
	}
	must(t, appendAs(t, db, outbox.Strict{}))
	open := begin(t, db)
	must(t, appendAs(t, open, before))

	must(t, outbox.DeclareStrict(t.Context(), db, "s:"))
	id := func() []int64 { return []int64{strict(t, db).ID} }
	if !readStrict(t, db).Has("s:a") || readStrict(t, db).Has("t:a") {
		t.Error("what was declared is not what is strict")
	}
	if p := strict(t, db); p.Announced || p.Ended || p.Since != nil || p.Leaving {
		t.Errorf("a fresh declaration is %+v", p)
	}
	must(t, outbox.AnnounceStrict(t.Context(), db, id()))
	if p := strict(t, db); !p.Announced || p.Ended {
		t.Errorf("with a transaction under way that has overlooked it, the declaration is %+v", p)
	}
	if err := appendAs(t, db, before); !errors.Is(err, outbox.ErrStrictChanged) {
		t.Errorf("who has overlooked the declaration gets %v", err)
	}
	if _, err := outbox.Lock(t.Context(), begin(t, db), []string{"s:b"}, before); !errors.Is(err, outbox.ErrStrictChanged) {
		t.Errorf("who has overlooked the declaration locks, with %v", err)
	}
	after := readStrict(t, db)
	must(t, open.Commit(t.Context()))
	must(t, appendAs(t, db, after))
	stacktest.Eventually(t, patience, func() bool { return strict(t, db).Ended }, "transactions that may have overlooked it have ended, other databases' too")
	must(t, outbox.EnforceStrict(t.Context(), db, id()))
	must(t, outbox.DeclareStrict(t.Context(), db, "s:"))
	if p := strict(t, db); p.Since == nil {
		t.Errorf("declared twice, it is %+v", p)
	}

	must(t, outbox.ForgetStrict(t.Context(), db, id()))
	strict(t, db)
	must(t, appendAs(t, db, after))
	if there, err := outbox.RetractStrict(t.Context(), db, "s:"); err != nil || !there {
		t.Errorf("retracting: %t, %v", there, err)
	}
	if p := strict(t, db); !p.Leaving || !readStrict(t, db).Has("s:a") {
		t.Errorf("retracted, it is %+v", p)
	}
	must(t, outbox.ForgetStrict(t.Context(), db, id()))
	if err := appendAs(t, db, after); !errors.Is(err, outbox.ErrStrictChanged) || readStrict(t, db).Has("s:a") {
		t.Errorf("forgotten, and who goes by it gets %v", err)
	}
	if there, err := outbox.RetractStrict(t.Context(), db, "s:"); err != nil || there {
		t.Errorf("retracting what is not there: %t, %v", there, err)
	}
}

// TestStrictAwaitsWhoOverlooksIt has a transaction that begins after the declaration and goes by what was read before: until it has ended the
// prefix must not come into force. On a server of its own, where no other test's transaction is in the way.
func TestStrictAwaitsWhoOverlooksIt(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnPostgres(t)
	_, err := migrations.Up(t.Context(), server.URL())
	must(t, err)
	db := rig.Pool(t, server.URL())
	before := readStrict(t, db)
	must(t, outbox.DeclareStrict(t.Context(), db, "s:"))
	late := begin(t, db)
	must(t, appendAs(t, late, before))
	must(t, outbox.AnnounceStrict(t.Context(), db, []int64{strict(t, db).ID}))
	if p := strict(t, db); !p.Announced || p.Ended {
		t.Errorf("with a transaction under way that has overlooked it, the declaration is %+v", p)
	}
	must(t, late.Commit(t.Context()))
	if p := strict(t, db); !p.Ended {
		t.Errorf("with no transaction under way, the declaration is %+v", p)
	}
}

// TestStrictIsSeenThroughOldSnapshots: a transaction that cannot see the declaration finds out about it all the same.
func TestStrictIsSeenThroughOldSnapshots(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	before := readStrict(t, db)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx, err := db.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		must(t, err)
		exec(t, tx, "SELECT count(*) FROM tidelock.strict")
		must(t, outbox.DeclareStrict(t.Context(), db, string(level)))
		must(t, outbox.AnnounceStrict(t.Context(), db, column[int64](t, db, "SELECT id FROM tidelock.strict")))
		seen := column[string](t, tx, "SELECT prefix FROM tidelock.strict")
		if slices.Contains(seen, string(level)) {
			t.Errorf("%s: the transaction sees %v: this test shows nothing", level, seen)
		}
		if err := appendAs(t, tx, before); !errors.Is(err, outbox.ErrStrictChanged) {
			t.Errorf("%s: who has overlooked the declaration gets %v", level, err)
		}
		must(t, tx.Rollback(t.Context()))
		before = readStrict(t, db)
	}
}

// TestCalls counts the calls for the guardian, whatever becomes of the transaction.
func TestCalls(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	calls := func() int64 {
		o, held, err := outbox.TakeOffice(t.Context(), db, "me", time.Second)
		must(t, err)
		if !held {
			t.Fatal("the office is another's")
		}
		return o.Calls
	}
	for want := range int64(3) {
		if n := calls(); n != want {
			t.Errorf("%d calls, want %d", n, want)
		}
		must(t, outbox.CallGuardian(t.Context(), db))
	}
	row, err := outbox.ReadRow(t.Context(), db)
	must(t, err)
	if row.Lasts != time.Second || row.Term != 1 || !row.Suspended {
		t.Errorf("the row is %+v", row)
	}
	calls()
	if next, err := outbox.ReadRow(t.Context(), db); err != nil || next.Until == row.Until {
		t.Errorf("the office was kept, and its row is %+v as before: %v", next, err)
	}
}
