package relay_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

const (
	// patience is for what should take milliseconds on a machine that is busy with something else.
	patience = 30 * time.Second
	// recordLease is short where a test waits for one to end.
	recordLease = time.Second
	// readSQL stands in the statement with which a consumer reads a chunk's records, retireSQL in the one that retires them.
	readSQL, retireSQL = "o.ttl_ms", "DELETE FROM tidelock.outbox o\nUSING unnest("
)

// site is a database with the schema, a cache and a stream: what a relay works on.
type site struct {
	t      testing.TB
	db     *pgxpool.Pool
	cache  *cache.Cache
	url    string // of Valkey
	valkey valkey.Client
	nats   *nats.Conn
	stream string
	prefix string
}

// newSite returns a site on the shared servers.
func newSite(t testing.TB) *site {
	t.Helper()
	return siteOn(t, rig.DB(t), stacktest.Valkey(t).URL(), stacktest.NATS(t).URL())
}

func siteOn(t testing.TB, db *pgxpool.Pool, valkeyURL, natsURL string, tune ...func(*cache.Config)) *site {
	t.Helper()
	// Tests share a NATS, and a nudge names versions: those of another test's database must not be ours.
	if _, err := db.Exec(t.Context(), "SELECT setval('tidelock.version_seq', $1)", 1+mathrand.N(int64(1)<<39)); err != nil {
		t.Fatal(err)
	}
	name := rand.Text()
	s := &site{t: t, db: db, url: valkeyURL, valkey: rig.Valkey(t, valkeyURL), cache: rig.Cache(t, valkeyURL, tune...),
		nats: rig.NATS(t, natsURL), stream: "TEST-" + name, prefix: name}
	s.onRecord()
	return s
}

// onRecord puts the server on record, so that no repair is in the test's way.
func (s *site) onRecord() {
	s.t.Helper()
	var servers []cache.Server
	var err error
	stacktest.Eventually(s.t, patience, func() bool {
		servers, err = s.cache.Watch(s.t.Context(), "", nil)
		return err == nil
	}, "the server says who it is")
	_, err = s.db.Exec(s.t.Context(), "INSERT INTO tidelock.servers (shard, run_id, repl_id) VALUES ('', $1, $2)", servers[0].RunID, servers[0].ReplID)
	if err != nil {
		s.t.Fatal(err)
	}
}

// key returns a key that no other test uses.
func (s *site) key(name any) string { return s.prefix + ":" + fmt.Sprint(name) }

// run runs a relay of this site; tune may change its settings.
func (s *site) run(tune ...func(*relay.Config)) (r *relay.Relay, stop func()) {
	s.t.Helper()
	return rig.Relay(s.t, s.config(tune...))
}

func (s *site) config(tune ...func(*relay.Config)) relay.Config {
	cfg := relay.Config{DB: s.db, Cache: s.cache, NATS: s.nats, Stream: s.stream, Poll: 20 * time.Millisecond, Log: rig.Log(s.t)}
	for _, change := range tune {
		change(&cfg)
	}
	return cfg
}

func shortLease(cfg *relay.Config) { cfg.Lease = recordLease }

// set is a record of a value that is to be stored even where the cache holds none.
func set(key, payload string) outbox.Record {
	return outbox.Record{Key: key, Kind: outbox.Set, Payload: []byte(payload), TTL: time.Hour, Allocate: true}
}

// record commits records that are due at once, as a writer leaves them that has died right after its commit. It returns their versions.
func (s *site) record(records ...outbox.Record) []int64 {
	s.t.Helper()
	return s.recordWithin(0, records...)
}

func (s *site) recordWithin(grace time.Duration, records ...outbox.Record) []int64 {
	s.t.Helper()
	strict, err := outbox.ReadStrict(s.t.Context(), s.db)
	must(s.t, err)
	err = pgx.BeginFunc(s.t.Context(), s.db, func(tx pgx.Tx) error {
		var b pgx.Batch
		outbox.Append(&b, records, grace, strict)
		return tx.SendBatch(s.t.Context(), &b).Close()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var versions []int64
	for _, r := range records {
		versions = append(versions, r.Version)
	}
	return versions
}

// recordMany commits n records of as many keys, with payloads that tell them apart.
func (s *site) recordMany(n int) {
	s.t.Helper()
	var records []outbox.Record
	for i := range n {
		records = append(records, set(s.key(i), fmt.Sprint("payload ", i)))
	}
	s.record(records...)
}

// holdsMany checks that the cache holds what recordMany has recorded.
func (s *site) holdsMany(n int) {
	s.t.Helper()
	for i := range n {
		s.holds(s.key(i), fmt.Sprint("payload ", i))
	}
}

// drained waits until no record is pending.
func (s *site) drained() {
	s.t.Helper()
	stacktest.Eventually(s.t, patience, func() bool {
		stats, err := outbox.Count(s.t.Context(), s.db)
		return err == nil && stats.Pending == 0
	}, "the outbox is drained")
}

// pending returns the records that are not settled, by version.
func (s *site) pending() map[int64]outbox.Item {
	s.t.Helper()
	items, err := outbox.List(s.t.Context(), s.db, outbox.Filter{}, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	byVersion := make(map[int64]outbox.Item)
	for _, item := range items {
		byVersion[item.Version] = item
	}
	return byVersion
}

// seed puts an entry into the cache.
func (s *site) seed(key string, version int64, payload string) {
	s.t.Helper()
	ticket := s.cache.Ticket(s.t.Context(), []string{key})[0]
	change := cache.Change{Key: key, Version: version, Kind: cache.Value, Payload: []byte(payload), TTL: time.Hour, Ticket: ticket.Ticket}
	if reply := s.cache.Apply(s.t.Context(), change)[0]; reply.Outcome != cache.Applied {
		s.t.Fatalf("seeding %s: %v, %v", key, reply.Outcome, reply.Err)
	}
}

// entry returns what the cache holds. Right after a restart a connection may have to find out first that it is dead.
func (s *site) entry(key string) (e cache.Entry) {
	s.t.Helper()
	var err error
	stacktest.Eventually(s.t, patience, func() bool {
		e, err = s.cache.Get(s.t.Context(), key)
		return !errors.Is(err, cache.ErrUnavailable)
	}, "the cache answers")
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// holds checks that the cache holds this value for key.
func (s *site) holds(key, payload string) {
	s.t.Helper()
	if e := s.entry(key); e.Kind != cache.Value || string(e.Payload) != payload {
		s.t.Errorf("the cache holds %q %q of version %d for %s, want the value %q", string(e.Kind), e.Payload, e.Version, key, payload)
	}
}

func (s *site) do(cmd valkey.Completed) {
	s.t.Helper()
	if err := s.valkey.Do(s.t.Context(), cmd).Error(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) del(key string) {
	s.t.Helper()
	s.do(s.valkey.B().Del().Key(key).Build())
}

func (s *site) jetstream() jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.nats)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// messages returns how many chunks the stream holds, -1 when it cannot be told.
func (s *site) messages() int {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	stream, err := s.jetstream().Stream(ctx, s.stream)
	if err != nil {
		return -1
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return -1
	}
	return int(info.State.Msgs)
}

// await waits for a signal.
func await(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// hasten makes records due now.
func hasten(ctx context.Context, db outbox.DB, versions []int64) error {
	_, err := db.Exec(ctx, "UPDATE tidelock.outbox SET due_at = now() WHERE version = ANY ($1)", versions)
	return err
}
