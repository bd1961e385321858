package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/verify"
	"github.com/tidelock-cache/tidelock/writer"
)

// fleet is a site with a table of boats, declared as an entity.
type fleet struct {
	*site
	boats  *entity.Entity
	reader *reader.Raw
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{site: newSite(t)}
	cfg := f.db.Config()
	entity.Tune(cfg)
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	f.db = pool
	f.exec("CREATE TABLE boats (id int PRIMARY KEY, name text NOT NULL)")
	f.boats = f.entity("boats")
	f.reader, err = reader.NewRaw(reader.Config{DB: f.db, Cache: f.cache, Load: func(ctx context.Context, keys []string) (map[string][]byte, error) {
		return f.boats.Load(ctx, f.db, keys)
	}})
	must(t, err)
	t.Cleanup(f.reader.Close)
	return f
}

// entity declares a table whose rows have a name.
func (f *fleet) entity(table string) *entity.Entity {
	f.t.Helper()
	file, err := entity.Parse("fleet.yaml", fmt.Appendf(nil, "entities:\n  %[1]s: {table: %[1]s, key: id, cache: '%[2]s:%[1]s:{id}', columns: name}\n", table, f.prefix))
	must(f.t, err)
	all, err := file.Check(f.t.Context(), f.db)
	must(f.t, err)
	return all[0]
}

func (f *fleet) exec(sql string, args ...any) {
	f.t.Helper()
	_, err := f.db.Exec(f.t.Context(), sql, args...)
	must(f.t, err)
}

func (f *fleet) boat(id int) string { return f.boats.CacheKey([]string{fmt.Sprint(id)}) }

// name writes a boat's name as "tidelock serve" does.
func (f *fleet) name(ctx context.Context, w *writer.Writer, id int, name string) error {
	of := []string{fmt.Sprint(id)}
	row, err := f.boats.Row(of, fmt.Appendf(nil, `{"name": %q}`, name), true)
	if err != nil {
		return err
	}
	statement := f.boats.Put(of, row)
	_, err = w.Put(ctx, writer.Put{Key: f.boat(id), SQL: statement.SQL, Args: statement.Args})
	return err
}

// sink deletes a boat, which must be there.
func (f *fleet) sink(ctx context.Context, w *writer.Writer, id int) error {
	statement := f.boats.Delete([]string{fmt.Sprint(id)})
	_, err := w.Put(ctx, writer.Put{Key: f.boat(id), SQL: statement.SQL, Args: statement.Args, Kind: outbox.Absent})
	return err
}

// read has the cache hold what there is of a boat, and returns it.
func (f *fleet) read(id int) string {
	f.t.Helper()
	payload, err := f.reader.Get(f.t.Context(), f.boat(id))
	if err != nil && !errors.Is(err, reader.ErrNotFound) {
		f.t.Fatal(err)
	}
	return string(payload.Bytes)
}

func (f *fleet) byValue(c *verify.Config) { c.Rows = []verify.Rows{f.boats} }

// soon ends what follows records that wait.
func soon(c *verify.Config) { *c = c.Shortened(50 * time.Millisecond) }

// TestRowsBehindTheBack changes, deletes and inserts rows by hand: of keys that were written, and of keys that were only ever read.
func TestRowsBehindTheBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.exec("INSERT INTO boats SELECT n, 'read' FROM generate_series(11, 15) n")
	for id := range 10 {
		must(t, f.name(t.Context(), f.writer, id, "written"))
		f.read(11 + id) // half of them are not there
	}
	must(t, f.sink(t.Context(), f.writer, 9))
	f.settled()
	f.hold(f.prefix+":boats:007", 3) // not a key of the entity: another spelling
	if r := f.verify(f.byValue); r.Values != 20 || r.Differing != 0 || len(r.Unread) != 0 {
		t.Errorf("with nothing wrong: %+v", r)
	}
	f.exec("UPDATE boats SET name = 'by hand' WHERE id IN (1, 11)")
	f.exec("DELETE FROM boats WHERE id IN (2, 12)")
	f.exec("INSERT INTO boats VALUES (9, 'by hand'), (19, 'by hand')")
	want := map[verify.Kind]int64{verify.Changed: 2, verify.Deleted: 2, verify.Inserted: 2}
	if r := f.verify(); r.Differing != 0 {
		t.Errorf("going by versions alone: %+v", r)
	}
	if r := f.verify(f.byValue); !maps.Equal(r.ByKind, want) || r.Differing != 6 || r.ByKey[0].Late != 0 {
		t.Errorf("with rows changed by hand: %+v", r)
	}
	if r := f.verify(f.byValue, fix); !maps.Equal(r.ByKind, want) || !r.Differences[5].Fixed {
		t.Errorf("fixing them: %+v", r)
	}
	f.settled() // by the fix itself: there is no relay
	if r := f.verify(f.byValue); r.Differing != 0 || r.Values != 14 {
		t.Errorf("fixed: %+v", r)
	}
	for id, want := range map[int]string{1: `{"id":1,"name":"by hand"}`, 2: "", 9: `{"id":9,"name":"by hand"}`, 12: "", 19: `{"id":19,"name":"by hand"}`} {
		if got := f.read(id); got != want {
			t.Errorf("boat %d is read as %q, want %q", id, got, want)
		}
	}
	if r := f.verify(f.byValue); r.Differing != 0 || r.Values != 19 {
		t.Errorf("read again: %+v", r)
	}
}

