package outbox_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

func rotate(t testing.TB, db outbox.DB, most int64) {
	t.Helper()
	must(t, outbox.Rotate(t.Context(), db, most))
}

// pages returns how many bytes each part has.
func pages(t testing.TB, db outbox.DB) []int64 {
	t.Helper()
	return column[int64](t, db, "SELECT pg_relation_size(format('tidelock.outbox_%s', n)::regclass) FROM generate_series(0, 2) n ORDER BY n")
}

// current returns the part that new records go to.
func current(t testing.TB, db outbox.DB) int {
	t.Helper()
	return value[int](t, db, "SELECT last_value FROM tidelock.part")
}

// turn goes on to the next part if there is a record in this one, and empties those behind.
func turn(t testing.TB, db *pgxpool.Pool) {
	t.Helper()
	rotate(t, db, 1)
	clearBehind(t, db)
}

// clearBehind rotates until the parts behind are empty. Once may not do: autovacuum may look at one just then.
func clearBehind(t testing.TB, db *pgxpool.Pool) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool {
		rotate(t, db, 1<<40)
		now := current(t, db)
		for n, bytes := range pages(t, db) {
			if n != now && bytes > 0 {
				return false
			}
		}
		return true
	}, "the parts behind are empty")
}

// TestRotateCarriesWhatWaits: whatever state a record is in, all of it is there after any number of turns.
func TestRotateCarriesWhatWaits(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	const all = "SELECT (to_jsonb(o) - 'part')::text FROM tidelock.outbox o ORDER BY version"
	traced := set("traced", "x")
	traced.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	add(t, db, time.Hour, append(everyKind(), traced)...)
	aside := one(t, db, "aside")
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, aside, "too large")}))
	one(t, db, "leased")
	take(t, db, 10, time.Hour)
	exec(t, db, "UPDATE tidelock.outbox SET again = true WHERE kind = 'invalidate'")
	want := column[string](t, db, all)
	seen := map[int]bool{current(t, db): true}
	for range 4 {
		turn(t, db)
		seen[current(t, db)] = true
		if got := column[string](t, db, all); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("after a turn the outbox holds\n%v\nnot\n%v", got, want)
		}
	}
	if len(seen) < 2 {
		t.Errorf("only the parts %v were in use", seen)
	}
}

// TestRotateLeavesUncommittedRecords: whoever has written to a part and has not committed finds the record there when he has.
func TestRotateLeavesUncommittedRecords(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	tx := begin(t, db)
	version := one(t, tx, "a")
	retire(t, db, one(t, db, "b")) // so that the part has a page
	rotate(t, db, 1)
	if current(t, db) == 0 {
		t.Fatal("new records still go to the first part")
	}
	done := make(chan error, 1)
	go func() { done <- outbox.Rotate(t.Context(), db, 1<<40) }()
	stacktest.Eventually(t, patience, func() bool { return len(done) > 0 || waiting(t, db) > 0 }, "the part was tried")
	must(t, tx.Commit(t.Context()))
	must(t, <-done)
	sameSet(t, "left in the outbox", pending(t, db), []int64{version})
	turn(t, db)
	sameSet(t, "left in the outbox", pending(t, db), []int64{version})
}

// TestRotateHasSpareParts: a part that much waits in is left alone, and the others are used meanwhile.
func TestRotateHasSpareParts(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	const many = 1001
	var used []int
	for range 3 {
		exec(t, db, `INSERT INTO tidelock.outbox (version, key, kind, ttl_ms, allocate, due_at)
			SELECT nextval('tidelock.version_seq'), 'k' || g, 'invalidate', 1000, true, now() FROM generate_series(1, $1) g`, many)
		used = append(used, current(t, db))
		if err := outbox.Rotate(t.Context(), db, 1); errors.Is(err, outbox.ErrNoPart) != (len(used) == 3) {
			t.Errorf("with %d parts in use: %v", len(used), err)
		}
	}
	if fmt.Sprint(used) != "[0 1 2]" || current(t, db) != 2 {
		t.Errorf("the parts %v were used, and then %d", used, current(t, db))
	}
	if got := column[int](t, db, "SELECT count(*)::int FROM tidelock.outbox GROUP BY part ORDER BY part"); fmt.Sprint(got) != "[1001 1001 1001]" {
		t.Errorf("the parts hold %v records", got)
	}
	exec(t, db, "DELETE FROM tidelock.outbox WHERE part <> 2 AND version % 2 = 0") // now few enough are left
	clearBehind(t, db)
	if n := len(pending(t, db)); n != 2001 && n != 2002 {
		t.Errorf("%d records are left", n)
	}
}

