package writer_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// hostPort returns the address in a URL.
func hostPort(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// TestCommitOfUnknownOutcome loses the connection while the COMMIT is under way: the key is held, so that the server
// has the statements but cannot carry them out yet.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	type scene struct {
		*testing.T
		v    *world
		p    *stack.Proxy
		held pgx.Tx
		key  string
	}
	for name, lose := range map[string]func(scene){
		"the answer is lost": func(s scene) {
			must(s, s.p.Blackhole())
			must(s, s.held.Rollback(s.Context()))
			s.v.awaitRow(s, s.key, "new")
		},
		"the connection is cut": func(s scene) {
			must(s, s.p.Cut())
			must(s, s.held.Rollback(s.Context()))
		},
		"the session is ended": func(s scene) {
			s.v.exec(s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
			s.v.awaitWaiting(s, 0)
			must(s, s.held.Rollback(s.Context()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			addr := stacktest.Postgres(t).Addr()
			p := rig.Proxy(t, addr)
			behind := pool(t, strings.Replace(v.db.Config().ConnString(), addr, p.Addr(), 1), 4)
			w := v.writer(t, func(c *writer.Config) { c.DB, c.CommitTimeout = behind, 3*time.Second })
			for name, do := range map[string]way{"Write": viaWrite, "Put": viaPut} {
				key := v.warm(t, v.rows(t, name)...)[0]
				held := v.lockKey(t, key)
				done := start(func() (writer.Result, error) { return do(t.Context(), v, w, key, "new") })
				v.awaitWaiting(t, 1)
				time.Sleep(settledIn) // a Put gives up its first try after 100 ms, and then waits for as long as it takes
				v.awaitWaiting(t, 1)
				lose(scene{t, v, p, held, key})
				if a := <-done; !errors.Is(a.err, writer.ErrUnknown) {
					t.Errorf("%s: got %+v, %v, want ErrUnknown", name, a.result, a.err)
				}
				must(t, p.Heal())
				v.sameFate(t, key)
			}
			v.relay(t, v.cache)
			for _, name := range []string{"Write", "Put"} {
				key := v.prefix + name
				stacktest.Eventually(t, patience, func() bool { return v.settled(t, key) }, "the relay settles the key")
			}
		})
	}
}

// settledIn is well past a Put's first try.
const settledIn = 500 * time.Millisecond

// sameFate checks, once the server is done with the transaction, that row and record are both there or neither.
func (v *world) sameFate(t *testing.T, key string) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool {
		return value[bool](t, v, `SELECT count(*) = 0 FROM pg_stat_activity
			WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()`)
	}, "nothing is under way")
	records := value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE key = $1", key)
	if row := v.row(t, key); (records == 1) != (row == "new") {
		t.Errorf("the row is %q, and there are %d records of it", row, records)
	}
}
