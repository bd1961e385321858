package reader_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// strictTable is a table whose keys are strict, with a Valkey of its own that everybody reaches by a way of their own.
type strictTable struct {
	*table
	server *stack.Valkey
	guard  *stack.Proxy // the guardian's way to Valkey
	nats   *nats.Conn
	leases *lease.Client
	stop   func() // ends the guardian
}

func newStrict(t *testing.T) *strictTable {
	t.Helper()
	server := stacktest.OwnValkey(t)
	s := &strictTable{table: tableOn(t, rig.DB(t), server.URL()), server: server, guard: rig.Proxy(t, server.Addr()), nats: rig.NATS(t, stacktest.NATS(t).URL())}
	must(t, outbox.DeclareStrict(t.Context(), s.db, s.prefix))
	_, s.stop = rig.Relay(t, relay.Config{DB: s.db, Cache: rig.Cache(t, "valkey://"+s.guard.Addr()), NATS: s.nats, Stream: "T" + rand.Text(), Log: rig.Log(t)})
	s.leases = s.client()
	stacktest.Eventually(t, patience, func() bool { return s.trusted() && !s.leases.Held().Refuses(s.prefix) }, "the prefix is in force")
	return s
}

func (s *strictTable) client() *lease.Client {
	s.t.Helper()
	c, err := lease.NewClient(lease.Config{DB: s.db, NATS: s.nats, Log: rig.Log(s.t)})
	must(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// trusted reports whether the server that the table's own connections lead to is.
func (s *strictTable) trusted() bool {
	return s.leases.Held().Trusts(lease.Now(), s.cache.Links().Runs)
}

// through is a cache behind a proxy.
func (s *strictTable) through() (*stack.Proxy, *cache.Cache) {
	s.t.Helper()
	proxy := rig.Proxy(s.t, s.server.Addr())
	return proxy, rig.Cache(s.t, "valkey://"+proxy.Addr(), func(c *cache.Config) { c.Timeout = patience })
}

func (s *strictTable) strictWriter(c *cache.Cache) *writer.Writer {
	s.t.Helper()
	return rig.Writer(s.t, writer.Config{DB: s.db, Cache: c, NATS: s.nats, Leases: s.leases, SettleTimeout: patience})
}

func (s *strictTable) strictReader(c *cache.Cache) *reader.Raw {
	s.t.Helper()
	return s.raw(func(cfg *reader.Config) {
		cfg.Leases, cfg.Cache, cfg.SettleTimeout, cfg.LoadTimeout = s.leases, c, patience, patience
	})
}

// read is a strict one.
func (s *strictTable) read(r *reader.Raw, key string) (string, bool) {
	s.t.Helper()
	p, err := r.Get(s.t.Context(), key, reader.Strict())
	must(s.t, err)
	many, err := r.GetMany(s.t.Context(), []string{key}, reader.Strict())
	must(s.t, err)
	if string(many[key].Bytes) != string(p.Bytes) {
		s.t.Errorf("two strict reads in a row returned %q and %q", p.Bytes, many[key].Bytes)
	}
	return string(p.Bytes), p.Hit
}

// commit commits a write whose writer dies before it does anything else, and returns its version. No relay comes to it.
func (s *strictTable) commit(key, value string) int64 {
	s.t.Helper()
	s.insert(key, value)
	strict, err := outbox.ReadStrict(s.t.Context(), s.db)
	must(s.t, err)
	records := []outbox.Record{{Key: key, Kind: outbox.Set, Payload: []byte(value), TTL: time.Hour}}
	var b pgx.Batch
	outbox.Append(&b, records, time.Hour, strict)
	must(s.t, s.db.SendBatch(s.t.Context(), &b).Close())
	return records[0].Version
}

// TestStrict reads what was written, from the cache.
func TestStrict(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	r, w, key := s.strictReader(s.cache), s.strictWriter(s.cache), s.key("k")
	hits := 0
	for i := range 200 {
		s.put(key, fmt.Sprint(i), w)
		value, hit := s.read(r, key)
		if value != fmt.Sprint(i) {
			t.Fatalf("the strict read after the write of %d returned %s, from the cache: %t", i, value, hit)
		}
		if hit {
			hits++
		}
	}
	if hits < 150 {
		t.Errorf("with all well %d of 200 strict reads were served from the cache", hits)
	}
	s.del(key)
	if value, hit := s.read(r, key); value != "199" || hit {
		t.Errorf("an evicted key gave %q, from the cache: %t", value, hit)
	}
	stacktest.Eventually(t, patience, func() bool { _, hit := s.read(r, key); return hit }, "the load fills the cache")
	if _, err := r.Get(t.Context(), s.key("none"), reader.Strict()); !errors.Is(err, reader.ErrNotFound) {
		t.Errorf("a strict read of no row gave %v", err)
	}
}

// TestStrictSettles has a writer that cannot reach the cache: it is acknowledged once the guardian has seen to it.
func TestStrictSettles(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	r, w, key := s.strictReader(s.cache), s.strictWriter(rig.Cache(t, "valkey://127.0.0.1:1")), s.key("k")
	for i := range 50 {
		s.put(key, fmt.Sprint(i), w)
		if value, hit := s.read(r, key); value != fmt.Sprint(i) {
			t.Fatalf("the strict read after the write of %d returned %s, from the cache: %t", i, value, hit)
		}
	}
	if !s.trusted() {
		t.Error("the guardian could settle it, and yet the cache is not trusted")
	}
}

// TestStrictLoadIsSettled has a reader that cannot reach the cache return what it has read from Postgres: from then on nobody is served the older value.
func TestStrictLoadIsSettled(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	w := s.strictWriter(s.cache)
	blind := s.strictReader(rig.Cache(t, "valkey://127.0.0.1:1"))
	seeing := s.strictReader(s.cache)
	for i := range 20 {
		key := s.key(fmt.Sprint(i))
		s.put(key, "old", w)
		stacktest.Eventually(t, patience, func() bool { _, hit := s.read(seeing, key); return hit }, "the cache serves")
		s.commit(key, "new")
		if value, hit := s.read(blind, key); value != "new" || hit {
			t.Fatalf("a reader without a cache returned %q, from the cache: %t", value, hit)
		}
		if value, hit := s.read(seeing, key); value != "new" {
			t.Fatalf("one strict read returned the new value, and the next one %q, from the cache: %t", value, hit)
		}
	}
}

// TestStrictWithoutValkey writes and reads while Valkey is away, for which everybody has to distrust it first, and when it is back.
func TestStrictWithoutValkey(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end func(*stack.Valkey) error }{
		"killed": {(*stack.Valkey).Kill, func(v *stack.Valkey) error { return v.Start(t.Context()) }},
		"paused": {(*stack.Valkey).Pause, (*stack.Valkey).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStrict(t)
			near := rig.Cache(t, s.server.URL())
			r, w, key := s.strictReader(near), s.strictWriter(near), s.key("k")
			s.put(key, "before", w)
			must(t, fault.begin(s.server))
			for i := range 20 {
				began := time.Now()
				s.put(key, fmt.Sprint(i), w)
				t.Logf("write %d was acknowledged after %v", i, time.Since(began).Round(time.Millisecond))
				if value, hit := s.read(r, key); value != fmt.Sprint(i) || hit {
					t.Fatalf("the strict read after the write of %d returned %s, from the cache: %t", i, value, hit)
				}
			}
			must(t, fault.end(s.server))
			for hit, n := false, 0; !hit; n++ {
				s.put(key, fmt.Sprint("back ", n), w)
				var value string
				if value, hit = s.read(r, key); value != fmt.Sprint("back ", n) {
					t.Fatalf("the strict read after write %d since Valkey's return gave %q, from the cache: %t", n, value, hit)
				}
			}
		})
	}
}

