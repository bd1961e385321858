package verify_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/verify"
	"github.com/tidelock-cache/tidelock/writer"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a database and a cache, and a writer of both.
type site struct {
	t      testing.TB
	db     *pgxpool.Pool
	cache  *cache.Cache
	valkey valkey.Client
	writer *writer.Writer
	prefix string
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, db: rig.DB(t), cache: rig.Cache(t, stacktest.Valkey(t).URL()), valkey: rig.Valkey(t, stacktest.Valkey(t).URL()), prefix: rand.Text()}
	s.writer = rig.Writer(t, writer.Config{DB: s.db, Cache: s.cache})
	return s
}

func (s *site) key(name any) string { return s.prefix + ":" + fmt.Sprint(name) }

// put writes a key and returns its version.
func (s *site) put(key string) int64 {
	s.t.Helper()
	r, err := s.writer.Put(s.t.Context(), writer.Put{Key: key, SQL: "SELECT 'value'::text"})
	must(s.t, err)
	if r.Deferred() {
		s.t.Fatalf("the write of %s is deferred: %+v", key, r)
	}
	return r.Keys[0].Version
}

// hold puts an entry into the cache that no write has made.
func (s *site) hold(key string, version int64) {
	s.t.Helper()
	must(s.t, s.valkey.Do(s.t.Context(), s.valkey.B().Set().Key(key).Value(fmt.Sprintf("tl1 V %d\nother", version)).Ex(time.Hour).Build()).Error())
}

// settled waits until no record waits.
func (s *site) settled() {
	s.t.Helper()
	stacktest.Eventually(s.t, 20*time.Second, func() bool {
		counts, err := outbox.Count(s.t.Context(), s.db)
		return err == nil && counts.Pending == 0
	}, "the outbox is empty")
}

func (s *site) verify(tune ...func(*verify.Config)) verify.Report {
	s.t.Helper()
	cfg := verify.Config{DB: s.db, Cache: s.cache, Rate: 1 << 20, Log: rig.Log(s.t)}
	for _, change := range tune {
		change(&cfg)
	}
	r, err := verify.Run(s.t.Context(), cfg)
	must(s.t, err)
	return r
}

func fix(c *verify.Config) { c.Fix = true }

// TestDifferences has entries that are behind and above, with nothing to mend them, among many that are right.
func TestDifferences(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const many = 1200 // more than two pages
	var writers sync.WaitGroup
	for i := range many {
		writers.Go(func() { s.put(s.key(i)) })
	}
	writers.Wait()
	s.settled()
	if r := s.verify(); r.Keys != many || r.Held != many || r.Differing != 0 || r.Waiting != 0 || r.ByKey[0].Judged != many || r.ByKey[0].Late != 0 {
		t.Errorf("with nothing wrong: %+v", r)
	}
	behind, above, gone := s.key(7), s.key("above"), s.key(9)
	version := s.put(above)
	s.settled()
	s.hold(behind, 1)
	s.hold(above, version+5)
	must(t, s.cache.Drop(t.Context(), gone))
	r := s.verify()
	if r.Keys != many+1 || r.Held != many || r.Differing != 2 || r.ByKey[2].Late != 2 || r.ByKey[0].Late != 2 {
		t.Errorf("with two entries wrong: %+v", r)
	}
	kinds := map[string]verify.Difference{}
	for _, d := range r.Differences {
		kinds[d.Key] = d
	}
	if d := kinds[behind]; d.Kind != verify.Behind || d.Cache != 1 || d.Fixed {
		t.Errorf("the entry that is behind is told as %+v", d)
	}
	if d := kinds[above]; d.Kind != verify.Above || d.Cache != version+5 || d.Postgres != version {
		t.Errorf("the entry that is above is told as %+v", d)
	}
	if r := s.verify(fix); r.Differing != 2 || !r.Differences[0].Fixed {
		t.Errorf("fixing them: %+v", r)
	}
	if r := s.verify(); r.Differing != 0 {
		t.Errorf("fixed: %+v", r)
	}
}

// TestLate has a record that waits for longer than the first windows, and is settled within the last.
func TestLate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	key := s.key("late")
	version := s.put(key)
	s.settled()
	_, err := s.db.Exec(t.Context(), `INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at) VALUES ($1, $2, 'set', 'newer', 1000, true, 'infinity')`, version+1, key)
	must(t, err)
	_, err = s.db.Exec(t.Context(), `UPDATE tidelock.versions SET version = $1 WHERE key = $2`, version+1, key)
	must(t, err)
	time.AfterFunc(3*time.Second, func() {
		s.hold(key, version+1)
		_, err := s.db.Exec(context.WithoutCancel(t.Context()), "DELETE FROM tidelock.outbox")
		if err != nil {
			t.Errorf("settling: %v", err)
		}
	})
	r := s.verify(func(c *verify.Config) { *c = c.Shortened(500*time.Millisecond, time.Second, 8*time.Second) })
	if r.Waiting != 1 || r.Differing != 0 || r.ByKey[0].Late != 1 || r.ByKey[1].Late != 1 || r.ByKey[2].Late != 0 {
		t.Errorf("%+v", r)
	}
}

