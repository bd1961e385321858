package writer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestRecordAndRowCommitTogether makes one of the two fail: the other must not be there.
func TestRecordAndRowCommitTogether(t *testing.T) {
	t.Parallel()
	const refuse = `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;`
	for name, trigger := range map[string]string{
		"the record":              "CREATE TRIGGER refuse BEFORE INSERT ON tidelock.outbox FOR EACH ROW EXECUTE FUNCTION refuse()",
		"the version":             "CREATE TRIGGER refuse BEFORE INSERT ON tidelock.versions FOR EACH ROW EXECUTE FUNCTION refuse()",
		"the row":                 "CREATE TRIGGER refuse BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION refuse()",
		"the row, at the commit":  "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
		"the record, at the last": "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tidelock.outbox DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.writer(t)
			key := v.rows(t, "k")[0]
			v.exec(t, refuse+trigger)
			for name, write := range ways {
				_, err := write(t.Context(), v, w, key, name)
				if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Message != "refused" || errors.Is(err, writer.ErrUnknown) {
					t.Errorf("%s: %v, want the trigger's refusal", name, err)
				}
				v.untouched(t, key)
			}
		})
	}
}

func TestMissingSchema(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	v.exec(t, "DROP SCHEMA tidelock CASCADE")
	for name, write := range ways {
		_, err := write(t.Context(), v, w, key, "new")
		if !errors.Is(err, outbox.ErrNoSchema) {
			t.Errorf("%s: %v, want ErrNoSchema", name, err)
		}
	}
	if got := v.row(t, key); got != "old" {
		t.Errorf("the row is %q", got)
	}
	_, err := writer.New(t.Context(), writer.Config{DB: v.db, Cache: v.cache})
	if !errors.Is(err, outbox.ErrNoSchema) || !contains(err, "tidelock migrate up") {
		t.Errorf("New: %v, want it to say what to run", err)
	}
}

// TestPayloadLimit: what cannot be stored is refused before anything is done, or else takes the transaction with it.
func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	large := strings.Repeat("x", 1<<20+1)
	nothing := func(context.Context, *writer.Tx) error {
		t.Error("the function ran")
		return nil
	}
	for name, write := range map[string]func(context.Context) error{
		"named": func(ctx context.Context) error {
			return onlyError(w.Write(ctx, nothing, writer.Set(key, []byte(large))))
		},
		"declared": func(ctx context.Context) error { return onlyError(viaWrite(ctx, v, w, key, large)) },
		"recorded": func(ctx context.Context) error { return onlyError(viaRecord(ctx, v, w, key, large)) },
		"refreshed": func(ctx context.Context) error {
			return onlyError(w.Write(ctx, justUpdating(key, "new"), refreshTo(key, large)))
		},
		"returned": func(ctx context.Context) error {
			return onlyError(w.Put(ctx, writer.Put{Key: key, Args: []any{key}, SQL: "UPDATE item SET value = 'new' WHERE key = $1 RETURNING repeat('x', 1 << 20) || 'x'"}))
		},
	} {
		err := write(t.Context())
		if e, ok := errors.AsType[*cache.PayloadError](err); !ok || e.Key != key || e.Limit != 1<<20 || e.Size <= e.Limit {
			t.Errorf("%s: %v, want a *cache.PayloadError", name, err)
		}
		v.untouched(t, key)
	}
}

func recordError(t *testing.T, v *world, w *writer.Writer, c writer.Change) error {
	t.Helper()
	_, err := w.Record(t.Context(), v.begin(t), c)
	return err
}

func TestBadChanges(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	never := func(context.Context, *writer.Tx) error { return errors.New("the function ran") }
	for i, key := range []string{"", "a\x00b", "\xff", string(make([]byte, cache.KeyMax+1))} {
		errs := []error{
			onlyError(w.Write(t.Context(), never, writer.Absent(key))),
			onlyError(w.Put(t.Context(), putting(key, "x"))),
			recordError(t, v, w, writer.Absent(key)),
		}
		for j, err := range errs {
			if e, ok := errors.AsType[*cache.KeyError](err); !ok || e.Key != key {
				t.Errorf("key %d, way %d: %v, want a *cache.KeyError", i, j, err)
			}
		}
	}
	for says, c := range map[string]writer.Change{
		"invalid TTL 192h0m0s": writer.Absent("k").Within(8 * 24 * 3600e9),
		"invalid TTL -1ns":     writer.Absent("k").Within(-1),
		`unknown kind "zap"`:   {Key: "k", Kind: "zap"},
		`unknown kind ""`:      {Key: "k"},
		`"absent", which goes without Payload and Refresh`:     {Key: "k", Kind: outbox.Absent, Payload: []byte("x")},
		`"invalidate", which goes without Payload and Refresh`: {Key: "k", Kind: outbox.Invalidate, Refresh: writer.Refresh("k", nothing).Refresh},
	} {
		if _, err := w.Write(t.Context(), never, c); err == nil || !contains(err, says) || !contains(err, `"k"`) {
			t.Errorf("got %v, want it to say %s of which key", err, says)
		}
	}
	if _, err := w.Put(t.Context(), writer.Put{Key: "k", Kind: "zap"}); err == nil || !contains(err, fmt.Sprintf("unknown kind %q", "zap")) {
		t.Errorf("Put: %v", err)
	}
}

func nothing(context.Context, pgx.Tx) ([]byte, error) { return nil, nil }
