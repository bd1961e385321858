package outbox_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

// office takes the guardian's office for a minute.
func office(t testing.TB, db outbox.DB, holder string) outbox.Office {
	t.Helper()
	return officeFor(t, db, holder, time.Minute)
}

func officeFor(t testing.TB, db outbox.DB, holder string, lease time.Duration) outbox.Office {
	t.Helper()
	o, held, err := outbox.TakeOffice(t.Context(), db, holder, lease)
	if must(t, err); !held {
		t.Fatalf("%s does not get the office", holder)
	}
	return o
}

func safeVersion(t testing.TB, db outbox.DB) int64 {
	t.Helper()
	return value[int64](t, db, "SELECT safe_version FROM tidelock.guardian")
}

func TestOffice(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	first := office(t, db, "first")
	if kept := office(t, db, "first"); kept.Term != first.Term || kept.Origin != kept.Here || kept.History == "" {
		t.Errorf("%+v became %+v, which is no other office", first, kept)
	}
	for _, try := range []string{"first holds it", "somebody else has resigned"} {
		if _, held, err := outbox.TakeOffice(t.Context(), db, "second", time.Minute); held || err != nil {
			t.Errorf("the second guardian has the office, though %s: %v", try, err)
		}
		must(t, outbox.Resign(t.Context(), db, "second"))
	}
	ends := []func(){
		func() { must(t, outbox.Resign(t.Context(), db, "first")) },
		func() { exec(t, db, "UPDATE tidelock.guardian SET until = clock_timestamp() - interval '1 ms'") },   // the lease has ended
		func() { exec(t, db, "UPDATE tidelock.guardian SET until = clock_timestamp() + interval '1 hour'") }, // by another clock
	}
	for i, end := range ends {
		end()
		next := office(t, db, fmt.Sprint("next ", i))
		now, held, err := outbox.Guardian(t.Context(), db)
		if must(t, err); next.Term != first.Term+int64(i)+1 || !held || now.Term != next.Term || now.Holder != next.Holder || now.Database != next.Database {
			t.Errorf("the office is %+v, held: %v; it was taken as %+v after %+v", now, held, next, first)
		}
	}
	if other := office(t, rig.DB(t), "first"); other.Database == first.Database {
		t.Errorf("two databases have the same name: %+v", other)
	}
}

// TestSafeVersionWaits leaves a transaction open that has drawn a version: a standby that is promoted may lack what it commits.
func TestSafeVersionWaits(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	open := begin(t, db)
	drawn := one(t, open, "k")
	for range 5 {
		office(t, db, "guardian")
	}
	if safe := safeVersion(t, db); safe >= drawn {
		t.Errorf("version %d is safe, and the transaction that drew %d is open", safe, drawn)
	}
	must(t, open.Commit(t.Context()))
	stacktest.Eventually(t, patience, func() bool { // transactions of other tests' databases hold it too
		office(t, db, "guardian")
		return safeVersion(t, db) >= drawn
	}, "the version is safe")
}

// TestSafeVersionOfTwoGuardians has a guardian wait for the row that the one before it has changed. When it goes on Postgres gives it the new
// row, with a mark that is younger than its snapshot.
func TestSafeVersionOfTwoGuardians(t *testing.T) {
	t.Parallel()
	db := wide(t, rig.DB(t), 8)
	officeFor(t, db, "first", time.Microsecond)
	open := begin(t, db)
	drawn := one(t, open, "k")
	stacktest.Eventually(t, patience, func() bool { // until the first mark is passed, the next one is not set
		return value[bool](t, db, "SELECT mark_xid <= pg_snapshot_xmin(pg_current_snapshot()) FROM tidelock.guardian")
	}, "the transactions before the mark end")
	first := begin(t, db)
	officeFor(t, first, "first", time.Microsecond)
	if mark := value[int64](t, first, "SELECT mark_version FROM tidelock.guardian"); mark < drawn {
		t.Fatalf("the mark is %d, and %d is drawn", mark, drawn)
	}
	done := make(chan error, 1)
	go func() {
		_, held, err := outbox.TakeOffice(t.Context(), db, "second", time.Minute)
		if err == nil && !held {
			err = errors.New("it does not get the office")
		}
		done <- err
	}()
	awaitWaiting(t, db, 1)
	must(t, first.Commit(t.Context()))
	must(t, <-done)
	if safe := safeVersion(t, db); safe >= drawn {
		t.Errorf("version %d is safe, and the transaction that drew %d is open", safe, drawn)
	}
}