// TestWrites judges writes, one in ten of which cannot be settled for a while.
func TestWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	time.AfterFunc(500*time.Millisecond, func() {
		for i := range 20 {
			s.put(s.key(i))
			_, err := s.db.Exec(t.Context(), `INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at)
				SELECT nextval('tidelock.version_seq'), $1, 'set', '', 1000, true, 'infinity'`, s.key("stuck"))
			if i%10 == 0 && err != nil {
				t.Errorf("writing a record: %v", err)
			}
			if i%10 != 0 && err == nil {
				_, err = s.db.Exec(t.Context(), "DELETE FROM tidelock.outbox WHERE version = (SELECT max(version) FROM tidelock.outbox WHERE key = $1)", s.key("stuck"))
				must(t, err)
			}
		}
	})
	r := s.verify(func(c *verify.Config) {
		*c = c.Shortened(time.Second, 3*time.Second, time.Hour)
		c.For = 8 * time.Second
	})
	if w := r.ByWrite; w[0].Judged != 40 || w[0].Late != 2 || w[1].Judged != 40 || w[1].Late != 2 || w[2].Judged != 0 || w[2].Late != 0 {
		t.Errorf("of 40 writes of which 2 wait: %+v", w)
	}
}

// TestNothingIsWrongUnderTraffic compares while the same few keys are written all the time, inline and by a relay.
func TestNothingIsWrongUnderTraffic(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rig.Relay(t, relay.Config{DB: s.db, Cache: s.cache, NATS: rig.NATS(t, stacktest.NATS(t).URL()), Stream: "VERIFY-" + s.prefix, Log: rig.Log(t)})
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				s.put(s.key((n*7 + i) % 20))
			}
		})
	}
	defer writers.Wait()
	defer stop()
	seen := int64(0)
	stacktest.Eventually(t, 60*time.Second, func() bool {
		r := s.verify()
		if r.Differing > 0 {
			t.Errorf("it finds differences: %+v", r.Differences)
		}
		seen += r.Held
		return seen > 2000
	}, "2000 entries are compared")
}

// TestSample compares some of the keys: a share of them, and those changed lately.
func TestSample(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var writers sync.WaitGroup
	for i := range 400 {
		writers.Go(func() { s.put(s.key(i)) })
	}
	writers.Wait()
	var xid int64
	must(t, s.db.QueryRow(t.Context(), "SELECT pg_current_xact_id()::text::bigint").Scan(&xid))
	s.put(s.key("last"))
	if r := s.verify(func(c *verify.Config) { c.Keys.Since = xid }); r.Keys != 1 {
		t.Errorf("of the keys changed since transaction %d it has compared %d, want 1", xid, r.Keys)
	}
	r := s.verify(func(c *verify.Config) { c.Keys.Share, c.Keys.Seed = 0.25, 1 })
	if r.Keys < 50 || r.Keys > 160 {
		t.Errorf("a quarter of 401 keys is %d", r.Keys)
	}
}

// TestUnanswered says which server did not answer.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	server := stacktest.OwnValkey(t)
	c := rig.Cache(t, server.URL())
	s.put(s.key("a"))
	must(t, server.Kill())
	if _, err := verify.Run(t.Context(), verify.Config{DB: s.db, Cache: c}); !errors.Is(err, cache.ErrUnavailable) || !strings.Contains(err.Error(), "reading entries") {
		t.Errorf("without Valkey: %v", err)
	}
}

// TestConfig refuses settings that make no sense, by name.
func TestConfig(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := verify.Config{DB: s.db, Cache: s.cache}
	for name, change := range map[string]func(*verify.Config){
		"DB":    func(c *verify.Config) { c.DB = nil },
		"Cache": func(c *verify.Config) { c.Cache = nil },
		"Rate":  func(c *verify.Config) { c.Rate = -1 },
		"share": func(c *verify.Config) { c.Keys.Share = 1.5 },
		"For":   func(c *verify.Config) { c.For = -1 },
		"Since": func(c *verify.Config) { c.Keys.Since, c.Rows = 1, []verify.Rows{nil} },
	} {
		cfg := good
		change(&cfg)
		if _, err := verify.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
