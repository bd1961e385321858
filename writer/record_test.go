package writer_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/writer"
)

// recorded is a transaction that has written "mine" to rows and recorded it, and is still open.
func recorded(t *testing.T, v *world, w *writer.Writer, keys ...string) (pgx.Tx, *writer.Pending) {
	t.Helper()
	tx := v.begin(t)
	var changes []writer.Change
	for _, key := range keys {
		_, err := tx.Exec(t.Context(), updateSQL, key, "mine")
		must(t, err)
		changes = append(changes, writer.Set(key, []byte("mine")))
	}
	pending, err := w.Record(t.Context(), tx, changes...)
	must(t, err)
	return tx, pending
}

func TestApplyOfWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	tx, pending := recorded(t, v, w, key)
	refused := func(when string) {
		t.Helper()
		if _, err := pending.Apply(t.Context()); !errors.Is(err, writer.ErrNotCommitted) {
			t.Errorf("%s: %v, want ErrNotCommitted", when, err)
		}
		v.untouched(t, key)
	}
	refused("still open")
	must(t, tx.Rollback(t.Context()))
	refused("rolled back")
}

func TestApplyOnceCommitted(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.warm(t, v.rows(t, "a", "b")...)
	tx, pending := recorded(t, v, w, keys...)
	must(t, tx.Commit(t.Context()))
	for _, want := range []writer.Outcome{writer.Applied, writer.Superseded} { // a repetition finds its own version there
		result, err := pending.Apply(t.Context())
		must(t, err)
		for i, key := range keys {
			v.holds(t, key, "mine")
			if result.Keys[i].Outcome != want {
				t.Errorf("%s: %s, want %s", key, result.Keys[i].Outcome, want)
			}
		}
	}
}

// TestApplyAfterANewerWrite: the entry of a key that was written again stays, or stays away, whether or not this transaction
// has committed.
func TestApplyAfterANewerWrite(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	for name, test := range map[string]struct {
		commit, lost bool
	}{
		"committed":                  {true, false},
		"committed, then lost":       {true, true},
		"rolled back":                {false, false},
		"rolled back, and then lost": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			keys := v.warm(t, v.rows(t, name+" again", name+" once")...)
			tx, pending := recorded(t, v, w, keys...)
			if test.commit {
				must(t, tx.Commit(t.Context()))
			} else {
				must(t, tx.Rollback(t.Context()))
			}
			must(t, onlyError(viaPut(t.Context(), v, w, keys[0], "newer")))
			if test.lost {
				v.command(t, "DEL", keys[0])
			}
			_, err := pending.Apply(t.Context())
			if test.commit != (err == nil) || err != nil && !errors.Is(err, writer.ErrNotCommitted) {
				t.Errorf("Apply: %v", err)
			}
			if e := v.entry(t, keys[0]); e.Hit() == test.lost || e.Hit() && string(e.Payload) != "newer" {
				t.Errorf("the cache holds %+v, lost: %v", e, test.lost)
			}
			if v.cached(t, keys[1], "mine") != test.commit {
				t.Errorf("the cache holds %+v of the other key, committed: %v", v.entry(t, keys[1]), test.commit)
			}
		})
	}
}

// TestApplyWhenAllKeysAreNewer: then nothing tells whether the transaction has committed, and nothing depends on it.
func TestApplyWhenAllKeysAreNewer(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	key := v.warm(t, v.rows(t, "k")...)[0]
	tx, pending := recorded(t, v, w, key)
	must(t, tx.Rollback(t.Context()))
	must(t, onlyError(viaPut(t.Context(), v, w, key, "newer")))
	result, err := pending.Apply(t.Context())
	if err != nil || len(result.Keys) != 1 || result.Keys[0].Outcome != writer.Superseded {
		t.Errorf("got %+v, %v, want superseded", result, err)
	}
	v.holds(t, key, "newer")
}

func TestRecordOfNothing(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	pending, err := w.Record(t.Context(), v.begin(t))
	must(t, err)
	if result, err := pending.Apply(t.Context()); err != nil || len(result.Keys) != 0 {
		t.Errorf("got %+v, %v", result, err)
	}
}
