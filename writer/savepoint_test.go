package writer_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/writer"
)

var errMine = errors.New("mine")

// scribe writes rows in a transaction or in savepoints of it, and declares each to the transaction.
type scribe struct {
	tx   *writer.Tx
	keys map[string]string // by name
}

// sets gives rows the value "new" within sp.
func (s scribe) sets(ctx context.Context, sp pgx.Tx, names ...string) error {
	for _, name := range names {
		if _, err := sp.Exec(ctx, updateSQL, s.keys[name], "new"); err != nil {
			return err
		}
		if err := s.tx.Change(writer.Set(s.keys[name], []byte("new"))); err != nil {
			return err
		}
	}
	return nil
}

// within does that in a savepoint of outer, does more there, and rolls back if that fails.
func (s scribe) within(ctx context.Context, outer pgx.Tx, name string, more func(sp pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, outer, func(sp pgx.Tx) error { return errors.Join(s.sets(ctx, sp, name), more(sp)) })
}

func fails(pgx.Tx) error    { return errMine }
func succeeds(pgx.Tx) error { return nil }

// expect turns errMine into no error, and anything else into one.
func expect(err error) error {
	if errors.Is(err, errMine) {
		return nil
	}
	return errors.Join(errors.New("the savepoint did not fail as it should"), err)
}

// TestChangesOfSavepoints: what was rolled back has not happened, to the cache neither.
func TestChangesOfSavepoints(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	for name, test := range map[string]struct {
		do   func(ctx context.Context, s scribe) error
		want []string // what is written, in the table and in the cache
	}{
		"released": {func(ctx context.Context, s scribe) error {
			return errors.Join(s.sets(ctx, s.tx, "a"), s.within(ctx, s.tx, "b", succeeds), s.sets(ctx, s.tx, "c"))
		}, []string{"a", "b", "c"}},
		"rolled back": {func(ctx context.Context, s scribe) error {
			return errors.Join(s.sets(ctx, s.tx, "a"), expect(s.within(ctx, s.tx, "b", fails)), s.sets(ctx, s.tx, "c"))
		}, []string{"a", "c"}},
		"the inner rolled back": {func(ctx context.Context, s scribe) error {
			return s.within(ctx, s.tx, "a", func(sp pgx.Tx) error {
				return errors.Join(expect(s.within(ctx, sp, "b", fails)), s.within(ctx, sp, "c", succeeds), s.sets(ctx, sp, "d"))
			})
		}, []string{"a", "c", "d"}},
		"the outer rolled back": {func(ctx context.Context, s scribe) error {
			return errors.Join(expect(s.within(ctx, s.tx, "a", func(sp pgx.Tx) error {
				return errors.Join(s.within(ctx, sp, "b", succeeds), fails(sp))
			})), s.sets(ctx, s.tx, "d"))
		}, []string{"d"}},
		"by hand": {func(ctx context.Context, s scribe) error {
			back, err := s.tx.Begin(ctx)
			err = errors.Join(err, s.sets(ctx, back, "a"), back.Rollback(ctx))
			kept, begun := s.tx.Begin(ctx)
			err = errors.Join(err, begun, s.sets(ctx, kept, "b"), kept.Commit(ctx), s.sets(ctx, s.tx, "c"))
			for _, ended := range []pgx.Tx{back, kept} { // as a deferred Rollback does
				if again := ended.Rollback(ctx); !errors.Is(again, pgx.ErrTxClosed) {
					err = errors.Join(err, errMine, again)
				}
			}
			return err
		}, []string{"b", "c"}},
		"after a failed statement": {func(ctx context.Context, s scribe) error {
			return errors.Join(s.sets(ctx, s.tx, "a"), expect(s.within(ctx, s.tx, "b", func(sp pgx.Tx) error {
				_, err := sp.Exec(ctx, "SELECT 1 / 0")
				if err == nil {
					return nil
				}
				return errMine
			})))
		}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.writer(t)
			s := scribe{keys: make(map[string]string)}
			for i, key := range v.rows(t, names...) {
				s.keys[names[i]] = key
			}
			result, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
				return test.do(ctx, scribe{tx, s.keys})
			})
			must(t, err)
			if len(result.Keys) != len(test.want) {
				t.Errorf("the result is %+v, want keys %q", result, test.want)
			}
			for name, key := range s.keys {
				if slices.Contains(test.want, name) {
					v.written(t, key)
				} else {
					v.untouched(t, key)
				}
			}
		})
	}
}

