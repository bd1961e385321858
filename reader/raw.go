package reader

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/lease"
)

//go:embed sql/versions.sql
var versionsSQL string

// DB is what a reader needs of the primary's *pgxpool.Pool. A replica will not do: a load from it may be older than its label.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Config says what a reader works with. The zero value of a field means its default.
type Config struct {
	// Cache is where values are got and filled. Required. The reader does not close it.
	Cache *cache.Cache
	// DB is the primary that holds the schema tidelock. Required.
	DB DB
	// Load reads the rows of these keys from the primary and returns the payload of each that exists. It must see what was committed
	// before it began: no replica, no other cache, no older snapshot. It serves several callers at once, so its context bears
	// none of their values, but for the span of the load; it must end with that context, for it holds one of the Loads. Required.
	Load func(ctx context.Context, keys []string) (map[string][]byte, error)
	// TTL is the time to live of what is filled, less up to a tenth by chance. Default 1 h.
	TTL time.Duration
	// AbsentTTL is the same for keys without a row. Default 30 s.
	AbsentTTL time.Duration
	// Loads is how many loads may be under way at once, so that a cold cache cannot stampede Postgres. Default 16.
	Loads int
	// LoadTimeout bounds a load and its wait for one of the Loads, also when its callers would wait longer. Default 5 s; a fill after
	// cache.Config.PlaceholderTTL is refused.
	LoadTimeout time.Duration
	// Leases is what reads with Within and Strict need. The reader does not close it. Default none.
	Leases *lease.Client
	// SettleTimeout bounds how long a read with Strict that came from Postgres waits until nobody is served anything older. Default 5 s.
	SettleTimeout time.Duration
	// Traces makes the spans of reads that the cache could not answer. nil means no spans.
	Traces trace.TracerProvider
	// Log receives what goes wrong in the background. nil means no logs.
	Log *zap.Logger
}

func (c Config) ttl() time.Duration           { return orDefault(c.TTL, time.Hour) }
func (c Config) absentTTL() time.Duration     { return orDefault(c.AbsentTTL, 30*time.Second) }
func (c Config) loads() int                   { return orDefault(c.Loads, 16) }
func (c Config) settleTimeout() time.Duration { return orDefault(c.SettleTimeout, 5*time.Second) }
func (c Config) loadTimeout() time.Duration   { return orDefault(c.LoadTimeout, 5*time.Second) }

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (c Config) validate() error {
	switch {
	case c.Cache == nil:
		return errors.New("reader: Cache is nil: make one with cache.New, it may be down")
	case c.DB == nil:
		return errors.New("reader: DB is nil: give the pool of the primary")
	case c.Load == nil:
		return errors.New("reader: Load is nil: give the function that reads the rows")
	case c.Loads < 0:
		return fmt.Errorf("reader: Loads is %d: it must be positive", c.Loads)
	case c.LoadTimeout < 0 || c.SettleTimeout < 0:
		return fmt.Errorf("reader: LoadTimeout is %v and SettleTimeout %v: both must be positive", c.LoadTimeout, c.SettleTimeout)
	}
	if err := cache.CheckTTL(c.ttl()); err != nil {
		return fmt.Errorf("reader: TTL: %w", err)
	}
	if err := cache.CheckTTL(c.absentTTL()); err != nil {
		return fmt.Errorf("reader: AbsentTTL: %w", err)
	}
	return nil
}

// Stats counts what a reader has done since it was made.
type Stats struct {
	Hits, Misses int64 // keys asked for: served from the cache, or not
	Loads        int64 // queries to Postgres
	Loaded       int64 // keys they asked for
	Refused      int64 // fills that came too late
}

// Raw is a reader of payloads. It is safe for any number of goroutines. New makes a typed one.
type Raw struct {
	cfg   Config
	cache *cache.Cache
	slots *semaphore.Weighted
	log   *zap.Logger
	trace *traces.Tracer

	counts counts

	mu      sync.Mutex // guards what follows
	flights map[string]*flights
	closed  bool
	work    sync.WaitGroup
}

// NewRaw makes a reader. It does not talk to anything: cache and Postgres may be down.
func NewRaw(cfg Config) (*Raw, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Raw{cfg: cfg, cache: cfg.Cache, log: cfg.Log, trace: traces.New(cfg.Traces, "reader"), slots: semaphore.NewWeighted(int64(cfg.loads())), flights: make(map[string]*flights)}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	return r, nil
}

// Close waits for the loads under way. Misses after it return ErrClosed.
func (r *Raw) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.work.Wait()
}

// Stats returns the reader's counters.
func (r *Raw) Stats() Stats {
	c := &r.counts
	return Stats{Hits: sum(&c.hits), Misses: sum(&c.misses), Loads: c.loads.Load(), Loaded: c.loaded.Load(), Refused: c.changed.Load() + c.late.Load()}
}