// TestFixOutlastsAnOutage fixes while the cache takes no changes: the record is left to a relay.
func TestFixOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	server := stacktest.OwnValkey(t)
	f.cache, f.valkey = rig.Cache(t, server.URL()), rig.Valkey(t, server.URL())
	allow := func(rule string) {
		must(t, f.valkey.Do(t.Context(), f.valkey.B().Arbitrary("ACL", "SETUSER", "default", rule).Build()).Error())
	}
	must(t, f.name(t.Context(), rig.Writer(t, writer.Config{DB: f.db, Cache: f.cache}), 1, "written"))
	f.settled()
	f.exec("UPDATE boats SET name = 'by hand'")
	rows := &disturbed{Rows: f.boats, inside: func() { allow("-set") }}
	if r := f.verify(fix, func(c *verify.Config) { c.Rows = []verify.Rows{rows} }); r.ByKind[verify.Changed] != 1 || !r.Differences[0].Fixed {
		t.Errorf("fixing what cannot be changed: %+v", r)
	}
	counts, err := outbox.Count(t.Context(), f.db)
	if must(t, err); counts.Pending != 1 {
		t.Errorf("%d records wait for a relay, want 1", counts.Pending)
	}
	allow("+set")
	if r := f.verify(f.byValue, soon); r.Differing != 0 || r.Waiting != 1 {
		t.Errorf("while the record waits: %+v", r)
	}
}

// disturbed does something right before the rows are read for the second time, in the snapshot.
type disturbed struct {
	verify.Rows
	first  func(rows map[string][]byte) // alters what is read for the first time
	inside func()
	after  bool // or right after that
}

func (d *disturbed) Load(ctx context.Context, db outbox.DB, keys []string) (map[string][]byte, error) {
	_, inside := db.(pgx.Tx)
	if inside && !d.after {
		d.inside()
	}
	rows, err := d.Rows.Load(ctx, db, keys)
	if inside && d.after {
		d.inside()
	}
	if !inside && d.first != nil {
		d.first(rows)
	}
	return rows, err
}

// TestRowOfAnotherMoment has a row be written right between the look at its version and the look at itself. The cache has not heard of it yet.
func TestRowOfAnotherMoment(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	must(t, f.name(t.Context(), f.writer, 1, "one"))
	f.settled()
	deaf := rig.Writer(t, writer.Config{DB: f.db, Cache: rig.Cache(t, "valkey://127.0.0.1:1")})
	disturbances := 0
	rows := &disturbed{Rows: f.boats, first: func(rows map[string][]byte) { clear(rows) }, inside: func() {
		disturbances++
		must(t, f.name(t.Context(), deaf, 1, "two"))
	}}
	if r := f.verify(func(c *verify.Config) { c.Rows = []verify.Rows{rows} }); r.Differing != 0 || disturbances != 1 {
		t.Errorf("%d times a write came between: %+v", disturbances, r)
	}
}

// TestMendedMeanwhile has somebody who changes a row by hand delete the entry afterwards, as he should, while they are compared.
func TestMendedMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	must(t, f.name(t.Context(), f.writer, 1, "one"))
	f.settled()
	f.exec("UPDATE boats SET name = 'by hand'")
	mended := 0
	rows := &disturbed{Rows: f.boats, after: true, inside: func() {
		mended++
		must(t, f.cache.Drop(t.Context(), f.boat(1)))
	}}
	if r := f.verify(func(c *verify.Config) { c.Rows = []verify.Rows{rows} }); r.Differing != 0 || mended != 1 {
		t.Errorf("%d times the entry was deleted meanwhile: %+v", mended, r)
	}
}

