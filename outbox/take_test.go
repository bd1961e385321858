package outbox_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
)

func TestTakeKeepsTheNewestOfEachKey(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	for range 3 {
		one(t, db, "a")
	}
	newest := []int64{one(t, db, "a"), one(t, db, "b")}
	got, seen := take(t, db, 10, time.Hour)
	sameSet(t, "claimed", got, newest)
	if seen != 5 {
		t.Errorf("looked at %d records, want 5", seen)
	}
	due := func() {
		exec(t, db, "UPDATE tidelock.outbox SET due_at = now()")
		take(t, db, 10, time.Hour)
	}
	due()
	if got := pending(t, db); len(got) != 5 {
		t.Errorf("left in the outbox while nothing is settled: %v", got)
	}
	retire(t, db, newest[0])
	exec(t, db, "UPDATE tidelock.outbox SET due_at = now()")
	taken, err := outbox.Take(t.Context(), db, outbox.Place{}, 0, 10, time.Hour)
	if must(t, err); taken.Seen != 4 || taken.Deleted != 3 || len(taken.Claims) != 1 || taken.Drawn != newest[1] {
		t.Errorf("once the newest is settled: %+v, want 3 of 4 to be deleted, and %d the latest version drawn", taken, newest[1])
	}
	sameSet(t, "left in the outbox once the newest is settled", pending(t, db), newest[1:])
}

// TestUncommittedSupersedesNothing: the newer version may yet be rolled back.
func TestUncommittedSupersedesNothing(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	version := one(t, db, "a")
	newer := one(t, begin(t, db), "a")
	got, _ := take(t, db, 10, time.Hour)
	if !slices.Equal(got, []int64{version}) {
		t.Errorf("claimed %v, want %d; %d is not committed", got, version, newer)
	}
}

func TestClaimsSayWhatTheRelayNeeds(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	records := everyKind()
	versions := add(t, db, 0, records...)
	taken, err := outbox.Take(t.Context(), db, outbox.Place{}, 0, 10, time.Hour)
	must(t, err)
	want := []outbox.Claim{
		{Version: versions[0], Key: "z", Allocate: true, Size: 3},
		{Version: versions[1], Key: "ключ"},
		{Version: versions[2], Key: "a", Allocate: true, Unknown: true},
		{Version: versions[3], Key: "m"},
	}
	for _, w := range want {
		if !slices.Contains(taken.Claims, w) {
			t.Errorf("claims %+v lack %+v", taken.Claims, w)
		}
	}
}

// TestWalk has a walk meet each record once, from the one due latest on, though many are due at the same time.
func TestWalk(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	var want []int64
	for i, ago := range []int{50, 40, 40, 40, 40, 40, 30, 10, 20} {
		v := one(t, db, fmt.Sprint("k", i))
		exec(t, db, "UPDATE tidelock.outbox SET due_at = current_date - make_interval(secs => $2) WHERE version = $1", v, ago)
		want = append(want, v)
	}
	want[7], want[8] = want[8], want[7]
	slices.Reverse(want)
	var place outbox.Place
	for len(want) > 0 {
		taken, err := outbox.Take(t.Context(), db, place, 0, 2, time.Hour)
		must(t, err)
		n := min(2, len(want))
		sameSet(t, "claimed", versionsOf(taken), want[:n])
		if taken.Seen != n {
			t.Errorf("looked at %d records, want %d", taken.Seen, n)
		}
		place, want = taken.Next, want[n:]
	}
	if taken, err := outbox.Take(t.Context(), db, place, 0, 2, time.Hour); taken.Seen != 0 || err != nil {
		t.Errorf("at the end of the walk: %+v, %v", taken, err)
	}
}

// TestWalkPassesWhatWaits: a record that waits for its key's latest to be settled is in nobody's way.
func TestWalkPassesWhatWaits(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	other := one(t, db, "b")
	for range 5 {
		one(t, db, "a")
	}
	var got []int64
	var place outbox.Place
	for range 3 {
		taken, err := outbox.Take(t.Context(), db, place, 0, 2, time.Hour)
		must(t, err)
		got, place = append(got, versionsOf(taken)...), taken.Next
	}
	if !slices.Contains(got, other) {
		t.Errorf("claimed %v, want also %d, the oldest", got, other)
	}
}

