package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/metrics"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/verify"
)

// Config says what a Relay works with. The zero value of a field means its default.
type Config struct {
	// DB is the pool of the primary that holds the schema tidelock, whose transactions are READ COMMITTED. Required. A relay uses Consumers + 6 connections.
	DB *pgxpool.Pool
	// Cache is where records are applied. Required. Give it a longer timeout than a writer's: a call carries hundreds of
	// changes. The relay does not close it.
	Cache *cache.Cache
	// NATS is the connection to a server with JetStream. Required. Make it with MaxReconnects(-1) and
	// RetryOnFailedConnect(true): the relay waits for as long as it takes. The relay does not close it.
	NATS *nats.Conn
	// Stream is the stream's name; its subject is the same. Relays of one database share it. Default TIDELOCK.
	Stream string
	// Poll is how often the outbox is looked at while nothing is due. Default 100 ms.
	Poll time.Duration
	// Lease is how long a record is a relay's before others may take it. Default 10 s.
	Lease time.Duration
	// Batch is the most records taken in one statement. Default 8000.
	Batch int
	// ChunkRecords and ChunkBytes bound a message: the records it names, and their payloads together. Default 1000 and 4 MiB.
	ChunkRecords, ChunkBytes int
	// StreamChunks bounds the stream: beyond it dispatching waits. Default 16.
	StreamChunks int
	// Consumers is how many chunks this relay works on at once. Default 2.
	Consumers int
	// KeepVersions is how long the version of a key is kept after its last write; at least the longest TTL in use.
	// Default cache.TTLMax.
	KeepVersions time.Duration
	// PruneEvery is the pause between two prunings of old versions. Default 10 min.
	PruneEvery time.Duration
	// PartBytes is how large the part of the outbox may grow that new records go to, in bytes without indexes, before they go to the next: see outbox.Rotate.
	// Default 16 MiB.
	PartBytes int64
	// Watch is how often the guardian looks which server the cache is: with what a beat takes, how soon a restart or a failover is noticed.
	// Default 100 ms.
	Watch time.Duration
	// GuardLease is how long the guardian's office is a relay's before another may take it. Default 1 s.
	GuardLease time.Duration
	// AuditRate is how many keys a second the guardian compares with Postgres in the background, again and again: see package verify. What differs is logged
	// and counted, and left as it is. Default 500; negative for none.
	AuditRate int
	// AuditRows, if set, returns the rows whose values are compared too. It is asked before an audit, until it has succeeded; till then, and where rows cannot
	// be read, that is logged once, and the audit goes by versions. The sessions of DB must be as for verify.Config.
	AuditRows func(ctx context.Context) ([]verify.Rows, error)
	// AuditPause is the pause between two audits. Default 1 min.
	AuditPause time.Duration
	// Load returns, by their keys, the values of those of the keys that have a row, read from the primary after it was called. It gives the changes of attached
	// tables (outbox.Attach) their values. What it does not return is invalidated, and so are all if it fails; nil does that always.
	Load func(ctx context.Context, keys []string) (map[string][]byte, error)
	// Traces makes the spans of chunks, and of records that bear a trace. nil means no spans.
	Traces trace.TracerProvider
	// Log receives what goes wrong. nil means no logs.
	Log *zap.Logger
}

func (c Config) stream() string              { return orDefault(c.Stream, "TIDELOCK") }
func (c Config) poll() time.Duration         { return orDefault(c.Poll, 100*time.Millisecond) }
func (c Config) lease() time.Duration        { return orDefault(c.Lease, 10*time.Second) }
func (c Config) batch() int                  { return orDefault(c.Batch, 8000) }
func (c Config) chunkRecords() int           { return orDefault(c.ChunkRecords, 1000) }
func (c Config) chunkBytes() int             { return orDefault(c.ChunkBytes, 4<<20) }
func (c Config) streamChunks() int           { return orDefault(c.StreamChunks, 16) }
func (c Config) consumers() int              { return orDefault(c.Consumers, 2) }
func (c Config) keepVersions() time.Duration { return orDefault(c.KeepVersions, cache.TTLMax) }
func (c Config) pruneEvery() time.Duration   { return orDefault(c.PruneEvery, 10*time.Minute) }
func (c Config) partBytes() int64            { return orDefault(c.PartBytes, 16<<20) }

