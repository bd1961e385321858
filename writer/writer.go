package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Allocation says what a write does to a key that the cache does not hold.
type Allocation int

const (
	// AllocateOnWrite stores the value: it can be read from the cache at once.
	AllocateOnWrite Allocation = iota
	// AllocateOnRead leaves the key to its first reader: rows that nobody reads do not fill the cache.
	AllocateOnRead
)

// Config says what a Writer works with. The zero value of a field means its default.
type Config struct {
	// DB is the pool of the primary that holds the rows and the schema tidelock. Required.
	DB *pgxpool.Pool
	// Cache is where changes are applied. Required. The writer does not close it.
	Cache *cache.Cache
	// NATS, if set, is told of deferred writes, so that a relay need not find them by itself. The writer does not close it.
	NATS *nats.Conn
	// Allocate says what becomes of keys that the cache does not hold. Default AllocateOnWrite.
	Allocate Allocation
	// TTL is the time to live of entries whose change names none. Default 1 h.
	TTL time.Duration
	// Grace is how long the writer has to settle a record before a relay takes it. Default 500 ms.
	Grace time.Duration
	// Leases is what writes to strict keys need (outbox.DeclareStrict). The writer does not close it. Default none: they are refused.
	Leases *lease.Client
	// SettleTimeout bounds how long a write to a strict key waits, once it is committed, until every strict read sees it. Beyond it there is an
	// UnsettledError. Default 5 s.
	SettleTimeout time.Duration
	// CommitTimeout bounds each of Put's transactions, and the last round trip of any: beyond it the outcome is ErrUnknown. Default 10 s.
	CommitTimeout time.Duration
	// Committers is how many of Put's transactions may be under way at once. Default 2. Each takes a connection of DB.
	Committers int
	// GroupMax is the most Puts that share a transaction. Default 128.
	GroupMax int
	// RecordMax is the largest payload, in bytes, that stands in a record. A larger one is applied to the cache like any other, but should that fail, a relay
	// invalidates the key instead, or loads it if it can, and the next reader loads the value: the outbox does not store it a second time. Default 2000, for what is larger Postgres
	// stores apart from its row. Tables that are attached have all payloads recorded.
	RecordMax int
	// Traces makes the spans of writes, and has records bear them, so that a relay's belong to the same trace. nil means no spans.
	Traces trace.TracerProvider
	// Log receives what goes wrong in the background. nil means no logs.
	Log *zap.Logger
}

func (c Config) ttl() time.Duration           { return orDefault(c.TTL, time.Hour) }
func (c Config) grace() time.Duration         { return orDefault(c.Grace, 500*time.Millisecond) }
func (c Config) commitTimeout() time.Duration { return orDefault(c.CommitTimeout, 10*time.Second) }
func (c Config) settleTimeout() time.Duration { return orDefault(c.SettleTimeout, 5*time.Second) }
func (c Config) committers() int              { return orDefault(c.Committers, 2) }
func (c Config) groupMax() int                { return orDefault(c.GroupMax, 128) }
func (c Config) recordMax() int               { return orDefault(c.RecordMax, 2000) }

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (c Config) validate() error {
	if c.DB == nil {
		return errors.New("writer: DB is nil: give the pool of the primary")
	}
	if c.Cache == nil {
		return errors.New("writer: Cache is nil: make one with cache.New, it may be down")
	}
	if c.Allocate != AllocateOnWrite && c.Allocate != AllocateOnRead {
		return fmt.Errorf("writer: Allocate is %d: use AllocateOnWrite or AllocateOnRead", c.Allocate)
	}
	if err := cache.CheckTTL(c.ttl()); err != nil {
		return fmt.Errorf("writer: TTL: %w", err)
	}
	if c.Grace < 0 || c.CommitTimeout < 0 || c.SettleTimeout < 0 {
		return fmt.Errorf("writer: Grace is %v, CommitTimeout %v and SettleTimeout %v: all must be positive", c.Grace, c.CommitTimeout, c.SettleTimeout)
	}
	if c.Committers < 0 || c.GroupMax < 0 || c.RecordMax < 0 {
		return fmt.Errorf("writer: Committers is %d, GroupMax %d and RecordMax %d: all must be positive", c.Committers, c.GroupMax, c.RecordMax)
	}
	return nil
}

// Writer commits changes. It is safe for any number of goroutines.
type Writer struct {
	cfg     Config
	db      *pgxpool.Pool
	cache   *cache.Cache
	log     *zap.Logger
	trace   *traces.Tracer
	settler *settler
	counts  counts
	strict  atomic.Pointer[outbox.Strict] // which keys are; Postgres refuses what is out of date
	reading sync.Mutex                    // held by whoever reads them
	behind  chan struct{}                 // they are out of date
	puts    chan *queued
	putting atomic.Int64  // Puts under way
	alone   chan struct{} // bounds the Puts that go by themselves
	waiting chan struct{} // bounds those of them that wait for a lock

	closing sync.Once
	mu      sync.Mutex // guards closed, and calls against a Close that waits already
	closed  bool
	calls   sync.WaitGroup
	work    sync.WaitGroup // committers, and the inline applies of their groups
	stop    chan struct{}
}

// New checks that the schema is there and starts the background work. It fails when Postgres does not answer; the cache and NATS may be down.
func New(ctx context.Context, cfg Config) (*Writer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := outbox.Check(ctx, cfg.DB); err != nil {
		return nil, err
	}
	w := &Writer{counts: newCounts(), cfg: cfg, db: cfg.DB, cache: cfg.Cache, log: cfg.Log, trace: traces.New(cfg.Traces, "writer"), puts: make(chan *queued), stop: make(chan struct{}), behind: make(chan struct{}, 1),
		alone: make(chan struct{}, cfg.committers()), waiting: make(chan struct{}, cfg.committers())}
	if w.log == nil {
		w.log = zap.NewNop()
	}
	if err := w.readStrict(ctx); err != nil {
		return nil, err
	}
	w.settler = newSettler(cfg.DB, cfg.Cache, cfg.NATS, w.log, w.counts.settles)
	w.work.Go(w.follow)
	for range cfg.committers() {
		w.work.Go(w.committer)
	}
	return w, nil
}

// Close lets the calls under way finish, retires what is settled and returns when all background work has ended. Calls
// after it return ErrClosed. Records that could not be retired are left to a relay.
func (w *Writer) Close() {
	w.closing.Do(func() {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.calls.Wait()
		close(w.stop)
		w.work.Wait()
		w.settler.close()
	})
}

// enter keeps Close waiting until leave; it fails once the writer is closed.
func (w *Writer) enter() (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, ErrClosed
	}
	w.calls.Add(1)
	return w.calls.Done, nil
}
