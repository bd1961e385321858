package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

const attachable = `CREATE TABLE planes (id int PRIMARY KEY);
	CREATE TABLE flights (id int PRIMARY KEY, number text NOT NULL DEFAULT '', plane int REFERENCES planes ON DELETE CASCADE);
	INSERT INTO planes VALUES (1), (2);
	INSERT INTO flights VALUES (1, 'TL1', 1), (2, 'TL2', 1), (3, 'TL3', 2);
	CREATE TABLE seats (flight int, seat text, taken boolean NOT NULL DEFAULT false, PRIMARY KEY (flight, seat)) PARTITION BY RANGE (flight);
	CREATE TABLE seats_low (taken boolean NOT NULL DEFAULT false, seat text NOT NULL, flight int NOT NULL);
	ALTER TABLE seats ATTACH PARTITION seats_low FOR VALUES FROM (0) TO (10);
	CREATE TABLE seats_high PARTITION OF seats FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (flight);
	CREATE TABLE seats_higher PARTITION OF seats_high FOR VALUES FROM (10) TO (20);
	INSERT INTO seats VALUES (1, '1A'), (1, '1B'), (11, '1A')`

var (
	flights = outbox.Attachment{Entity: "flight", Table: pgx.Identifier{"public", "flights"}, Prefix: "flight:", Key: "'flight:' || r.id", TTL: time.Minute, Allocate: true}
	seats   = outbox.Attachment{Entity: "seat", Table: pgx.Identifier{"public", "seats"}, Prefix: "seat:", Key: "'seat:' || r.flight || ':' || r.seat"}
)

// attached returns a database with these tables attached.
func attached(t testing.TB, attachments ...outbox.Attachment) *pgxpool.Pool {
	t.Helper()
	db := rig.DB(t)
	exec(t, db, attachable)
	for _, a := range attachments {
		must(t, outbox.Attach(t.Context(), db, a, patience))
	}
	return db
}

// behind lists the keys that are recorded, each with its kind.
func behind(t testing.TB, db outbox.DB) []string {
	t.Helper()
	return column[string](t, db, "SELECT kind || ' ' || key FROM tidelock.outbox ORDER BY key, version")
}

func invalidated(keys ...string) []string {
	for i, key := range keys {
		keys[i] = "invalidate " + key
	}
	return keys
}

// TestAttachedTableRecordsWhoeverWrites runs statements as psql would.
func TestAttachedTableRecordsWhoeverWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"an insert":                 {"INSERT INTO flights VALUES (4), (5)", []string{"flight:4", "flight:5"}},
		"an update":                 {"UPDATE flights SET number = 'x' WHERE id < 3", []string{"flight:1", "flight:2"}},
		"an update of nothing":      {"UPDATE flights SET number = 'x' WHERE id > 9", nil},
		"a change of the key":       {"UPDATE flights SET id = 33 WHERE id = 3", []string{"flight:3", "flight:33"}},
		"a delete":                  {"DELETE FROM flights WHERE id = 2", []string{"flight:2"}},
		"an upsert":                 {"INSERT INTO flights VALUES (1), (4) ON CONFLICT (id) DO UPDATE SET number = 'x'", []string{"flight:1", "flight:4"}},
		"a merge":                   {"MERGE INTO flights f USING (VALUES (1), (7)) AS n (id) ON f.id = n.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (n.id)", []string{"flight:1", "flight:7"}},
		"a cascade":                 {"DELETE FROM planes WHERE id = 1", []string{"flight:1", "flight:2"}},
		"a truncate":                {"TRUNCATE flights", []string{"flight:1", "flight:2", "flight:3"}},
		"a truncate that cascades":  {"TRUNCATE planes CASCADE", []string{"flight:1", "flight:2", "flight:3"}},
		"as a replica":              {"SET session_replication_role = replica; UPDATE flights SET number = 'x' WHERE id = 1; RESET session_replication_role", []string{"flight:1"}},
		"a partitioned table":       {"UPDATE seats SET taken = true", []string{"seat:11:1A", "seat:1:1A", "seat:1:1B"}},
		"a partition":               {"UPDATE seats_low SET taken = true WHERE seat = '1B'", []string{"seat:1:1B"}},
		"a partition's partition":   {"DELETE FROM seats_higher", []string{"seat:11:1A"}},
		"a move between partitions": {"UPDATE seats SET flight = 12 WHERE seat = '1B'", []string{"seat:12:1B", "seat:1:1B"}},
		"partitions truncated":      {"TRUNCATE seats", []string{"seat:11:1A", "seat:1:1A", "seat:1:1B"}},
		"a partition truncated":     {"TRUNCATE seats_high", []string{"seat:11:1A"}},
		"another one's table":       {"INSERT INTO planes VALUES (3)", nil},
		"a key that is too long":    {"INSERT INTO seats VALUES (2, repeat('x', 1017)), (2, repeat('x', 1018))", []string{"seat:2:" + strings.Repeat("x", 1017)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := attached(t, flights, seats)
			exec(t, db, c.sql)
			if got, want := behind(t, db), invalidated(c.want...); !slices.Equal(got, want) {
				t.Errorf("recorded %q, want %q", got, want)
			}
			if n := value[int](t, db, `SELECT count(*) FROM tidelock.outbox o JOIN tidelock.versions v USING (key, version) WHERE due_at <= clock_timestamp()`); n != len(c.want) {
				t.Errorf("%d records are due and their key's latest, want %d", n, len(c.want))
			}
		})
	}
}

