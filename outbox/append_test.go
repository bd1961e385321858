package outbox_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

// everyKind is one record of each kind, with what is easy to lose on the way.
func everyKind() []outbox.Record {
	return []outbox.Record{
		{Key: "z", Kind: outbox.Set, Payload: []byte{0, 255, '\n'}, TTL: 90 * time.Minute, Allocate: true, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{Key: "ключ", Kind: outbox.Absent, TTL: time.Second},
		{Key: "a", Kind: outbox.Invalidate, TTL: time.Microsecond, Allocate: true},
		{Key: "m", Kind: outbox.Set, TTL: time.Millisecond},
	}
}

// lockAndInsert is Append in its two steps.
func lockAndInsert(t testing.TB, tx pgx.Tx, grace time.Duration, records []outbox.Record) {
	t.Helper()
	var keys []string
	for _, r := range records {
		keys = append(keys, r.Key)
	}
	locked, err := outbox.Lock(t.Context(), tx, keys, outbox.Strict{})
	must(t, err)
	var b pgx.Batch
	locked.Insert(&b, records, grace)
	must(t, tx.SendBatch(t.Context(), &b).Close())
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(testing.TB, pgx.Tx, []outbox.Record){
		"Append":          func(t testing.TB, tx pgx.Tx, records []outbox.Record) { add(t, tx, time.Minute, records...) },
		"Lock and Insert": func(t testing.TB, tx pgx.Tx, records []outbox.Record) { lockAndInsert(t, tx, time.Minute, records) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := rig.DB(t)
			tx := begin(t, db)
			records := everyKind()
			write(t, tx, records)
			var versions []int64
			for _, r := range records {
				versions = append(versions, r.Version)
			}
			if got := pending(t, db); len(got) != 0 {
				t.Errorf("records %v can be seen before the commit", got)
			}
			must(t, tx.Commit(t.Context()))

			got, err := outbox.Read(t.Context(), db, versions)
			must(t, err)
			checkRead(t, got, records)
			if early := value[int](t, db, "SELECT count(*) FROM tidelock.outbox WHERE due_at < created_at + interval '50 s'"); early != 0 {
				t.Errorf("%d records are due before their grace is over", early)
			}
			latest, err := outbox.Latest(t.Context(), db, []string{"z", "a", "never written"})
			must(t, err)
			if want := map[string]int64{"z": records[0].Version, "a": records[2].Version}; !maps.Equal(latest, want) {
				t.Errorf("the latest versions are %v, want %v", latest, want)
			}
		})
	}
}

// checkRead compares by key; a TTL below a millisecond comes back as one.
func checkRead(t testing.TB, got, want []outbox.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("read %d records, want %d", len(got), len(want))
	}
	for _, w := range want {
		i := slices.IndexFunc(got, func(r outbox.Record) bool { return r.Key == w.Key })
		if i < 0 {
			t.Errorf("%q is missing", w.Key)
			continue
		}
		g := got[i]
		if g.Version != w.Version || g.Version == 0 || g.Kind != w.Kind || string(g.Payload) != string(w.Payload) ||
			g.TTL != max(w.TTL, time.Millisecond) || g.Allocate != w.Allocate || g.Attempts != 0 || g.Superseded || g.Trace != w.Trace {
			t.Errorf("got %+v, want %+v", g, w)
		}
		if w.Kind == outbox.Set && g.Payload == nil {
			t.Errorf("the empty payload of %q became none", w.Key)
		}
	}
}

func TestRollbackLeavesNothing(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	first := one(t, db, "k")
	tx := begin(t, db)
	add(t, tx, 0, set("k", "2"), set("new", "1"))
	must(t, tx.Rollback(t.Context()))

	latest, err := outbox.Latest(t.Context(), db, []string{"k", "new"})
	must(t, err)
	if !maps.Equal(latest, map[string]int64{"k": first}) {
		t.Errorf("the latest versions are %v, want %d of k alone", latest, first)
	}
	sameSet(t, "pending", pending(t, db), []int64{first})
	if again := one(t, db, "k"); again <= first {
		t.Errorf("version %d follows %d", again, first)
	}
}

// TestXidIsTheWriters holds the xid beside each version against the transaction that drew it: repair after data loss
// goes by it.
func TestXidIsTheWriters(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	one(t, db, "old")
	tx := begin(t, db)
	add(t, tx, 0, set("old", "2"), set("new", "1"))
	xid := value[uint64](t, tx, "SELECT pg_current_xact_id()")
	must(t, tx.Commit(t.Context()))
	if n := value[int](t, db, "SELECT count(*) FROM tidelock.versions WHERE xid = $1", xid); n != 2 {
		t.Errorf("%d rows bear the xid of the transaction that wrote both", n)
	}
}

func TestMissingSchema(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	must(t, outbox.Check(t.Context(), db))
	ctx := t.Context()
	exec(t, db, "ALTER TABLE tidelock.outbox DROP COLUMN aside") // as an older release might have it
	if _, err := outbox.Count(ctx, db); !errors.Is(err, outbox.ErrNoSchema) {
		t.Errorf("an older schema: %v, want ErrNoSchema", err)
	}
	exec(t, db, "DROP SCHEMA tidelock CASCADE")
	calls := map[string]func() error{
		"Check":  func() error { return outbox.Check(ctx, db) },
		"Lock":   func() error { _, err := outbox.Lock(ctx, db, []string{"k"}, outbox.Strict{}); return err },
		"Latest": func() error { _, err := outbox.Latest(ctx, db, []string{"k"}); return err },
		"Take":   func() error { _, err := outbox.Take(ctx, db, outbox.Place{}, 0, 1, time.Second); return err },
		"Read":   func() error { _, err := outbox.Read(ctx, db, []int64{1}); return err },
		"Count":  func() error { _, err := outbox.Count(ctx, db); return err },
		"List":   func() error { _, err := outbox.List(ctx, db, outbox.Filter{}, 1); return err },
		"Prune":  func() error { _, err := outbox.Prune(ctx, db, time.Hour); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, outbox.ErrNoSchema) {
			t.Errorf("%s: %v, want ErrNoSchema", name, err)
		}
	}
}
