package relay_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// insertBacklog leaves the outbox as writers leave it that could not reach the cache for long: so many records, all due, over
// so many keys. The payload of each is its version.
func (s *site) insertBacklog(records, keys int) {
	s.t.Helper()
	const backlog = `WITH r AS MATERIALIZED (
		SELECT nextval('tidelock.version_seq') AS version, $3 || ':' || g % $2 AS key, g FROM generate_series(1, $1::bigint) g
	), v AS (
		INSERT INTO tidelock.versions (key, version, xid) SELECT key, max(version), pg_current_xact_id() FROM r GROUP BY key
		ON CONFLICT (key) DO UPDATE SET version = excluded.version, xid = excluded.xid
	)
	INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at)
	SELECT version, key, 'set', convert_to(version::text, 'UTF8'), 3600000, true, now() - interval '1 hour' + g * interval '1 ms' FROM r`
	if _, err := s.db.Exec(s.t.Context(), backlog, records, keys, s.prefix); err != nil {
		s.t.Fatal(err)
	}
}

// TestBacklog drains what an outage of an hour leaves, in small, and checks that every key is at its newest.
func TestBacklog(t *testing.T) {
	t.Parallel()
	const records, keys = 200_000, 50_000
	s := newSite(t)
	s.insertBacklog(records, keys)
	began := time.Now()
	r, stop := s.run(func(cfg *relay.Config) { cfg.Log = zap.NewNop() })
	stacktest.Eventually(t, 5*time.Minute, func() bool {
		stats, err := outbox.Count(t.Context(), s.db)
		return err == nil && stats.Pending == 0
	}, "the backlog is drained")
	took := time.Since(began)
	t.Logf("%d records over %d keys in %v: %.0f records/s", records, keys, took.Round(time.Millisecond), records/took.Seconds())
	stop()
	if got := r.Stats(); got.Settled+got.Superseded != records || got.Settled < keys {
		t.Errorf("the counters are %+v", got)
	}
	s.allNewest(keys)
}

// allNewest compares the cache with tidelock.versions.
func (s *site) allNewest(keys int) {
	s.t.Helper()
	const page = 5000
	wrong := 0
	for from := 0; from < keys; from += page {
		var names []string
		for i := from; i < min(from+page, keys); i++ {
			names = append(names, s.key(i))
		}
		latest, err := outbox.Latest(s.t.Context(), s.db, names)
		if err != nil {
			s.t.Fatal(err)
		}
		held, err := s.cache.GetMany(s.t.Context(), names)
		if err != nil {
			s.t.Fatal(err)
		}
		for i, name := range names {
			if e := held[i]; e.Version != latest[name] || string(e.Payload) != fmt.Sprint(latest[name]) {
				if wrong++; wrong <= 3 {
					s.t.Errorf("%s: the cache holds %q %q of version %d, the latest is %d", name, string(e.Kind), e.Payload, e.Version, latest[name])
				}
			}
		}
	}
	if wrong > 0 {
		s.t.Errorf("%d of %d keys are not at their newest", wrong, keys)
	}
}