// TestAttachedTableIsCopiedTo brings more rows than go into a page of keys.
func TestAttachedTableIsCopiedTo(t *testing.T) {
	t.Parallel()
	const rows = 25_000
	db := attached(t, flights)
	n, err := db.CopyFrom(t.Context(), pgx.Identifier{"flights"}, []string{"id"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{10 + i}, nil }))
	if must(t, err); n != rows {
		t.Fatalf("%d rows were copied", n)
	}
	distinct := value[int](t, db, "SELECT count(DISTINCT key) FROM tidelock.outbox JOIN tidelock.versions USING (key, version) WHERE kind = 'invalidate' AND ttl_ms = 60000 AND allocate")
	if distinct != rows {
		t.Errorf("%d rows are recorded, want %d", distinct, rows)
	}
	exec(t, db, "TRUNCATE flights")
	if got := value[int](t, db, "SELECT count(*) FROM tidelock.outbox"); got != 2*rows+3 {
		t.Errorf("%d records after TRUNCATE, want %d", got, 2*rows+3)
	}
}

// TestAttachedTableOfAMillionRows updates all of it in one statement. It does not run in parallel: a transaction that is open for long holds up other tests, which wait
// for all to end that are older.
func TestAttachedTableOfAMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some ten seconds")
	}
	const rows = 1_000_000
	db := rig.DB(t)
	exec(t, db, attachable)
	exec(t, db, "DELETE FROM flights")
	exec(t, db, "INSERT INTO flights SELECT g FROM generate_series(1, $1) AS g", rows)
	must(t, outbox.Attach(t.Context(), db, flights, patience))
	exec(t, db, "UPDATE flights SET number = 'x'")
	if got := value[int](t, db, "SELECT count(*) FROM tidelock.outbox JOIN tidelock.versions USING (key, version)"); got != rows {
		t.Errorf("%d rows are recorded, want %d", got, rows)
	}
}

// TestRecordsOfOneTransaction: a key is recorded once, unless what recorded it is rolled back.
func TestRecordsOfOneTransaction(t *testing.T) {
	t.Parallel()
	db := attached(t, flights)
	exec(t, db, `BEGIN; UPDATE flights SET number = 'a' WHERE id < 3; SAVEPOINT s; UPDATE flights SET number = 'b'; ROLLBACK TO s;
		UPDATE flights SET number = 'c' WHERE id > 1; UPDATE flights SET number = 'd' WHERE id > 1; COMMIT`)
	if got, want := behind(t, db), invalidated("flight:1", "flight:2", "flight:3"); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	exec(t, db, "UPDATE flights SET number = 'e' WHERE id = 1")
	if got, want := behind(t, db), invalidated("flight:1", "flight:1", "flight:2", "flight:3"); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	exec(t, db, "BEGIN; UPDATE flights SET number = 'f'; ROLLBACK")
	if got := len(behind(t, db)); got != 4 {
		t.Errorf("%d records after a rollback, want 4", got)
	}
}