// TestSavepointTakesAnotherValueBack: the key's change from before the savepoint counts again, and so do those given to Write.
func TestSavepointTakesAnotherValueBack(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "declared", "named")
	_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
		for _, key := range keys {
			must(t, justUpdating(key, "new")(ctx, tx))
		}
		must(t, tx.Change(writer.Set(keys[0], []byte("new"))))
		return expect(pgx.BeginFunc(ctx, tx, func(sp pgx.Tx) error {
			_, err := sp.Exec(ctx, "UPDATE item SET value = 'phantom'")
			must(t, err)
			must(t, tx.Change(writer.Set(keys[0], []byte("phantom")), writer.Absent(keys[1])))
			return errMine
		}))
	}, writer.Set(keys[1], []byte("new")))
	must(t, err)
	for _, key := range keys {
		v.written(t, key)
	}
}

// TestOwnEnd ends Write's transaction behind its back. Where it was committed the row stays, and nobody says that its write succeeded.
func TestOwnEnd(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writer(t)
	for name, end := range map[string]func(context.Context, *writer.Tx) error{
		"rollback":           func(ctx context.Context, tx *writer.Tx) error { return tx.Tx.Rollback(ctx) },
		"commit":             func(ctx context.Context, tx *writer.Tx) error { return tx.Tx.Commit(ctx) },
		"SQL rollback":       func(ctx context.Context, tx *writer.Tx) error { _, err := tx.Exec(ctx, "rollback"); return err },
		"SQL commit":         func(ctx context.Context, tx *writer.Tx) error { _, err := tx.Exec(ctx, "commit"); return err },
		"connection's":       func(ctx context.Context, tx *writer.Tx) error { _, err := tx.Conn().Exec(ctx, "abort"); return err },
		"SQL in a savepoint": func(ctx context.Context, tx *writer.Tx) error { return pgx.BeginFunc(ctx, tx, sqlRollback(ctx)) },
	} {
		key := v.rows(t, name)[0]
		_, err := w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
			must(t, updating(key, "new")(ctx, tx))
			_ = end(ctx, tx) // whatever it says, the function claims success
			return nil
		})
		if !errors.Is(err, writer.ErrOwnTx) {
			t.Errorf("%s: %v, want ErrOwnTx", name, err)
		}
		v.unrecorded(t, key)
		must(t, onlyError(viaWrite(t.Context(), v, w, key, "new"))) // the connection is as good as new
		v.written(t, key)
	}
}

func sqlRollback(ctx context.Context) func(pgx.Tx) error {
	return func(sp pgx.Tx) error { _, err := sp.Exec(ctx, "rollback"); return err }
}

// unrecorded checks that neither cache nor outbox have heard of a write to the key.
func (v *world) unrecorded(t testing.TB, key string) {
	t.Helper()
	versions := value[int](t, v, "SELECT count(*) FROM tidelock.versions WHERE key = $1", key)
	records := value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE key = $1", key)
	if e := v.entry(t, key); e.Kind != cache.None || versions != 0 || records != 0 {
		t.Errorf("%s: entry %+v, %d versions, %d records; want none", key, e, versions, records)
	}
}

// TestPutThatEndsTheTransaction must not report success. In the simple protocol a statement may be several, so that it
// can return its row and end the transaction all the same.
func TestPutThatEndsTheTransaction(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	plain := v.writer(t)
	simple := v.writer(t, func(c *writer.Config) {
		c.DB = rig.Pool(t, v.db.Config().ConnString()+"&default_query_exec_mode=simple_protocol")
	})
	for name, test := range map[string]struct {
		w    *writer.Writer
		sql  string
		args int
		want error
	}{
		"rollback":            {plain, "rollback", 0, writer.ErrOneRow},
		"commit":              {plain, "commit", 0, writer.ErrOneRow},
		"update and rollback": {simple, updateSQL + "; rollback", 2, writer.ErrOwnTx},
		"update and commit":   {simple, updateSQL + "; commit", 2, writer.ErrOwnTx},
	} {
		put := putting(v.rows(t, name)[0], "new")
		put.SQL, put.Args = test.sql, put.Args[:test.args]
		if result, err := test.w.Put(t.Context(), put); !errors.Is(err, test.want) {
			t.Errorf("%s: %+v, %v, want %v", name, result, err, test.want)
		}
		v.unrecorded(t, put.Key)
	}
}

// TestPutEndsTheTransactionOfOthers: those who share it succeed with row, record and entry, if perhaps at the second try.
func TestPutEndsTheTransactionOfOthers(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{"rollback", "commit"} {
		v := newWorld(t)
		w := v.writer(t, oneCommitter)
		keys := v.numbered(t, 5)
		group := puts(keys)
		group[2].SQL, group[2].Args = sql, nil
		for i, a := range v.together(t, w, group) {
			if i == 2 {
				if !isPlain(a.err) {
					t.Errorf("%s: %+v, %v", sql, a.result, a.err)
				}
				v.untouched(t, keys[i])
				continue
			}
			must(t, a.err)
			v.written(t, keys[i])
		}
	}
}
