package writer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// attach makes an attached table of flights, which a trigger of the table of seats changes.
func (v *world) attach(t testing.TB) {
	t.Helper()
	v.exec(t, `CREATE TABLE flights (id int PRIMARY KEY, number text NOT NULL, taken int NOT NULL DEFAULT 0);
		CREATE TABLE seats (flight int, seat text, taken boolean, PRIMARY KEY (flight, seat));
		INSERT INTO flights VALUES (1, 'old'); INSERT INTO seats VALUES (1, '1A', false);
		CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE flights SET taken = taken + 1 WHERE id = NEW.flight; RETURN NULL; END';
		CREATE TRIGGER taken AFTER UPDATE ON seats FOR EACH ROW EXECUTE FUNCTION taken()`)
	must(t, outbox.Attach(t.Context(), v.db, outbox.Attachment{Entity: "flight", Table: pgx.Identifier{"flights"}, Prefix: v.prefix + "flight:",
		Key: "'" + v.prefix + "flight:' || r.id"}, patience))
}

// TestNeighbourChangesTheRow: of two Puts of one group the second has a trigger that changes what the first has read.
func TestNeighbourChangesTheRow(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.attach(t)
	w := v.writer(t, oneCommitter)
	v.relay(t, v.cache)
	for _, a := range v.together(t, w, []writer.Put{
		{Key: v.prefix + "flight:1", SQL: "UPDATE flights SET number = 'new' WHERE id = 1 RETURNING row_to_json(flights)"},
		{Key: v.prefix + "seat:1", SQL: "UPDATE seats SET taken = true RETURNING row_to_json(seats)"},
	}) {
		must(t, a.err)
	}
	row := value[string](t, v, "SELECT row_to_json(flights)::text FROM flights")
	stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "all is settled")
	if e, err := v.cache.Get(t.Context(), v.prefix+"flight:1"); err != nil || e.Hit() && string(e.Payload) != row {
		t.Errorf("the cache holds %s, %v, and the row is %s", e.Payload, err, row)
	}
}

// TestPutOfAnAttachedTableIsRecordedOnce: and its value comes to the cache.
func TestPutOfAnAttachedTableIsRecordedOnce(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.attach(t)
	w := v.writer(t)
	key := v.prefix + "flight:1"
	result, err := w.Put(t.Context(), writer.Put{Key: key, SQL: "UPDATE flights SET number = 'new' WHERE id = 1 RETURNING row_to_json(flights)"})
	must(t, err)
	if e, err := v.cache.Get(t.Context(), key); err != nil || string(e.Payload) != string(result.Payload) || e.Version != result.Version() {
		t.Errorf("the cache holds %s of version %d, %v, want %s of %d", e.Payload, e.Version, err, result.Payload, result.Version())
	}
	stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "nothing is left for a relay")
}

// TestRowChangesAgainBesideARefresh: a value that was read before is invalidated also where another key of the transaction is refreshed.
func TestRowChangesAgainBesideARefresh(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.attach(t)
	w := v.writer(t)
	key := v.prefix + "flight:1"
	_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
		var payload string
		if err := tx.QueryRow(ctx, "UPDATE flights SET number = 'new' RETURNING row_to_json(flights)::text").Scan(&payload); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "UPDATE seats SET taken = true"); err != nil {
			return err
		}
		return tx.Change(writer.Set(key, []byte(payload)))
	}, writer.Refresh(v.prefix+"sum", func(context.Context, pgx.Tx) ([]byte, error) { return []byte("1"), nil }))
	must(t, err)
	if e, err := v.cache.Get(t.Context(), key); err != nil || e.Hit() {
		t.Errorf("the cache holds %s, %v, which the row is no longer", e.Payload, err)
	}
}

// TestRefreshThatFailsLosesNothing: a caller who commits although Record has failed leaves the key to be loaded.
func TestRefreshThatFailsLosesNothing(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.attach(t)
	w := v.writer(t)
	key := v.prefix + "flight:1"
	failure := errors.New("no")
	ctx, cancel := context.WithCancel(t.Context())
	tx, err := v.db.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), "UPDATE flights SET number = 'new'")
	must(t, err)
	if _, err := w.Record(ctx, tx, writer.Refresh(key, func(context.Context, pgx.Tx) ([]byte, error) { cancel(); return nil, failure })); !errors.Is(err, failure) {
		t.Fatalf("Record returned %v", err)
	}
	must(t, tx.Commit(t.Context()))
	if n := value[int](t, v, "SELECT count(*) FROM tidelock.outbox JOIN tidelock.versions USING (key, version) WHERE kind = 'invalidate'"); n != 1 {
		t.Errorf("%d records are their key's latest, want one", n)
	}
}