func TestNotDue(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	old, inGrace := add(t, db, time.Hour, set("grace", "x"))[0], add(t, db, time.Hour, set("grace", "y"))[0]
	aside := one(t, db, "aside")
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, aside, "too large")}))
	if got, seen := take(t, db, 10, time.Hour); seen != 0 {
		t.Errorf("claimed %v of %d, want none", got, seen)
	}
	named := func() (versions []int64, seen int) {
		taken, err := outbox.TakeNamed(t.Context(), db, []int64{old, inGrace, aside, 1 << 40}, time.Hour)
		must(t, err)
		return versionsOf(taken), taken.Seen
	}
	got, seen := named()
	if sameSet(t, "claimed by name", got, []int64{inGrace}); seen != 2 {
		t.Errorf("looked at %d records, want the superseded one and the latest", seen)
	}
	if got, seen := named(); len(got) != 0 || seen != 1 {
		t.Errorf("claimed %v of %d, where the latest is a relay's already", got, seen)
	}
}

func TestLeaseAndRelease(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	version := one(t, db, "k")
	claimed := func(lease time.Duration) bool {
		got, _ := take(t, db, 10, lease)
		return slices.Equal(got, []int64{version})
	}
	if !claimed(50 * time.Millisecond) {
		t.Fatal("a record that is due was not claimed")
	}
	stacktest.Eventually(t, patience, func() bool { return claimed(time.Hour) }, "the lease ends")
	if claimed(time.Hour) {
		t.Error("a leased record was claimed")
	}
	must(t, outbox.Release(t.Context(), db, []int64{version}, time.Hour))
	if claimed(time.Hour) {
		t.Error("a record was claimed before its delay was over")
	}
	must(t, outbox.Release(t.Context(), db, []int64{version}, 0))
	if !claimed(time.Hour) {
		t.Error("a released record was not claimed")
	}
	if attempts := value[int](t, db, "SELECT attempts FROM tidelock.outbox"); attempts != 3 {
		t.Errorf("%d attempts, want one for each claim, 3", attempts)
	}
}

// TestTakersPassEachOther: what one taker is busy with, another neither waits for nor gets.
func TestTakersPassEachOther(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	for i := range 4 {
		one(t, db, fmt.Sprint("k", i))
	}
	slow := begin(t, db)
	first, _ := take(t, slow, 2, time.Hour)
	second, _ := take(t, db, 10, time.Hour)
	if len(first) != 2 || len(second) != 2 {
		t.Errorf("claimed %v and %v, want two each", first, second)
	}
	sameSet(t, "claimed", append(first, second...), pending(t, db))
}

func TestNoRecordIsTakenTwice(t *testing.T) {
	t.Parallel()
	const records, takers = 1000, 4
	db := wide(t, rig.DB(t), takers)
	batch := make([]outbox.Record, records)
	for i := range batch {
		batch[i] = set(fmt.Sprint("k", i), "x")
	}
	versions := add(t, db, 0, batch...)
	var mu sync.Mutex
	var all []int64
	var work sync.WaitGroup
	for range takers {
		work.Go(func() {
			for {
				taken, err := outbox.Take(t.Context(), db, outbox.Place{}, 0, 17, time.Hour)
				if err != nil {
					t.Errorf("taking: %v", err)
				}
				if taken.Seen == 0 {
					return // the rest is in the hands of the others
				}
				mu.Lock()
				all = append(all, versionsOf(taken)...)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	sameSet(t, "claimed by all", all, versions)
}

// TestTakeWithinAWindow meets what has come due of late, and leaves the rest to a walk through everything.
func TestTakeWithinAWindow(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	late, early := one(t, db, "late"), one(t, db, "early")
	exec(t, db, "UPDATE tidelock.outbox SET due_at = now() - interval '1 min' WHERE version = $1", early)
	for _, c := range []struct {
		window time.Duration
		want   []int64
	}{{30 * time.Second, []int64{late}}, {30 * time.Second, nil}, {0, []int64{early}}} {
		taken, err := outbox.Take(t.Context(), db, outbox.Place{}, c.window, 10, time.Hour)
		must(t, err)
		sameSet(t, fmt.Sprint("within ", c.window), versionsOf(taken), c.want)
	}
}