// TestWriterIsNotRecordedTwice: what a writer declares takes the place of what the triggers have recorded, and what it does not declare stays.
func TestWriterIsNotRecordedTwice(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(t testing.TB, tx pgx.Tx, strict outbox.Strict, records []outbox.Record){
		"Append": func(t testing.TB, tx pgx.Tx, strict outbox.Strict, records []outbox.Record) {
			var b pgx.Batch
			outbox.Append(&b, records, time.Hour, strict)
			must(t, tx.SendBatch(t.Context(), &b).Close())
		},
		"Lock and Insert": func(t testing.TB, tx pgx.Tx, strict outbox.Strict, records []outbox.Record) {
			var keys []string
			for _, r := range records {
				keys = append(keys, r.Key)
			}
			locked, err := outbox.Lock(t.Context(), tx, keys, strict)
			must(t, err)
			var b pgx.Batch
			locked.Insert(&b, records, time.Hour)
			must(t, tx.SendBatch(t.Context(), &b).Close())
		},
	} {
		for _, declared := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s of %d", name, declared), func(t *testing.T) {
				t.Parallel()
				db := attached(t, flights)
				exec(t, db, "UPDATE flights SET number = 'before' WHERE id = 1")
				tx := begin(t, db)
				exec(t, tx, "UPDATE flights SET number = 'x'")
				write(t, tx, readStrict(t, db), []outbox.Record{set("flight:1", "x"), set("flight:2", "x")}[:declared])
				must(t, tx.Commit(t.Context()))
				want := []string{"invalidate flight:1", "set flight:1", "invalidate flight:2", "invalidate flight:3"}
				if declared == 2 {
					want[2] = "set flight:2"
				}
				if got := behind(t, db); !slices.Equal(got, want) {
					t.Errorf("recorded %q, want %q", got, want)
				}
			})
		}
	}
}

// TestRowThatChangesAgainIsInvalidated: a value that was read from a row before something else in its transaction changed that once more, a trigger of another
// table, say, or another Put of the group, must not come to the cache.
func TestRowThatChangesAgainIsInvalidated(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 1} {
		db := attached(t, flights)
		tx := begin(t, db)
		exec(t, tx, "UPDATE flights SET number = 'x'")
		exec(t, tx, "UPDATE flights SET number = 'y' WHERE id = 1")
		records := []outbox.Record{set("flight:1", "x"), set("flight:2", "x")}[:1+others]
		var b pgx.Batch
		outbox.Append(&b, records, time.Hour, readStrict(t, db))
		must(t, tx.SendBatch(t.Context(), &b).Close())
		must(t, tx.Commit(t.Context()))
		if r := records[0]; r.Kind != outbox.Invalidate || r.Payload != nil {
			t.Errorf("the record that was written is %+v, want an invalidation", r)
		}
		want := []string{"invalidate flight:1", "invalidate flight:2", "invalidate flight:3"}
		if others > 0 {
			want[1] = "set flight:2"
		}
		if got := behind(t, db); !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q", got, want)
		}
	}
}

// TestSerializableWritersOfOtherRows do not depend on each other, though what they record stands in one small table.
func TestSerializableWritersOfOtherRows(t *testing.T) {
	t.Parallel()
	db := attached(t)
	exec(t, db, "INSERT INTO flights SELECT g FROM generate_series(10, 3000) g; ANALYZE")
	must(t, outbox.Attach(t.Context(), db, flights, patience))
	exec(t, db, "UPDATE flights SET number = 'x'; DELETE FROM tidelock.outbox; UPDATE flights SET number = 'z' WHERE id = 1; ANALYZE")
	a, err := db.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable})
	must(t, err)
	defer a.Rollback(context.Background())
	b, err := db.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.Serializable})
	must(t, err)
	defer b.Rollback(context.Background())
	exec(t, a, "UPDATE flights SET number = 'a' WHERE id = 20")
	exec(t, b, "UPDATE flights SET number = 'b' WHERE id = 2900")
	must(t, a.Commit(t.Context()))
	must(t, b.Commit(t.Context()))
}