// Payload is what a read found.
type Payload struct {
	// Bytes must not be written to: callers who shared a load share them.
	Bytes []byte
	// Version is the entry's label: the value is at least as new as this version of the key.
	Version int64
	// Seen is the highest version of the key that the value may be of: the label of a hit; for a load, the key's version when it was looked at again after
	// the row. 0 says that it is not known, or that the key has no version: a load looks again only if it may fill the cache or is a session's
	// (In), so not with Valkey down, and if Postgres fails by then there is the value, but no Seen.
	Seen int64
	// Hit says that it came from the cache.
	Hit bool
}

// Get returns the key's payload, ErrNotFound when there is no row, a *cache.KeyError for a text that is no key, or a
// *LoadError when the cache does not hold the key and Postgres does not answer.
func (r *Raw) Get(ctx context.Context, key string, options ...Option) (Payload, error) {
	if err := cache.CheckKey(key); err != nil {
		return Payload{}, err
	}
	asked := demands(options)
	held, err := r.leased(asked, key)
	if err != nil {
		return Payload{}, err
	}
	if p, useful := r.prove(asked, held); useful {
		if entry, err := r.hit(ctx, key, asked); err == nil && serves(&entry, asked.version(key)) && r.holds(asked, p) {
			r.counts.hits[asked.level()].Add(1)
			found := served(&entry)
			return asked.accept(key, &found)
		}
	}
	return r.miss(ctx, key, asked)
}

// miss loads the key, whatever the cache holds below what is asked.
func (r *Raw) miss(ctx context.Context, key string, asked demand) (Payload, error) {
	if err := ctx.Err(); err != nil {
		return Payload{}, err
	}
	r.counts.misses[asked.level()].Add(1)
	found := r.load(ctx, []string{key}, asked.fresh())[key]
	return asked.accept(key, &found)
}

// GetMany returns the payloads of those keys that have a row. What the cache holds costs one MGET, the rest one load.
// With Postgres down it returns the hits and a *LoadError that names the other keys.
func (r *Raw) GetMany(ctx context.Context, keys []string, options ...Option) (map[string]Payload, error) {
	for _, key := range keys {
		if err := cache.CheckKey(key); err != nil {
			return nil, err
		}
	}
	asked := demands(options)
	held, err := r.leased(asked, keys...)
	if err != nil {
		return nil, err
	}
	got := make(map[string]Payload, len(keys))
	missing := r.hitMany(ctx, keys, asked, held, got)
	if len(missing) == 0 {
		return got, nil
	}
	if err := ctx.Err(); err != nil {
		return got, err
	}
	r.counts.misses[asked.level()].Add(int64(len(missing)))
	return got, collect(r.load(ctx, missing, asked.fresh()), missing, asked, got)
}

// hitMany puts what the cache may serve into got and returns the other keys, each once.
func (r *Raw) hitMany(ctx context.Context, keys []string, asked demand, held *lease.Held, got map[string]Payload) []string {
	var entries []cache.Entry
	p, believed := r.prove(asked, held)
	if believed {
		var err error
		entries, err = r.hitAll(ctx, keys, asked)
		believed = err == nil && r.holds(asked, p)
	}
	var missing, absent []string
	for i, key := range keys {
		if !believed || !serves(&entries[i], asked.version(key)) {
			missing = append(missing, key)
			continue
		}
		found := served(&entries[i])
		if p, err := asked.accept(key, &found); err == nil {
			got[key] = p
		} else {
			absent = append(absent, key)
		}
	}
	r.counts.hits[asked.level()].Add(int64(len(got) + len(unique(absent))))
	return unique(missing)
}

// unique returns the keys, each once.
func unique(keys []string) []string {
	if len(keys) < 2 {
		return keys
	}
	seen := make(map[string]bool, len(keys))
	once := keys[:0]
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			once = append(once, key)
		}
	}
	return once
}

// collect adds what was loaded to got. Keys that failed make one error.
func collect(found map[string]landing, keys []string, asked demand, got map[string]Payload) error {
	var failed []string
	var cause error
	for _, key := range keys {
		landed := found[key]
		p, err := asked.accept(key, &landed)
		switch {
		case err == nil:
			got[key] = p
		case !errors.Is(err, ErrNotFound) || landed.err != nil:
			failed, cause = append(failed, key), err
		}
	}
	if failed == nil {
		return nil
	}
	if load, ok := errors.AsType[*LoadError](cause); ok {
		cause = load.Err
	}
	return &LoadError{Keys: failed, Err: cause}
}

// serves reports whether the entry answers a read that may not get an older version than need.
func serves(e *cache.Entry, need int64) bool {
	return e.Hit() && (e.Version >= need || mutant.On("at-least"))
}
