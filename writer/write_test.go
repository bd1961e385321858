package writer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

func TestEveryWayWritesRowAndEntry(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	for name, write := range ways {
		key := v.warm(t, v.rows(t, name)...)[0]
		for _, text := range []string{"first", "", "third\nline \x7f"} {
			result, err := write(t.Context(), v, w, key, text)
			must(t, err)
			v.holds(t, key, text)
			e := v.entry(t, key)
			if len(result.Keys) != 1 || result.Keys[0] != (writer.KeyResult{Key: key, Version: e.Version, Outcome: writer.Applied}) {
				t.Errorf("%s: got %+v, want %q applied with version %d", name, result, key, e.Version)
			}
		}
	}
}

func TestKindsOfChange(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "set", "absent", "invalid", "refreshed", "gone", "twice")
	for _, key := range keys {
		_, err := viaPut(t.Context(), v, w, key, "before")
		must(t, err)
	}
	refresh := func(key string) writer.Change {
		return writer.Refresh(key, func(ctx context.Context, tx pgx.Tx) (payload []byte, err error) {
			return payload, tx.QueryRow(ctx, "SELECT value FROM item WHERE key = $1", key).Scan(&payload)
		})
	}
	result, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE item SET value = 'after' WHERE starts_with(key, $1)", v.prefix); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM item WHERE key = ANY ($1)", []string{keys[1], keys[4]}); err != nil {
			return err
		}
		return tx.Change(writer.Invalidate(keys[5]), writer.Set(keys[5], []byte("after")))
	}, writer.Set(keys[0], []byte("after")), writer.Absent(keys[1]), writer.Invalidate(keys[2]), refresh(keys[3]), refresh(keys[4]))
	must(t, err)

	for i, kind := range []cache.Kind{cache.Value, cache.Absent, cache.Placeholder, cache.Value, cache.Absent, cache.Value} {
		e := v.entry(t, keys[i])
		if e.Kind != kind || kind == cache.Value && string(e.Payload) != "after" {
			t.Errorf("the entry of %s is %c with %q, want %c", keys[i], e.Kind, e.Payload, kind)
		}
		if e.Version != result.Keys[i].Version {
			t.Errorf("the entry of %s has version %d, the result %+v", keys[i], e.Version, result.Keys[i])
		}
	}
	if len(result.Keys) != len(keys) {
		t.Errorf("%d results for %d keys", len(result.Keys), len(keys))
	}
}

func TestPutOfOtherKinds(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "absent", "invalid")
	for i, put := range []writer.Put{
		{Kind: outbox.Absent, SQL: "DELETE FROM item WHERE key = $1 RETURNING 1"},
		{Kind: outbox.Invalidate, SQL: "UPDATE item SET n = 7 WHERE key = $1 RETURNING n"},
	} {
		_, err := viaPut(t.Context(), v, w, keys[i], "before")
		must(t, err)
		put.Key, put.Args = keys[i], []any{keys[i]}
		_, err = w.Put(t.Context(), put)
		must(t, err)
	}
	if a, p := v.entry(t, keys[0]), v.entry(t, keys[1]); a.Kind != cache.Absent || p.Kind != cache.Placeholder {
		t.Errorf("the entries are %c and %c, want A and P", a.Kind, p.Kind)
	}
}

func TestWriteWithoutChange(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	result, err := w.Write(t.Context(), justUpdating(key, "new"))
	if err != nil || len(result.Keys) != 0 || result.Version() != 0 || result.Deferred() || result.Token().String() != "" {
		t.Errorf("got %+v, %v", result, err)
	}
	if v.row(t, key) != "new" || v.records(t) != 0 {
		t.Errorf("the row is %q, %d records", v.row(t, key), v.records(t))
	}
}

func TestTokensAndVersions(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "b", "a", "c")
	var changes []writer.Change
	for _, key := range keys {
		changes = append(changes, writer.Set(key, []byte("x")))
	}
	result, err := w.Write(t.Context(), func(context.Context, *writer.Tx) error { return nil }, changes...)
	must(t, err)
	token, err := cache.ParseToken(result.Token().String())
	must(t, err)
	latest, err := outbox.Latest(t.Context(), v.db, keys)
	must(t, err)
	var versions []int64
	for i, k := range result.Keys {
		if k.Key != keys[i] || k.Version != latest[k.Key] || token.Version(k.Key) != k.Version {
			t.Errorf("result %d is %+v; Postgres says %d, the token %d", i, k, latest[k.Key], token.Version(k.Key))
		}
		versions = append(versions, k.Version)
	}
	if result.Version() != slices.Max(versions) || result.Version() == 0 {
		t.Errorf("the write's version is %d, its keys' are %v", result.Version(), versions)
	}
}

func TestNothingIsLeftOfAFailedWrite(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	mine := errors.New("mine")
	for name, end := range map[string]func(context.Context, *writer.Tx) error{
		"error":         func(context.Context, *writer.Tx) error { return mine },
		"own commit":    func(ctx context.Context, tx *writer.Tx) error { return tx.Commit(ctx) },
		"own rollback":  func(ctx context.Context, tx *writer.Tx) error { return tx.Rollback(ctx) },
		"bad statement": func(ctx context.Context, tx *writer.Tx) error { _, err := tx.Exec(ctx, "SELECT 1/0"); return err },
		"swallowed":     func(ctx context.Context, tx *writer.Tx) error { _, _ = tx.Exec(ctx, "SELECT 1/0"); return nil },
		"rows left open": func(ctx context.Context, tx *writer.Tx) error {
			_, err := tx.Query(ctx, "SELECT generate_series(1, 100000)")
			return err
		},
	} {
		_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
			if err := updating(key, name)(ctx, tx); err != nil {
				return err
			}
			return end(ctx, tx)
		})
		if err == nil || errors.Is(err, writer.ErrUnknown) {
			t.Errorf("%s: %v, want a plain error", name, err)
		}
		if name == "error" && !errors.Is(err, mine) || strings.HasPrefix(name, "own") && !errors.Is(err, writer.ErrOwnTx) {
			t.Errorf("%s: %v", name, err)
		}
		v.untouched(t, key)
	}
	must(t, onlyError(viaWrite(t.Context(), v, w, key, "new")))
	v.holds(t, key, "new")
}

func onlyError(_ writer.Result, err error) error { return err }

func TestPanicRollsBack(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("recovered %v, want what the function panicked with", p)
			}
		}()
		_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
			must(t, updating(key, "new")(ctx, tx))
			panic("mine")
		})
		t.Errorf("Write returned %v", err)
	}()
	v.untouched(t, key)
	must(t, onlyError(viaWrite(t.Context(), v, w, key, "new")))
	v.holds(t, key, "new")
}