// TestRotateLeavesLargeRecords: a few that would soon fill the next part stay where they are, else they would go from part to part for ever.
func TestRotateLeavesLargeRecords(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	db := rig.DB(t)
	payload := make([]byte, most/8)
	_, _ = crand.Read(payload) // compresses badly
	for i := range 3 {
		add(t, db, time.Hour, outbox.Record{Key: fmt.Sprint(i), Kind: outbox.Set, Payload: payload, TTL: time.Hour})
	}
	for range 2 {
		rotate(t, db, most/4) // beyond which the part is
	}
	if got := column[int](t, db, "SELECT DISTINCT part::int FROM tidelock.outbox"); fmt.Sprint(got) != "[0]" || current(t, db) != 1 {
		t.Errorf("the records are in the parts %v, the present one is %d", got, current(t, db))
	}
	retire(t, db, pending(t, db)...)
	clearBehind(t, db)
}

// TestRotateInOldSnapshots: where transactions are REPEATABLE READ by default a part is emptied by a look at what is there now.
func TestRotateInOldSnapshots(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	old := rig.Pool(t, db.Config().ConnString()+"&default_transaction_isolation=repeatable%20read")
	version := one(t, db, "a")
	turn(t, old)
	turn(t, old)
	sameSet(t, "left in the outbox", pending(t, db), []int64{version})
}

// TestOldTransactionCostsNoRoom: what is deleted while a transaction is open that began before does not pile up.
func TestOldTransactionCostsNoRoom(t *testing.T) {
	t.Parallel()
	const most, rounds, each = 64 << 10, 100, 100
	db := rig.DB(t)
	old, err := db.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	defer func() { _ = old.Rollback(context.Background()) }()
	value[int](t, old, "SELECT count(*) FROM tidelock.versions")
	for range rounds {
		exec(t, db, `INSERT INTO tidelock.outbox (version, key, kind, ttl_ms, allocate, due_at)
			SELECT nextval('tidelock.version_seq'), 'k' || g, 'invalidate', 1000, true, now() FROM generate_series(1, $1) g`, each)
		exec(t, db, "DELETE FROM tidelock.outbox")
		rotate(t, db, most)
	}
	turn(t, db)
	var total int64
	for _, bytes := range pages(t, db) {
		total += bytes
	}
	if total > 4*most {
		t.Errorf("the outbox has %d bytes in %v, after %d records", total, pages(t, db), rounds*each)
	}
	value[int](t, old, "SELECT count(*) FROM tidelock.versions")
}

// TestRotateAmidEverything: while the parts are turned as fast as that goes, no record is lost, and none comes back.
func TestRotateAmidEverything(t *testing.T) {
	t.Parallel()
	db := wide(t, rig.DB(t), 12)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var mu sync.Mutex
	var left []int64
	var work sync.WaitGroup
	for w := range 4 {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				tx := begin(t, db)
				key := fmt.Sprint(w, ":", i)
				version := one(t, tx, key)
				time.Sleep(rand.N(20 * time.Millisecond))
				must(t, tx.Commit(t.Context()))
				if i%3 == 0 {
					mu.Lock()
					left = append(left, version)
					mu.Unlock()
					continue
				}
				stacktest.Eventually(t, patience, func() bool {
					done, err := outbox.Retire(t.Context(), db, []outbox.Settled{{Key: key, Version: version}})
					must(t, err)
					return done.Records == 1 // it may have been on its way to another part
				}, "the record is retired")
			}
		})
	}
	work.Go(func() {
		for ctx.Err() == nil {
			taken, err := outbox.Take(t.Context(), db, outbox.Place{}, 0, 100, time.Hour)
			must(t, err)
			must(t, outbox.Release(t.Context(), db, versionsOf(taken), 0))
		}
	})
	turns := 0
	for before := -1; ctx.Err() == nil; {
		if err := outbox.Rotate(t.Context(), db, 1); err != nil && !errors.Is(err, outbox.ErrNoPart) {
			t.Error(err)
		}
		if now := current(t, db); now != before {
			before, turns = now, turns+1
		}
	}
	work.Wait()
	sameSet(t, "left in the outbox", pending(t, db), left)
	if turns < 2 {
		t.Errorf("the parts were turned %d times", turns)
	}
}