// TestStrictWithoutGuardian writes and reads while nobody guards: the row of the office tells after a while that nobody trusts the cache.
func TestStrictWithoutGuardian(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	r, w, key := s.strictReader(s.cache), s.strictWriter(s.cache), s.key("k")
	s.put(key, "before", w)
	s.stop()
	for i := range 20 {
		s.put(key, fmt.Sprint(i), w)
		if value, _ := s.read(r, key); value != fmt.Sprint(i) {
			t.Fatalf("the strict read after the write of %d returned %s", i, value)
		}
	}
	stacktest.Eventually(t, patience, func() bool {
		held := s.leases.Held()
		return held.Suspended(lease.Now())
	}, "it is known that nobody trusts the cache")
}

// TestStrictOnAnotherServer has the reader's connections lead to a server that the lease does not name: an old primary, say.
func TestStrictOnAnotherServer(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	proxy, near := s.through()
	r, w, key := s.strictReader(near), s.strictWriter(s.cache), s.key("k")
	s.put(key, "new", w)
	stacktest.Eventually(t, patience, func() bool { _, hit := s.read(r, key); return hit }, "the cache serves")
	old := stacktest.OwnValkey(t)
	hand := rig.Valkey(t, old.URL())
	must(t, hand.Do(t.Context(), hand.B().Set().Key(key).Value("tl1 V 1\nold").Build()).Error())
	must(t, proxy.Retarget(strings.TrimPrefix(old.Addr(), "//"), false))
	stacktest.Eventually(t, patience, func() bool {
		p, err := r.Get(t.Context(), key)
		return err == nil && string(p.Bytes) == "old"
	}, "the reader is connected to the other server")
	if value, hit := s.read(r, key); value != "new" || hit {
		t.Errorf("another server answers, and the read returned %q, from the cache: %t", value, hit)
	}
}