// TestXidsThatComeBack kills Postgres after transactions that were rolled back: nobody flushes for those, and their xids are given out again.
// A canary that was left before must not speak of the transactions that get them. The server flushes seldom of its own accord.
func TestXidsThatComeBack(t *testing.T) {
	t.Parallel()
	pg, err := stack.StartPostgres(t.Context(), stack.PostgresConfig{NoFsync: true, Settings: map[string]string{"autovacuum": "off", "wal_writer_delay": "10s"}})
	must(t, err)
	t.Cleanup(func() { must(t, pg.Close()) })
	_, err = migrations.Up(t.Context(), pg.URL())
	must(t, err)
	for range 5 {
		before, burnt := horizonBeforeCrash(t, pg)
		must(t, errors.Join(pg.Kill(), pg.Start(t.Context())))
		db := rig.Pool(t, pg.URL())
		now := office(t, db, "guardian")
		settled(t, db, "k")
		xid := value[int64](t, db, "SELECT xid::text::bigint FROM tidelock.versions WHERE key = 'k'")
		if xid < before.Xid && now.History == before.History {
			t.Errorf("by the canary left before the crash all below %d is settled; transaction %d came after it", before.Xid, xid)
		}
		if xid <= burnt {
			return
		}
	}
	t.Error("no xid has ever come back")
}

// horizonBeforeCrash uses xids up and returns the horizon, and the last of them.
func horizonBeforeCrash(t testing.TB, pg *stack.Postgres) (mark outbox.Mark, burnt int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pg.URL())
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	office(t, conn, "guardian")
	exec(t, conn, "DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM pg_current_xact_id(); ROLLBACK; END LOOP; END $$")
	mark, _, err = outbox.Horizon(t.Context(), conn, outbox.Mark{})
	must(t, err)
	return mark, value[int64](t, conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1")
}

// TestHorizonIsTheLeast: a transaction that had its xid before others, and drew its version after them, holds the horizon, however many records are between,
// and whatever was read before.
func TestHorizonIsTheLeast(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	tx := begin(t, db)
	xid := value[int64](t, tx, "SELECT pg_current_xact_id()::text::bigint")
	for i := range 150 {
		one(t, db, fmt.Sprint("k", i))
	}
	version := one(t, tx, "late")
	must(t, tx.Commit(t.Context()))
	office(t, db, "guardian")
	horizon := func(last outbox.Mark) outbox.Mark {
		t.Helper()
		mark, _, err := outbox.Horizon(t.Context(), db, last)
		must(t, err)
		return mark
	}
	first := horizon(outbox.Mark{})
	if first.Xid > xid {
		t.Errorf("the horizon is %d while the change of transaction %d waits", first.Xid, xid)
	}
	if again := horizon(first); again != (outbox.Mark{History: first.History, Xid: first.Xid, Lowest: again.Lowest}) || *again.Lowest != *first.Lowest {
		t.Errorf("the horizon is %+v, and then %+v", first, again)
	}
	retire(t, db, version)
	if passed := horizon(first); passed.Xid <= xid {
		t.Errorf("the horizon is %d when what is of transaction %d is settled", passed.Xid, xid)
	} else if again := horizon(passed); again.Xid != passed.Xid {
		t.Errorf("the horizon is %d, and then %d", passed.Xid, again.Xid)
	}
}

// TestMoved leaves a history whose last versions are lost, for one of this database's own or for one that never was.
func TestMoved(t *testing.T) {
	t.Parallel()
	const safe, jump = 40, int64(1) << 32
	for name, c := range map[string]struct {
		foreign     string
		above, more int64 // in doubt of the first server and of the second
		left        int
	}{
		"promoted": {"", safe, 10, 1},
		"foreign":  {"of another database", 0, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rig.DB(t)
			o := office(t, db, "guardian")
			ten := int64(10)
			must(t, outbox.Register(t.Context(), db, o, outbox.Server{Shard: "1", RunID: "a", ReplID: "a"}))
			must(t, outbox.Register(t.Context(), db, o, outbox.Server{Shard: "2", RunID: "b", ReplID: "b", DropAbove: &ten}))
			exec(t, db, "UPDATE tidelock.guardian SET safe_version = $1", safe)
			drawn := one(t, db, "k")
			o.Here = "another timeline"
			for range 2 { // the second time it was noted already
				must(t, outbox.Moved(t.Context(), db, o, c.foreign))
			}
			servers, err := outbox.Servers(t.Context(), db)
			must(t, err)
			for i, want := range []int64{c.above, c.more} {
				if s := servers[i]; s.DropAbove == nil || *s.DropAbove != want || s.Doubts != 2 {
					t.Errorf("on record is %s; want what is above %d to be its second doubt", describe(s), want)
				}
			}
			if next := one(t, db, "k"); next <= drawn+jump || next > drawn+2*jump {
				t.Errorf("version %d was drawn after %d", next, drawn)
			}
			if n := value[int](t, db, "SELECT count(*) FROM tidelock.histories"); n != c.left {
				t.Errorf("%d histories were left, want %d", n, c.left)
			}
			for history, want := range map[string]bool{o.History: true, c.foreign: c.foreign != "", "never heard of": false} {
				if left, err := outbox.Left(t.Context(), db, history); left != want || err != nil {
					t.Errorf("the database has left the history %q: %v, %v", history, left, err)
				}
			}
			if now, _, err := outbox.Guardian(t.Context(), db); now.History == o.History || now.Origin != o.Here || err != nil {
				t.Errorf("the office is %+v, %v", now, err)
			}
		})
	}
}