// TestWhoeverWritesNeedsNoRights: nor can they do with the functions what the triggers do.
func TestWhoeverWritesNeedsNoRights(t *testing.T) {
	t.Parallel()
	db := attached(t, flights)
	role := pgx.Identifier{"stranger_" + value[string](t, db, "SELECT current_database()")}.Sanitize()
	exec(t, db, "CREATE ROLE "+role)
	t.Cleanup(func() { _, _ = db.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role) })
	exec(t, db, "GRANT ALL ON flights, planes TO "+role)
	conn, err := db.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	exec(t, conn, "SET ROLE "+role)
	exec(t, conn, "SET synchronous_commit = off; SET standard_conforming_strings = off; BEGIN; INSERT INTO flights VALUES (4)")
	if got := value[string](t, conn, "SHOW synchronous_commit"); got != "on" {
		t.Errorf("synchronous_commit is %s: a crash could take back what the cache has seen", got)
	}
	exec(t, conn, "COMMIT; TRUNCATE flights; RESET synchronous_commit; RESET standard_conforming_strings")
	for _, sql := range []string{"SELECT tidelock.record_behind('{flight:9}', 1000, true)", "SELECT * FROM tidelock.outbox", `CREATE TABLE mine (id int);
		CREATE TRIGGER t AFTER INSERT ON mine REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tidelock."attached flight"()`} {
		if _, err := conn.Exec(t.Context(), sql); err == nil {
			t.Errorf("a stranger may run %s", sql)
		}
	}
	exec(t, conn, "RESET ROLE")
	if got, want := behind(t, db), invalidated("flight:1", "flight:2", "flight:3", "flight:4", "flight:4"); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

// TestTruncateOfWhatCannotBeSeen: in an older snapshot TRUNCATE would remove rows that the trigger cannot enumerate.
func TestTruncateOfWhatCannotBeSeen(t *testing.T) {
	t.Parallel()
	db := attached(t, flights)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		err := pgx.BeginTxFunc(t.Context(), db, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
			if n := value[int](t, tx, "SELECT count(*) FROM flights"); n != 3 {
				t.Errorf("%d flights at first, want 3", n)
			}
			exec(t, db, "INSERT INTO flights VALUES (4)")
			_, err := tx.Exec(t.Context(), "TRUNCATE flights")
			return err
		})
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(e.Message, "may remove rows that it cannot see") {
			t.Errorf("TRUNCATE in a transaction that is %s: %v", level, err)
		}
		exec(t, db, "DELETE FROM flights WHERE id = 4")
	}
}

// TestAttachWaitsForWriters: a transaction that has written already would commit what nothing recorded.
func TestAttachWaitsForWriters(t *testing.T) {
	t.Parallel()
	db := wide(t, attached(t), 8)
	tx := begin(t, db)
	exec(t, tx, "UPDATE flights SET number = 'x'")
	err := outbox.Attach(t.Context(), db, flights, 50*time.Millisecond)
	if !errors.Is(err, outbox.ErrTableBusy) {
		t.Errorf("attaching a table that is written to: %v", err)
	}
	if list, err := outbox.AttachedTables(t.Context(), db); err != nil || len(list) != 0 {
		t.Errorf("it is attached: %v, %v", list, err)
	}
	attaching := make(chan error)
	go func() { attaching <- outbox.Attach(context.WithoutCancel(t.Context()), db, flights, patience) }()
	awaitWaiting(t, db, 1)
	must(t, tx.Commit(t.Context()))
	must(t, <-attaching)
	exec(t, db, "UPDATE flights SET number = 'y' WHERE id = 1")
	if got, want := behind(t, db), invalidated("flight:1"); !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

// TestStrictOrAttached declares prefixes that overlap with those of an attached table, before, after and at once.
func TestStrictOrAttached(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "fl", "flight:", "flight:1"} {
		db := attached(t, flights)
		if err := outbox.DeclareStrict(t.Context(), db, prefix); !errors.Is(err, outbox.ErrStrictOrAttached) {
			t.Errorf("declaring %q strict: %v", prefix, err)
		}
		if _, err := outbox.Detach(t.Context(), db, "flight", patience); err != nil {
			t.Error(err)
		}
		must(t, outbox.DeclareStrict(t.Context(), db, prefix))
		if err := outbox.Attach(t.Context(), db, flights, patience); !errors.Is(err, outbox.ErrStrictOrAttached) {
			t.Errorf("attaching while %q is strict: %v", prefix, err)
		}
	}
	db := attached(t, flights)
	must(t, outbox.DeclareStrict(t.Context(), db, "seat:"))
	must(t, outbox.Attach(t.Context(), db, flights, patience))

	db = wide(t, attached(t), 8)
	var work sync.WaitGroup
	var failed [2]error
	work.Go(func() { failed[0] = outbox.DeclareStrict(t.Context(), db, "f") })
	work.Go(func() { failed[1] = outbox.Attach(t.Context(), db, flights, patience) })
	work.Wait()
	if (failed[0] == nil) == (failed[1] == nil) {
		t.Errorf("both at once: %v", failed)
	}
}

