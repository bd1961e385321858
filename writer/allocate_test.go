package writer_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// single is a pool of one connection which, once told so, does not get free again when it is released.
type single struct {
	*pgxpool.Pool
	taken atomic.Bool
	free  chan struct{}
}

func newSingle(t *testing.T, db *pgxpool.Pool) *single {
	t.Helper()
	s := &single{free: make(chan struct{})}
	config := db.Config()
	config.MaxConns, config.MinConns = 1, 0
	config.AfterRelease = func(*pgx.Conn) bool {
		if s.taken.Load() {
			<-s.free
		}
		return true
	}
	var err error
	s.Pool, err = pgxpool.NewWithConfig(t.Context(), config)
	must(t, err)
	t.Cleanup(s.Close)
	return s
}

// TestAllocationDoesNotWaitForThePool: the write of a key that the cache does not hold is committed when others take all connections,
// so that whether the value is still the latest cannot be asked. That it is not cached costs the next reader a load; to wait would
// cost this writer as much as the others like.
func TestAllocationDoesNotWaitForThePool(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]way{"Write": viaWrite, "Put": viaPut} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			db := newSingle(t, v.db)
			w := v.writer(t, func(c *writer.Config) { c.DB, c.CommitTimeout = db.Pool, 3*soon })
			key := v.rows(t, "cold")[0]
			db.taken.Store(true)
			began := time.Now()
			result, err := do(t.Context(), v, w, key, "new")
			took := time.Since(began)
			close(db.free)
			must(t, err)
			if took > soon {
				t.Errorf("it took %v", took)
			}
			if result.Deferred() || result.Keys[0].Outcome != writer.Settled {
				t.Errorf("the result is %+v, want the key settled", result)
			}
			if e := v.entry(t, key); v.row(t, key) != "new" || e.Kind != cache.Placeholder || e.Version != result.Version() {
				t.Errorf("the row is %q, the entry %+v", v.row(t, key), e)
			}
			stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "the record is retired")
		})
	}
}
