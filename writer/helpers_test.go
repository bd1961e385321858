package writer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// patience bounds the wait for what takes milliseconds on an idle machine.
const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a database with rows to write, and a Valkey. The key of a row is its cache key.
type world struct {
	db     *pgxpool.Pool
	url    string        // of the Valkey
	valkey valkey.Client // to do by hand what nobody should
	cache  *cache.Cache  // patient, and never behind a fault
	prefix string
}

// newWorld stands on the shared servers, in a database of its own.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, stacktest.Valkey(t))
}

func newWorldOn(t testing.TB, server *stack.Valkey) *world {
	t.Helper()
	v := worldIn(t, rig.DB(t).Config().ConnString(), server.URL())
	v.exec(t, itemSQL)
	return v
}

const itemSQL = "CREATE TABLE item (key text PRIMARY KEY, value text, n bigint NOT NULL DEFAULT 0)"

func worldIn(t testing.TB, database, valkey string) *world {
	t.Helper()
	return &world{db: pool(t, database, 16), url: valkey, prefix: rand.Text() + ":", valkey: rig.Valkey(t, valkey), cache: rig.Cache(t, valkey)}
}

// common is a database that tests share which look at their own keys alone: one for each costs more than the test.
var common struct {
	once sync.Once
	url  string // empty if it could not be made
}

// commonWorld is newWorld on that database. No relay may run there, and nothing may be locked but keys and rows of the test.
func commonWorld(t testing.TB) *world {
	t.Helper()
	common.once.Do(func() {
		url := stacktest.Template(t, "common")
		if _, err := migrations.Up(t.Context(), url); err != nil {
			t.Fatalf("migrating: %v", err)
		}
		conn, err := pgx.Connect(t.Context(), url)
		must(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), itemSQL)
		must(t, err)
		common.url = url
	})
	if common.url == "" {
		t.Fatal("there is no common database: see the test that failed first")
	}
	return worldIn(t, common.url, stacktest.Valkey(t).URL())
}

// pool returns a pool of that many connections.
func pool(t testing.TB, url string, conns int) *pgxpool.Pool {
	t.Helper()
	return rig.Pool(t, fmt.Sprintf("%s&pool_max_conns=%d", url, conns))
}

// writer returns a writer on the world's cache; tune may change its settings.
func (v *world) writer(t testing.TB, tune ...func(*writer.Config)) *writer.Writer {
	t.Helper()
	cfg := writer.Config{DB: v.db, Cache: v.cache, Log: rig.Log(t)}
	for _, f := range tune {
		f(&cfg)
	}
	return rig.Writer(t, cfg)
}

// relay runs a relay on the cache until the test ends.
func (v *world) relay(t testing.TB, c *cache.Cache) {
	t.Helper()
	rig.Relay(t, relay.Config{DB: v.db, Cache: c, NATS: rig.NATS(t, stacktest.NATS(t).URL()), Stream: "T" + rand.Text(), Log: rig.Log(t)})
}

// rows inserts rows of the value "old" and returns their keys.
func (v *world) rows(t testing.TB, names ...string) (keys []string) {
	t.Helper()
	for _, name := range names {
		keys = append(keys, v.prefix+name)
	}
	v.exec(t, "INSERT INTO item (key, value) SELECT key, 'old' FROM unnest($1::text[]) AS key", keys)
	return keys
}

// numbered is rows by number.
func (v *world) numbered(t testing.TB, n int) []string {
	t.Helper()
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint(i))
	}
	return v.rows(t, names...)
}

// warm gives the keys an entry with the value "old". A write to a key that the cache does not hold looks at Postgres before it
// stores the value, and lets it be when that takes long: a test that wants the value stored by a busy machine warms the key.
func (v *world) warm(t testing.TB, keys ...string) []string {
	t.Helper()
	var changes []cache.Change
	for i, held := range v.cache.Ticket(t.Context(), keys) {
		must(t, held.Err)
		changes = append(changes, cache.Change{Key: keys[i], Kind: cache.Value, Payload: []byte("old"), TTL: time.Hour, Ticket: held.Ticket})
	}
	for _, r := range v.cache.Fill(t.Context(), changes...) {
		if r.Outcome != cache.Applied {
			t.Fatalf("warming: %+v", r)
		}
	}
	return keys
}