// TestValueThatWaits has a record wait for a key, and then a server be repaired.
func TestValueThatWaits(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	must(t, f.name(t.Context(), f.writer, 1, "one"))
	f.exec("INSERT INTO boats VALUES (2, 'read')")
	f.read(2)
	f.settled()
	f.exec("UPDATE boats SET name = 'by hand'")
	f.exec("INSERT INTO tidelock.outbox (version, key, kind, ttl_ms, allocate, due_at) VALUES (1 << 30, $1, 'invalidate', 1000, false, 'infinity')", f.boat(1))
	if r := f.verify(f.byValue); r.ByKind[verify.Changed] != 1 || r.Differences[0].Key != f.boat(2) {
		t.Errorf("while a record of one of them waits: %+v", r)
	}
	f.exec("DELETE FROM tidelock.outbox")
	f.exec("INSERT INTO tidelock.servers (shard, run_id, repl_id, repair_from) VALUES ('', 'a', 'a', '0')")
	if r := f.verify(f.byValue); r.Differing != 0 {
		t.Errorf("while the server is repaired: %+v", r)
	}
	f.exec("UPDATE tidelock.servers SET repair_from = NULL")
	if r := f.verify(f.byValue); r.ByKind[verify.Changed] != 2 {
		t.Errorf("with nothing to wait for: %+v", r)
	}
}

// TestValuesUnderTraffic compares a thousand keys by value while they are written, deleted, read and evicted, with a relay at work and a writer whom the cache
// does not hear.
func TestValuesUnderTraffic(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	const boats = 1000
	rig.Relay(t, relay.Config{DB: f.db, Cache: f.cache, NATS: rig.NATS(t, stacktest.NATS(t).URL()), Stream: "VALUES-" + f.prefix, Log: rig.Log(t)})
	stacktest.Eventually(t, 20*time.Second, func() bool {
		servers, err := outbox.Servers(t.Context(), f.db)
		return err == nil && len(servers) == 1 && !servers[0].Doubt()
	}, "the server is on record, and has no repair to wait for")
	deaf := rig.Writer(t, writer.Config{DB: f.db, Cache: rig.Cache(t, "valkey://127.0.0.1:1"), Grace: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	for i, w := range []*writer.Writer{f.writer, f.writer, f.writer, deaf} {
		traffic.Go(func() {
			for n := i; ctx.Err() == nil; n += 7 {
				err := f.name(ctx, w, n%boats, fmt.Sprint(n))
				if n%5 == 0 && err == nil {
					err = f.sink(ctx, w, n%boats)
				}
				if err != nil && ctx.Err() == nil && !errors.Is(err, writer.ErrOneRow) { // another one has sunk it
					t.Errorf("writing: %v", err)
				}
			}
		})
	}
	traffic.Go(func() {
		for n := 0; ctx.Err() == nil; n += 11 {
			_, err := f.reader.Get(ctx, f.boat(n%boats))
			if err != nil && ctx.Err() == nil && !errors.Is(err, reader.ErrNotFound) {
				t.Errorf("reading: %v", err)
			}
			if n%3 == 0 && f.cache.Drop(ctx, f.boat(n%boats)) != nil && ctx.Err() == nil {
				t.Error("an entry could not be evicted")
			}
		}
	})
	defer traffic.Wait()
	defer stop()
	seen := int64(0)
	stacktest.Eventually(t, 60*time.Second, func() bool {
		r := f.verify(f.byValue, soon)
		if r.Differing > 0 {
			t.Errorf("it finds differences: %+v", r.Differences)
		}
		seen += r.Values
		return seen > 5000
	}, "5000 values are compared")
}

// TestRowsThatCannotBeRead are said to be, and the others are compared.
func TestRowsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.exec("CREATE TABLE planes (id int PRIMARY KEY, name text NOT NULL)")
	planes := f.entity("planes")
	must(t, f.name(t.Context(), f.writer, 1, "one"))
	f.settled()
	f.hold(planes.CacheKey([]string{"1"}), 1)
	f.exec("ALTER TABLE planes RENAME COLUMN name TO title")
	f.exec("UPDATE boats SET name = 'by hand'")
	r := f.verify(func(c *verify.Config) { c.Rows = []verify.Rows{planes, f.boats} })
	if !strings.Contains(r.Unread[planes.Prefix()], "name") || len(r.Unread) != 1 || r.ByKind[verify.Changed] != 1 {
		t.Errorf("with a column renamed: %+v", r)
	}
}

// TestSampleOfValues compares a share of the entries, the same one for the same seed.
func TestSampleOfValues(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	const boats = 400
	f.exec("INSERT INTO boats SELECT n, 'read' FROM generate_series(1, $1) n", boats)
	var reading sync.WaitGroup
	for id := range boats {
		reading.Go(func() { f.read(id + 1) })
	}
	reading.Wait()
	sampled := func(seed int64) int64 {
		return f.verify(f.byValue, func(c *verify.Config) { c.Keys.Share, c.Keys.Seed = 0.25, seed }).Values
	}
	if n := sampled(1); n < 50 || n > 160 || sampled(1) != n {
		t.Errorf("a quarter of %d entries is %d, or another number", boats, n)
	}
}
