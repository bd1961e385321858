package outbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

// server is a server of the cache without shards, in doubt from a transaction on.
func server(id string, from int64) outbox.Server {
	return outbox.Server{RunID: id, ReplID: "of " + id, RepairFrom: &from}
}

// register puts a server on record and returns what stands there.
func register(t testing.TB, db outbox.DB, o outbox.Office, s outbox.Server) outbox.Server {
	t.Helper()
	must(t, outbox.Register(t.Context(), db, o, s))
	return onRecord(t, db)
}

// onRecord returns the one server on record, as both of the statements that tell have it.
func onRecord(t testing.TB, db outbox.DB) outbox.Server {
	t.Helper()
	servers, err := outbox.Servers(t.Context(), db)
	must(t, err)
	_, same, err := outbox.Horizon(t.Context(), db, outbox.Mark{})
	must(t, err)
	if len(servers) != 1 || len(same) != 1 || describe(servers[0]) != describe(same[0]) {
		t.Fatalf("on record are %+v or %+v", servers, same)
	}
	return servers[0]
}

func describe(s outbox.Server) string {
	number := func(n *int64) string {
		if n == nil {
			return "nothing"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprint(s.Shard, s.RunID, s.ReplID, s.Doubts, s.Looked, s.Since.UnixMicro(), s.Repaired != nil, number(s.RepairFrom), number(s.DropAbove))
}

// TestRepairOfAFormerLife has a server that is being repaired be replaced by another one for a moment, on which a write is settled.
// Nobody tells the server of that write, so the repair that was begun before must not end its new doubt.
func TestRepairOfAFormerLife(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	o := office(t, db, "guardian")
	former := register(t, db, o, server("a", 1))
	seen := changed(t, db, 1)
	register(t, db, o, server("b", 1))
	version := one(t, db, "k")
	if done, err := outbox.Retire(t.Context(), db, []outbox.Settled{{Key: "k", Version: version, Server: "b"}}); done.Records != 1 || err != nil {
		t.Fatalf("%d records were retired, %v", done.Records, err)
	}
	now := register(t, db, o, server("a", 1))
	must(t, outbox.Repaired(t.Context(), db, former))
	if after := onRecord(t, db); !after.Doubt() && seen["k"] < version {
		t.Error("the server counts as repaired, and nobody will tell it of what was settled on the other")
	}
	stranger := now
	stranger.RunID = "b"
	must(t, outbox.Repaired(t.Context(), db, stranger))
	if after := onRecord(t, db); !after.Doubt() {
		t.Error("the repair of another server has ended the doubt")
	}
	must(t, outbox.Repaired(t.Context(), db, now))
	if after := onRecord(t, db); after.Doubt() || after.Repaired == nil {
		t.Errorf("after its own repair the server is %+v", after)
	}
}

// changed returns what was changed by transactions from xid on, read in pages of two.
func changed(t testing.TB, db outbox.DB, xid int64) map[string]int64 {
	t.Helper()
	const page = 2
	all := make(map[string]int64)
	must(t, outbox.Changed(t.Context(), db, xid, page, func(versions map[string]int64) error {
		if len(versions) == 0 || len(versions) > page {
			t.Errorf("a page has %d keys", len(versions))
		}
		for key, version := range versions {
			if _, twice := all[key]; twice {
				t.Errorf("%s comes twice", key)
			}
			all[key] = version
		}
		return nil
	}))
	return all
}

func TestChanged(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	versions := make(map[string]int64)
	for _, key := range []string{"a", "b", "c", "d", "b"} {
		versions[key] = one(t, db, key)
	}
	for key, want := range map[string]int{"a": 4, "c": 3, "d": 2, "b": 1} {
		got := changed(t, db, value[int64](t, db, "SELECT xid::text::bigint FROM tidelock.versions WHERE key = $1", key))
		if len(got) != want || got[key] != versions[key] || got["b"] != versions["b"] {
			t.Errorf("since the change of %s: %v of %v, want %d", key, got, versions, want)
		}
	}
}

// TestDoubtsAddUp has a server be replaced before it is repaired: what its successor does not have may lack from either.
func TestDoubtsAddUp(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	o := office(t, db, "guardian")
	first := server("a", 100)
	must(t, outbox.Looked(t.Context(), db, register(t, db, o, first), 17))
	if looked := onRecord(t, db).Looked; looked != 17 {
		t.Errorf("the repair has looked at %d keys", looked)
	}
	seven, nine := int64(7), int64(9)
	for i, s := range []outbox.Server{
		{RunID: "b", RepairFrom: first.RepairFrom, DropAbove: &nine},
		{RunID: "c", DropAbove: &seven},
		server("d", 50),
	} {
		got := register(t, db, o, s)
		if got.RunID != s.RunID || got.Doubts != int64(i+2) || got.Looked != 0 || got.RepairFrom == nil || got.DropAbove == nil {
			t.Errorf("on record is %+v after %+v", got, s)
		}
	}
	if got := onRecord(t, db); *got.RepairFrom != 50 || *got.DropAbove != 7 {
		t.Errorf("in doubt is what changed since %d, and above version %d", *got.RepairFrom, *got.DropAbove)
	}
}

// TestTermIsOver has a guardian write after the next one's term has begun.
func TestTermIsOver(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	old := office(t, db, "old")
	register(t, db, old, server("a", 1))
	must(t, outbox.Resign(t.Context(), db, "old"))
	now := office(t, db, "new")
	state := func() string {
		return value[string](t, db, `SELECT concat(g, (SELECT array_agg(s) FROM tidelock.servers s), (SELECT array_agg(h) FROM tidelock.histories h),
			(SELECT last_value FROM tidelock.version_seq)) FROM tidelock.guardian g`)
	}
	before, impostor := state(), old
	impostor.Term = now.Term // another holder of the same term
	for _, o := range []outbox.Office{old, impostor} {
		must(t, outbox.Register(t.Context(), db, o, server("b", 1)))
		must(t, outbox.Unlist(t.Context(), db, o, []string{"another shard"}))
		must(t, outbox.Moved(t.Context(), db, o, "foreign"))
		if after := state(); after != before {
			t.Fatalf("%s became %s", before, after)
		}
	}
	must(t, outbox.Unlist(t.Context(), db, now, []string{"", "another shard"}))
	onRecord(t, db)
	must(t, outbox.Unlist(t.Context(), db, now, []string{"another shard"}))
	if servers, err := outbox.Servers(t.Context(), db); len(servers) != 0 || err != nil {
		t.Errorf("on record are %+v, %v", servers, err)
	}
}

// TestRegisteringHoldsTheOffice has the next guardian's term begin only when a registration of the one before it is done.
func TestRegisteringHoldsTheOffice(t *testing.T) {
	t.Parallel()
	db := wide(t, rig.DB(t), 8)
	old := officeFor(t, db, "old", time.Microsecond)
	tx := begin(t, db)
	must(t, outbox.Register(t.Context(), tx, old, server("a", 1)))
	taken := make(chan error, 1)
	go func() {
		_, _, err := outbox.TakeOffice(t.Context(), db, "new", time.Minute)
		taken <- err
	}()
	awaitWaiting(t, db, 1)
	must(t, tx.Commit(t.Context()))
	must(t, <-taken)
	if got := register(t, db, old, server("b", 1)); got.RunID != "a" {
		t.Errorf("on record is %+v", got)
	}
}

// TestSettledOnRecord tells what was settled on the server on record, on another one, and on one that did not say its name.
func TestSettledOnRecord(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, outbox.DB, []outbox.Settled){
		"retire": func(t *testing.T, db outbox.DB, settled []outbox.Settled) {
			before := len(pending(t, db))
			done, err := outbox.Retire(t.Context(), db, settled)
			if must(t, err); before-int(done.Records) != len(pending(t, db)) {
				t.Errorf("%d were retired of %d", done.Records, before)
			}
		},
		"set aside": func(t *testing.T, db outbox.DB, settled []outbox.Settled) {
			must(t, outbox.SetAside(t.Context(), db, settled))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rig.DB(t)
			records := func() (settled []outbox.Settled) {
				for _, id := range []string{"a", "another", ""} {
					key := "of " + id
					settled = append(settled, outbox.Settled{Key: key, Version: one(t, db, key), Server: id, Reason: "a reason"})
				}
				return settled
			}
			end(t, db, records())
			sameSet(t, "with no server on record these are left", pending(t, db), nil)
			register(t, db, office(t, db, "guardian"), server("a", 1))
			settled := records()
			end(t, db, settled)
			sameSet(t, "with a server on record these are left", pending(t, db), []int64{settled[1].Version, settled[2].Version})
			lost := outbox.Settled{Key: "lost", Version: one(t, db, "drawn again"), Server: "a", Reason: "a reason"}
			end(t, db, []outbox.Settled{lost})
			sameSet(t, "a change that was lost leaves that which has its version now", pending(t, db), []int64{settled[1].Version, settled[2].Version, lost.Version})
		})
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	exec(t, db, "UPDATE tidelock.floor SET version = 5")
	exec(t, db, "INSERT INTO tidelock.versions VALUES ('a', 10, '1'), ('b', 10, '1'), ('c', 10, '1')")
	lost, err := outbox.Lost(t.Context(), db, []outbox.Settled{
		{Key: "a", Version: 9}, {Key: "b", Version: 10}, {Key: "pruned", Version: 5}, // known
		{Key: "c", Version: 11}, {Key: "unknown", Version: 6},
	})
	if must(t, err); len(lost) != 2 || lost[0].Version+lost[1].Version != 17 {
		t.Errorf("lost are %+v, want versions 11 and 6", lost)
	}
}

// TestKeptHorizons looks up where the horizon stood in the past.
func TestKeptHorizons(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	o := office(t, db, "guardian")
	now := value[time.Time](t, db, "SELECT clock_timestamp()")
	exec(t, db, `INSERT INTO tidelock.horizons (at, history, xid) VALUES ($1::timestamptz - interval '3 hours', $2, '100'),
		($1::timestamptz - interval '1 hour', $2, '200'), ($1::timestamptz - interval '30 minutes', 'another', '300')`, now, o.History)
	for range 2 { // once a minute
		must(t, outbox.KeepHorizon(t.Context(), db, outbox.Mark{History: o.History, Xid: 400}, 2*time.Hour))
	}
	for ago, want := range map[time.Duration]int64{-time.Hour: 400, time.Minute: 200, 59 * time.Minute: 200, 61 * time.Minute: 0, 4 * time.Hour: 0} {
		if xid, known, err := outbox.Since(t.Context(), db, now.Add(-ago)); xid != want || known != (want > 0) || err != nil {
			t.Errorf("%v ago the horizon stood at %d, known: %v, %v; want %d", ago, xid, known, err, want)
		}
	}
	if n := value[int](t, db, "SELECT count(*) FROM tidelock.horizons"); n != 3 {
		t.Errorf("%d horizons are kept", n)
	}
}