// late is a strict read whose question, or answer, is a while under way.
type late struct {
	value string
	err   error
}

func (s *strictTable) readLate(r *reader.Raw, key string) <-chan late {
	done := make(chan late, 1)
	go func() {
		p, err := r.Get(context.WithoutCancel(s.t.Context()), key, reader.Strict())
		done <- late{string(p.Bytes), err}
	}()
	return done
}

// TestStrictAnswerBeforeTrust has the cache answer while nobody trusts it, with a value that is too old, and the answer arrive when it is trusted again: the
// lease has to be older than the question.
func TestStrictAnswerBeforeTrust(t *testing.T) {
	t.Parallel()
	const way = 3 * time.Second
	s := newStrict(t)
	proxy, near := s.through()
	r, w, key := s.strictReader(near), s.strictWriter(s.cache), s.key("k")
	s.put(key, "old", w)
	stacktest.Eventually(t, patience, func() bool { _, hit := s.read(r, key); return hit }, "the cache serves")

	must(t, s.guard.Cut())
	s.put(key, "new", s.strictWriter(rig.Cache(t, "valkey://127.0.0.1:1"))) // it is acknowledged because nobody trusts the cache any more
	must(t, proxy.Slow(way))
	answer := s.readLate(r, key)
	time.Sleep(way + way/10) // the cache has answered, and nobody who is asked could say so
	must(t, s.guard.Heal())
	stacktest.Eventually(t, patience, s.trusted, "the cache is trusted again")
	if a := <-answer; a.err != nil || a.value != "new" {
		t.Errorf("the new value was acknowledged, and then a strict read began that returned %q, %v", a.value, a.err)
	}
}

// TestStrictAnswerAfterTrust has an old primary answer when it is trusted no more, with a value that it alone has: the lease has to outlast the answer.
func TestStrictAnswerAfterTrust(t *testing.T) {
	t.Parallel()
	const way = 6 * time.Second
	s := newStrict(t)
	proxy, near := s.through()
	r, w, key := s.strictReader(near), s.strictWriter(s.cache), s.key("k")
	s.put(key, "one", w)
	stacktest.Eventually(t, patience, func() bool { _, hit := s.read(r, key); return hit }, "the cache serves")

	must(t, proxy.Slow(way))
	answer := s.readLate(r, key)
	arrives := time.Now().Add(2*way + way/10)
	next := stacktest.OwnValkey(t)
	must(t, s.guard.Retarget(strings.TrimPrefix(next.Addr(), "//"), false))
	there := rig.Cache(t, next.URL())
	other := s.strictReader(there)
	stacktest.Eventually(t, patience, func() bool { return s.leases.Held().Trusts(lease.Now(), there.Links().Runs) }, "the next server is trusted")
	stacktest.Eventually(t, patience, func() bool { _, hit := s.read(other, key); return hit }, "it serves")

	version := s.commit(key, "two")
	apply := s.cache.Apply(t.Context(), cache.Change{Key: key, Version: version, Kind: cache.Value, Payload: []byte("two"), TTL: time.Hour})
	if apply[0].Outcome != cache.Applied {
		t.Fatalf("the old primary does not take the value: %+v", apply[0])
	}
	time.Sleep(time.Until(arrives))
	must(t, proxy.Cut()) // what else the read may want from there would take as long
	a := <-answer
	if a.err != nil {
		t.Fatal(a.err)
	}
	if value, hit := s.read(other, key); a.value == "two" && value != "two" {
		t.Errorf("a strict read has returned the new value, and the next one returned %q, from the cache: %t", value, hit)
	}
}