func (v *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := v.db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, v *world, sql string, args ...any) (got T) {
	t.Helper()
	if err := v.db.QueryRow(t.Context(), sql, args...).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func (v *world) row(t testing.TB, key string) string {
	t.Helper()
	return value[string](t, v, "SELECT value FROM item WHERE key = $1", key)
}

func (v *world) awaitRow(t testing.TB, key, want string) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool { return v.row(t, key) == want }, "the row of", key, "is", want)
}

// records returns how many records the outbox holds of the world's keys, those set aside included.
func (v *world) records(t testing.TB) int {
	t.Helper()
	return value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE starts_with(key, $1)", v.prefix)
}

func (v *world) entry(t testing.TB, key string) cache.Entry {
	t.Helper()
	e, err := v.cache.Get(t.Context(), key)
	must(t, err)
	return e
}

// cached tells whether the cache serves this value.
func (v *world) cached(t testing.TB, key, want string) bool {
	t.Helper()
	e := v.entry(t, key)
	return e.Kind == cache.Value && string(e.Payload) == want
}

// settled tells whether the relay is done with a key: its record is gone, and the cache serves its row or nothing. It is nothing when
// the guardian's first repair came between the relay's ticket and its apply.
func (v *world) settled(t testing.TB, key string) bool {
	t.Helper()
	if value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE key = $1", key) > 0 {
		return false
	}
	e := v.entry(t, key)
	return !e.Hit() || string(e.Payload) == v.row(t, key)
}

// holds checks that row and entry have this value.
func (v *world) holds(t testing.TB, key, want string) {
	t.Helper()
	if row := v.row(t, key); row != want || !v.cached(t, key, want) {
		t.Errorf("the row of %s is %q, the entry %+v; want both to be %q", key, row, v.entry(t, key), want)
	}
}

// untouched checks that the write of a key has left nothing anywhere.
func (v *world) untouched(t testing.TB, key string) {
	t.Helper()
	row, e := v.row(t, key), v.entry(t, key)
	if e.Kind == cache.Value && string(e.Payload) == "old" && e.Version == 0 {
		e = cache.Entry{} // as it was warmed
	}
	versions := value[int](t, v, "SELECT count(*) FROM tidelock.versions WHERE key = $1", key)
	records := value[int](t, v, "SELECT count(*) FROM tidelock.outbox WHERE key = $1", key)
	if row != "old" || e.Kind != cache.None || versions != 0 || records != 0 {
		t.Errorf("%s was touched: row %q, entry %+v, %d versions, %d records", key, row, e, versions, records)
	}
}

// begin opens a transaction of somebody else's.
func (v *world) begin(t testing.TB) pgx.Tx {
	t.Helper()
	tx, err := v.db.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if err := tx.Rollback(context.Background()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("rolling back: %v", err)
		}
	})
	return tx
}

// lockKey holds the key in tidelock.versions, so that a writer of it waits right before its commit.
func (v *world) lockKey(t testing.TB, key string) pgx.Tx {
	t.Helper()
	tx := v.begin(t)
	_, err := outbox.Lock(t.Context(), tx, []string{key}, outbox.Strict{})
	must(t, err)
	return tx
}

func (v *world) lockRow(t testing.TB, key string) pgx.Tx {
	t.Helper()
	tx := v.begin(t)
	_, err := tx.Exec(t.Context(), "SELECT FROM item WHERE key = $1 FOR UPDATE", key)
	must(t, err)
	return tx
}

// awaitWaiting waits until that many sessions of the database wait for another's lock.
func (v *world) awaitWaiting(t testing.TB, n int) {
	t.Helper()
	stacktest.Eventually(t, patience, func() bool {
		return n == value[int](t, v, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	}, fmt.Sprint(n), "sessions wait for a lock")
}

// slowCache is a cache that the proxy can hold up for as long as it likes.
func slowCache(t testing.TB, p *stack.Proxy) *cache.Cache {
	t.Helper()
	return rig.Cache(t, "valkey://"+p.Addr(), func(c *cache.Config) { c.Timeout = time.Minute })
}

func median(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}