// TestAttachedTablesAreListed through the life of one.
func TestAttachedTablesAreListed(t *testing.T) {
	t.Parallel()
	db := attached(t, seats)
	expect := func(what string, missing ...string) outbox.Attached {
		t.Helper()
		list, err := outbox.AttachedTables(t.Context(), db)
		if must(t, err); len(list) != 1 || list[0].Entity != "seat" || !slices.Equal(list[0].Missing, missing) {
			t.Fatalf("%s: %+v", what, list)
		}
		return list[0]
	}
	if a := expect("attached"); a.Table != "seats" || a.Prefix != "seat:" || a.Gone || time.Since(a.Since) > time.Hour {
		t.Errorf("attached: %+v", a)
	}
	exec(t, db, "CREATE TABLE seats_top PARTITION OF seats FOR VALUES FROM (20) TO (30)")
	exec(t, db, `ALTER TABLE seats_low DISABLE TRIGGER "tidelock seat delete"`)
	expect("a new partition", "public.seats_low", "public.seats_top")
	must(t, outbox.Attach(t.Context(), db, seats, patience))
	expect("attached again")
	moved := seats
	moved.Table = pgx.Identifier{"flights"}
	moved.Key = "'seat:' || r.id"
	must(t, outbox.Attach(t.Context(), db, moved, patience))
	exec(t, db, "UPDATE seats SET taken = true; UPDATE flights SET number = 'x' WHERE id = 1")
	if got, want := behind(t, db), invalidated("seat:1"); !slices.Equal(got, want) {
		t.Errorf("after the entity's move: recorded %q, want %q", got, want)
	}
	must(t, outbox.Attach(t.Context(), db, seats, patience))
	for version, err := int64(0), error(nil); err == nil; {
		if version, err = migrations.Down(t.Context(), db.Config().ConnString()); err == nil && version <= 8 || err != nil && !strings.Contains(err.Error(), "tidelock detach") {
			t.Fatalf("while a table is attached the migration %d is taken back: %v", version, err)
		}
	}
	_, err := migrations.Up(t.Context(), db.Config().ConnString())
	must(t, err)
	exec(t, db, "DROP TABLE seats")
	if a := expect("dropped"); !a.Gone {
		t.Errorf("dropped: %+v", a)
	}
	was, err := outbox.Detach(t.Context(), db, "seat", patience)
	again, errAgain := outbox.Detach(t.Context(), db, "seat", patience)
	if err != nil || errAgain != nil || !was || again {
		t.Errorf("detached: %t, %v; again: %t, %v", was, err, again, errAgain)
	}
}

// TestAttachRefuses says why.
func TestAttachRefuses(t *testing.T) {
	t.Parallel()
	db := attached(t)
	exec(t, db, "CREATE TABLE taken (id int)")
	must(t, outbox.Attach(t.Context(), db, outbox.Attachment{Entity: "taken", Table: pgx.Identifier{"taken"}, Prefix: "taken:", Key: "'taken:' || r.id"}, patience))
	for name, change := range map[string]func(a *outbox.Attachment){
		"a long name":      func(a *outbox.Attachment) { a.Entity = strings.Repeat("x", 41) },
		"no such table":    func(a *outbox.Attachment) { a.Table = pgx.Identifier{"flightz"} },
		"no such column":   func(a *outbox.Attachment) { a.Key = "'f:' || r.idd" },
		"another entity":   func(a *outbox.Attachment) { a.Entity, a.Table = "sea", pgx.Identifier{"taken"} },
		"a dollar's quote": func(a *outbox.Attachment) { a.Key = `'f:' || r."$tidelock$"` },
	} {
		a := flights
		change(&a)
		if err := outbox.Attach(t.Context(), db, a, patience); err == nil {
			t.Errorf("%s: it is attached", name)
		}
	}
	if n := value[int](t, db, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'tidelock%'"); n != 4 {
		t.Errorf("there are %d triggers, want the four of the table that is attached", n)
	}
}