// TestStrictRefuses names what is wrong.
func TestStrictRefuses(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	_, err := s.raw().Get(t.Context(), s.key("k"), reader.Strict())
	if !errors.Is(err, reader.ErrNoLeases) {
		t.Errorf("a reader without leases gave %v", err)
	}
	r := s.strictReader(s.cache)
	_, err = r.GetMany(t.Context(), []string{s.key("k"), "other"}, reader.Strict())
	if e, ok := errors.AsType[*reader.StrictError](err); !ok || e.Key != "other" {
		t.Errorf("a key that is not strict gave %v", err)
	}
	_, err = s.writer.Put(t.Context(), writer.Put{Key: s.key("k"), SQL: "SELECT 'x'"}) // it was made before the declaration
	if e, ok := errors.AsType[*writer.StrictError](err); !ok || e.Key != s.key("k") {
		t.Errorf("a writer without leases gave %v", err)
	}
	w := s.strictWriter(s.cache)
	s.put(s.key("k"), "v", w)
	if there, err := outbox.RetractStrict(t.Context(), s.db, s.prefix); err != nil || !there {
		t.Fatalf("retracting: %t, %v", there, err)
	}
	stacktest.Eventually(t, patience, func() bool {
		_, err := r.Get(t.Context(), s.key("k"), reader.Strict())
		_, refused := errors.AsType[*reader.StrictError](err)
		return refused
	}, "strict reads are refused")
	stacktest.Eventually(t, patience, func() bool {
		prefixes, err := outbox.StrictPrefixes(t.Context(), s.db)
		return err == nil && len(prefixes) == 0
	}, "the prefix is forgotten")
	s.put(s.key("k"), "v")
}

// TestStrictUnsettled has nobody left who could be asked.
func TestStrictUnsettled(t *testing.T) {
	t.Parallel()
	s := newStrict(t)
	db := rig.Proxy(t, s.db.Config().ConnConfig.Host+":"+fmt.Sprint(s.db.Config().ConnConfig.Port))
	far := rig.Proxy(t, strings.TrimPrefix(stacktest.NATS(t).URL(), "nats://"))
	leases, err := lease.NewClient(lease.Config{DB: rig.Pool(t, rerouted(s.db.Config().ConnString(), db.Addr())), NATS: rig.NATS(t, "nats://"+far.Addr()), Log: rig.Log(t)})
	must(t, err)
	t.Cleanup(leases.Close)
	key := s.key("k")
	s.put(key, "v", s.strictWriter(s.cache))
	r := s.raw(func(c *reader.Config) {
		c.Leases, c.SettleTimeout, c.Cache = leases, time.Second, rig.Cache(t, "valkey://127.0.0.1:1")
	})
	w := rig.Writer(t, writer.Config{DB: s.db, Cache: rig.Cache(t, "valkey://127.0.0.1:1"), Leases: leases, SettleTimeout: time.Second})
	must(t, errors.Join(db.Cut(), far.Cut()))
	if _, err := r.Get(t.Context(), key, reader.Strict()); !errors.Is(err, reader.ErrUnsettled) {
		t.Errorf("the read gave %v", err)
	}
	_, err = w.Put(t.Context(), writer.Put{Key: key, SQL: "UPDATE rows SET value = 'w' WHERE key = $1 RETURNING value", Args: []any{key}})
	if e, ok := errors.AsType[*writer.UnsettledError](err); !ok || e.Result.Version() == 0 {
		t.Errorf("the write gave %v", err)
	}
	if value, _ := s.read(s.strictReader(rig.Cache(t, "valkey://127.0.0.1:1")), key); value != "w" {
		t.Errorf("the write is committed, and the row is %q", value)
	}
}

// rerouted is a database's URL with another address.
func rerouted(url, addr string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	user, rest, _ := strings.Cut(rest, "@")
	_, path, _ := strings.Cut(rest, "/")
	return scheme + "://" + user + "@" + addr + "/" + path
}