// TestLeftAt asks what is in doubt of servers that bear canaries of histories that the database has left, or none.
func TestLeftAt(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	leftAt := func(history string) int64 {
		version, err := outbox.LeftAt(t.Context(), db, history)
		if must(t, err); version == nil {
			return -1
		}
		return *version
	}
	if got := []int64{leftAt(""), leftAt("unknown")}; got[0] != -1 || got[1] != 0 {
		t.Errorf("with no history left, versions above %v are in doubt; want none without a mark, all with an unknown one", got)
	}
	exec(t, db, "INSERT INTO tidelock.histories (history, safe_version) VALUES ('one', 30), ('two', 10), ('three', 20)")
	for history, want := range map[string]int64{"one": 10, "two": 10, "three": 20, "": 10, "unknown": 0} {
		if got := leftAt(history); got != want {
			t.Errorf("marked last in history %q, versions above %d are in doubt, want %d", history, got, want)
		}
	}
}

// TestMovedNeedsTheSequence has a guardian work by a role that may do everything but set the sequence.
func TestMovedNeedsTheSequence(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	o := office(t, db, "guardian")
	limited := as(t, db, `GRANT USAGE ON SCHEMA tidelock TO ROLE; GRANT SELECT ON SEQUENCE tidelock.version_seq, tidelock.calls TO ROLE;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidelock TO ROLE`)
	err := outbox.Moved(t.Context(), limited, o, "")
	const denied = "42501"
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != denied || !strings.Contains(err.Error(), "sequence version_seq") {
		t.Errorf("got %v", err)
	}
	if now, _, err := outbox.Guardian(t.Context(), db); err != nil || now.History != o.History {
		t.Errorf("half of it is done: %+v, %v", now, err)
	}
}

// as returns a pool that works by a role of its own, which ROLE stands for in the grants.
func as(t testing.TB, db *pgxpool.Pool, grants string) *pgxpool.Pool {
	t.Helper()
	role := "role_" + strings.ToLower(rand.Text())
	exec(t, db, "CREATE ROLE "+role+" LOGIN")
	t.Cleanup(func() {
		_, err := db.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		must(t, err)
	})
	exec(t, db, strings.ReplaceAll(grants, "ROLE", role))
	u, err := url.Parse(db.Config().ConnString())
	must(t, err)
	u.User = url.User(role)
	return rig.Pool(t, u.String())
}

// TestTrustIsWrittenInOrder: a statement that was sent before another and comes after it does nothing, and neither does one of a former term.
func TestTrustIsWrittenInOrder(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	take := func(who string) outbox.Office {
		o, held, err := outbox.TakeOffice(t.Context(), db, who, time.Millisecond)
		must(t, err)
		if !held {
			t.Fatalf("%s does not get the office", who)
		}
		return o
	}
	write := func(o outbox.Office, number int64, phase string, want bool) {
		t.Helper()
		if stands, err := outbox.WriteTrust(t.Context(), db, o, number, phase, "a test"); err != nil || stands != want {
			t.Errorf("%s as number %d of term %d stands: %t, %v", phase, number, o.Term, stands, err)
		}
	}
	one := take("one")
	write(one, 2, "suspended", true)
	write(one, 4, "trusted", true)
	write(one, 3, "suspended", false)
	write(one, 4, "suspended", false)
	if row, err := outbox.ReadRow(t.Context(), db); err != nil || row.Suspended || row.Suspensions != 1 {
		t.Errorf("the row is %+v, %v", row, err)
	}
	time.Sleep(5 * time.Millisecond)
	two := take("two")
	if two.TrustNo != 4 || two.Former != time.Millisecond {
		t.Errorf("the next office is %+v", two)
	}
	write(one, 5, "suspended", false)
	write(two, 5, "suspended", true)
	if row, err := outbox.ReadRow(t.Context(), db); err != nil || !row.Suspended || row.Suspensions != 2 {
		t.Errorf("the row is %+v, %v", row, err)
	}
}
