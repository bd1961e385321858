package writer_test

import (
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// retiringSQL stands in the statement that retires records.
const retiringSQL = "DELETE FROM tidelock.outbox o\nUSING unnest("

// lose makes Postgres be without the change of a key that came after this version, 0 for none: so is a standby that was promoted before it
// heard of the change.
func (v *world) lose(t testing.TB, key string, before int64) {
	t.Helper()
	v.exec(t, "DELETE FROM tidelock.outbox WHERE key = $1", key)
	v.exec(t, "DELETE FROM tidelock.versions WHERE key = $1 AND $2::bigint = 0", key, before)
	v.exec(t, "UPDATE tidelock.versions SET version = $2 WHERE key = $1", key, before)
}

// TestRecallOfWhatPostgresHasLost has Postgres lose commits whose writer has brought them to the cache and is about to retire their records. It
// takes them away again, also when Postgres or the cache do not answer at first; what is committed stays, whoever has retired its record.
func TestRecallOfWhatPostgresHasLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		begin func(postgres, valkey *stack.Proxy) error
	}{
		"at once":       {func(_, _ *stack.Proxy) error { return nil }},
		"Postgres away": {func(postgres, _ *stack.Proxy) error { return postgres.Cut() }},
		"cache away":    {func(_, valkey *stack.Proxy) error { return valkey.Cut() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			postgres, valkey := rig.Proxy(t, stacktest.Postgres(t).Addr()), rig.Proxy(t, stacktest.Valkey(t).Addr())
			db, gate := rig.Gated(t, pool(t, strings.Replace(v.db.Config().ConnString(), stacktest.Postgres(t).Addr(), postgres.Addr(), 1), 8), rig.Before, retiringSQL)
			keys := v.warm(t, v.rows(t, "changed", "new", "kept")...)
			changed, fresh, kept := keys[0], keys[1], keys[2]
			first, err := viaPut(t.Context(), v, v.writer(t), changed, "older")
			must(t, err)
			stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "the first change is retired")

			w := v.writer(t, func(c *writer.Config) {
				c.DB, c.Cache = db, rig.Cache(t, "valkey://"+valkey.Addr())
			})
			for _, key := range keys {
				result, err := viaPut(t.Context(), v, w, key, "written")
				if must(t, err); result.Deferred() {
					t.Fatalf("the write is %+v", result)
				}
			}
			<-gate.Reached()
			must(t, c.begin(postgres, valkey))
			v.lose(t, changed, first.Version())
			v.lose(t, fresh, 0)
			v.exec(t, "DELETE FROM tidelock.outbox WHERE key = $1", kept) // as a relay does that was faster
			gate.Open()
			if e := v.entry(t, changed); name != "at once" && !e.Hit() {
				t.Errorf("the entry is %+v, and nobody can know yet", e)
			}
			must(t, postgres.Heal())
			must(t, valkey.Heal())
			stacktest.Eventually(t, patience, func() bool {
				return v.entry(t, changed).Kind == cache.None && v.entry(t, fresh).Kind == cache.None
			}, "the writer takes away what is lost")
			if !v.cached(t, kept, "written") {
				t.Errorf("%s is committed, and its entry %+v", kept, v.entry(t, kept))
			}
		})
	}
}
