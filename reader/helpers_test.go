package reader_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// patience is for what should take milliseconds on a machine that is busy with something else.
const patience = 20 * time.Second

// table is a database with the table rows (key, value), a cache, and a writer of the table.
type table struct {
	t      testing.TB
	db     *pgxpool.Pool
	cache  *cache.Cache
	url    string // of Valkey
	valkey valkey.Client
	writer *writer.Writer
	prefix string
	loads  atomic.Int64 // queries of rows

	// afterLoad, if set before the first read, is called with the rows that a load has read, before it returns them.
	afterLoad func(ctx context.Context, keys []string)
}

// newTable returns a table on the shared servers.
func newTable(t testing.TB) *table {
	t.Helper()
	return tableOn(t, rig.DB(t), stacktest.Valkey(t).URL())
}

// tableOn returns a table in this database, before the Valkey at url.
func tableOn(t testing.TB, db *pgxpool.Pool, url string, tune ...func(*cache.Config)) *table {
	t.Helper()
	if _, err := db.Exec(t.Context(), "CREATE TABLE rows (key text PRIMARY KEY, value bytea NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	f := &table{t: t, db: db, url: url, valkey: rig.Valkey(t, url), cache: rig.Cache(t, url, tune...), prefix: rand.Text()}
	f.writer = f.newWriter(f.cache)
	return f
}

func (f *table) newWriter(c *cache.Cache) *writer.Writer {
	return rig.Writer(f.t, writer.Config{DB: f.db, Cache: c})
}

// key returns a key that no other test uses.
func (f *table) key(name string) string { return f.prefix + ":" + name }

// raw returns a reader of the table; tune may change its settings.
func (f *table) raw(tune ...func(*reader.Config)) *reader.Raw {
	f.t.Helper()
	cfg := f.config()
	cfg.Load = f.load
	for _, change := range tune {
		change(&cfg)
	}
	r, err := reader.NewRaw(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(r.Close)
	return r
}

func (f *table) config() reader.Config {
	return reader.Config{Cache: f.cache, DB: f.db, Log: rig.Log(f.t)}
}

// load reads rows, as a reader's Load.
func (f *table) load(ctx context.Context, keys []string) (map[string][]byte, error) {
	f.loads.Add(1)
	found, err := f.db.Query(ctx, "SELECT key, value FROM rows WHERE key = ANY ($1)", keys)
	if err != nil {
		return nil, err
	}
	values := make(map[string][]byte)
	var key string
	var value []byte
	_, err = pgx.ForEachRow(found, []any{&key, &value}, func() error {
		values[key] = value
		return nil
	})
	if f.afterLoad != nil {
		f.afterLoad(ctx, keys)
	}
	return values, err
}

// insert writes a row without a word to Tidelock: for rows that are older than it.
func (f *table) insert(key, value string) {
	f.t.Helper()
	const sql = "INSERT INTO rows VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
	if _, err := f.db.Exec(f.t.Context(), sql, key, []byte(value)); err != nil {
		f.t.Fatal(err)
	}
}

// put writes a row through a writer, the table's own unless another is given.
func (f *table) put(key, value string, by ...*writer.Writer) writer.Result {
	f.t.Helper()
	w := append(by, f.writer)[0]
	result, err := w.Put(f.t.Context(), writer.Put{
		Key:  key,
		SQL:  "INSERT INTO rows VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING value",
		Args: []any{key, []byte(value)},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return result
}

// del removes an entry by hand.
func (f *table) del(key string) {
	f.t.Helper()
	f.do(f.valkey.B().Del().Key(key).Build())
}

func (f *table) do(cmd valkey.Completed) {
	f.t.Helper()
	if err := f.valkey.Do(f.t.Context(), cmd).Error(); err != nil {
		f.t.Fatal(err)
	}
}

// entry returns what the cache holds.
func (f *table) entry(key string) cache.Entry {
	f.t.Helper()
	e, err := f.cache.Get(f.t.Context(), key)
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

// holds checks that the cache holds this value for key; "" means that it holds no row.
func (f *table) holds(key, value string) {
	f.t.Helper()
	if e := f.entry(key); !e.Hit() || string(e.Payload) != value {
		f.t.Errorf("the cache holds %c %q of version %d for %s, want the value %q", e.Kind, e.Payload, e.Version, key, value)
	}
}

// want checks one read.
func want(t testing.TB, p reader.Payload, err error, value string, hit bool) {
	t.Helper()
	if err != nil || string(p.Bytes) != value || p.Hit != hit {
		t.Errorf("read %q, hit %v, error %v; want %q, hit %v", p.Bytes, p.Hit, err, value, hit)
	}
}

// loadError checks that err is a *reader.LoadError that names exactly these keys.
func loadError(t testing.TB, err error, keys ...string) {
	t.Helper()
	e, ok := errors.AsType[*reader.LoadError](err)
	if !ok || !sameSet(e.Keys, keys) {
		t.Errorf("the error is %v, want a LoadError of %q", err, keys)
	}
}

func sameSet(a, b []string) bool {
	count := make(map[string]int)
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// noStatements is for a Write of changes alone.
func noStatements(context.Context, *writer.Tx) error { return nil }