func (c Config) watch() time.Duration      { return orDefault(c.Watch, 100*time.Millisecond) }
func (c Config) guardLease() time.Duration { return orDefault(c.GuardLease, time.Second) }

func (c Config) auditRate() int { return orDefault(c.AuditRate, 500) }

func (c Config) auditPause() time.Duration { return orDefault(c.AuditPause, time.Minute) }

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("relay: DB is nil: give the pool of the primary")
	case c.Cache == nil:
		return errors.New("relay: Cache is nil: make one with cache.New, it may be down")
	case c.NATS == nil:
		return errors.New("relay: NATS is nil: give a connection, it may be down")
	case c.Poll < 0 || c.Lease < 0 || c.KeepVersions < 0 || c.PruneEvery < 0:
		return errors.New("relay: Poll, Lease, KeepVersions and PruneEvery must be positive")
	case c.PartBytes < 0:
		return errors.New("relay: PartBytes must be positive")
	case c.AuditPause < 0:
		return errors.New("relay: AuditPause must be positive")
	case c.Watch < 0 || c.GuardLease < 0 || c.GuardLease > time.Minute:
		return errors.New("relay: Watch and GuardLease must be positive, GuardLease at most 1m")
	case c.Batch < 0 || c.ChunkRecords < 0 || c.ChunkBytes < 0 || c.StreamChunks < 0 || c.Consumers < 0:
		return errors.New("relay: Batch, ChunkRecords, ChunkBytes, StreamChunks and Consumers must be positive")
	}
	return nil
}

// Stats counts what a relay has done since it was made.
type Stats struct {
	Taken      int64 // records claimed
	Settled    int64 // records brought to the cache, or found to be there
	Superseded int64 // records deleted by dispatchers because their key has a newer version, and that one is settled
	Released   int64 // records given back after a failure
	Aside      int64 // records set aside
	Pruned     int64 // versions forgotten
	Repaired   int64 // keys looked at by repairs, after a server had changed
	Dropped    int64 // entries deleted because their version was of a history that Postgres has left
}

// Relay takes records from the outbox to the cache.
type Relay struct {
	cfg Config
	js  jetstream.JetStream
	log *zap.Logger

	trace *traces.Tracer

	guarding atomic.Pointer[trust] // what it would let others believe as the guardian; nil before and after Run
	granted  granted
	freed    chan struct{} // a consumer is done with a chunk

	settles *metrics.Settles

	mu   sync.Mutex // guards kept
	kept []outbox.Settled

	audited                            atomic.Pointer[verify.Report] // the last whole audit
	audits, auditedKeys, auditedValues atomic.Int64
	differing                          []atomic.Int64 // as verify.Kinds has them

	taken, settled, superseded, released, aside, pruned, repaired, dropped atomic.Int64
}

// New makes a relay. It does not talk to anything: Postgres, Valkey and NATS may be down.
func New(cfg Config) (*Relay, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(cfg.NATS)
	if err != nil {
		return nil, fmt.Errorf("preparing JetStream: %w", err)
	}
	r := &Relay{cfg: cfg, js: js, log: cfg.Log, trace: traces.New(cfg.Traces, "relay"), freed: make(chan struct{}, 1), differing: make([]atomic.Int64, len(verify.Kinds)),
		settles: metrics.NewSettles("relay", outbox.AgeBounds)}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	return r, nil
}

// Stats returns the relay's counters.
func (r *Relay) Stats() Stats {
	return Stats{Taken: r.taken.Load(), Settled: r.settled.Load(), Superseded: r.superseded.Load(),
		Released: r.released.Load(), Aside: r.aside.Load(), Pruned: r.pruned.Load(), Repaired: r.repaired.Load(), Dropped: r.dropped.Load()}
}

// Run works until ctx ends, then finishes what it holds, gives back what it cannot finish, and returns nil once everything has
// stopped. Its only errors are outbox.ErrNoSchema and one that says that DB's transactions are not READ COMMITTED; nothing else that goes wrong is for ever.
func (r *Relay) Run(ctx context.Context) error {
	if err := r.awaitSchema(ctx); err != nil {
		return err
	}
	var work sync.WaitGroup
	work.Go(func() { r.listen(ctx) })
	work.Go(func() { r.dispatch(ctx) })
	for range r.cfg.consumers() {
		work.Go(func() { r.consume(ctx) })
	}
	work.Go(func() { r.prune(ctx) })
	work.Go(func() { r.rotate(ctx) })
	work.Go(func() { r.guard(ctx) })
	work.Go(func() { r.audit(ctx) })
	work.Wait()
	if err := r.retireKept(ctx); err != nil {
		r.log.Warn("retire_failed", zap.Error(err))
	}
	return nil
}

func (r *Relay) awaitSchema(ctx context.Context) error {
	var missing error
	r.patiently(ctx, "schema_check_failed", func() error {
		bounded, cancel := bounded(ctx, callTimeout)
		defer cancel()
		err := outbox.Check(bounded, r.cfg.DB)
		if errors.Is(err, outbox.ErrNoSchema) {
			missing = err
			return nil
		}
		if err != nil {
			return err
		}
		var isolation string
		if err := r.cfg.DB.QueryRow(bounded, "SELECT current_setting('default_transaction_isolation')").Scan(&isolation); err != nil {
			return err
		}
		if isolation != "read committed" && isolation != "read uncommitted" {
			missing = fmt.Errorf("relay: the transactions of DB are %s: set default_transaction_isolation=read committed for the pool, for a snapshot must not be older than the locks that its statement has", isolation)
		}
		return nil
	})
	return missing
}

// callTimeout bounds a call to Postgres.
const callTimeout = 10 * time.Second

// bounded returns a context for a call that must not be torn by the end of ctx: a claim that was made but not heard of
// would wait for its lease to end.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// patience is the pause between two tries: it grows, with jitter, and never gives up.
func patience(ctx context.Context) backoff.BackOff {
	return backoff.WithContext(backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0)), ctx)
}

// patiently repeats do until it succeeds or ctx ends.
func (r *Relay) patiently(ctx context.Context, trouble string, do func() error) {
	_ = backoff.RetryNotify(do, patience(ctx), func(err error, _ time.Duration) { r.log.Warn(trouble, zap.Error(err)) })
}

// prune forgets old versions now and then; the pause is spread so that relays do not all do it at once.
func (r *Relay) prune(ctx context.Context) {
	for sleep(ctx, r.cfg.pruneEvery()/2+rand.N(r.cfg.pruneEvery()+1)) {
		n, err := outbox.Prune(ctx, r.cfg.DB, r.cfg.keepVersions())
		r.pruned.Add(n)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("prune_failed", zap.Error(err))
		}
	}
}

// rotateEvery is the pause between two looks at the parts of the outbox, and rotateAgain after one that failed: a role may not do it, say, and vacuum has to.
const rotateEvery, rotateAgain = time.Second, time.Minute

// rotate empties what the outbox leaves behind, at one stroke.
func (r *Relay) rotate(ctx context.Context) {
	pause := rotateEvery
	for sleep(ctx, pause/2+rand.N(pause)) {
		pause = rotateEvery
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		err := outbox.Rotate(bounded, r.cfg.DB, r.cfg.partBytes())
		cancel()
		if err != nil && ctx.Err() == nil {
			pause = rotateAgain
			r.log.Warn("rotate_failed", zap.Error(err))
		}
	}
}

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
