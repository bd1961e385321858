package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// Recovery is how fast the cache agrees with Postgres again after something went wrong.
type Recovery struct {
	// InlineP50 and InlineP99 are from the return of a Put whose writer cannot reach the cache until the cache has it.
	InlineP50    float64 `json:"inline_failed_p50_ms"`
	InlineP99    float64 `json:"inline_failed_p99_ms"`
	InlineWrites int     `json:"inline_failed_writes"`
	// OutageSeconds is from Valkey's return until no key is stale, with so many records of so many keys pending.
	OutageSeconds float64 `json:"outage_s"`
	OutageRecords int     `json:"outage_records"`
	OutageKeys    int     `json:"outage_keys"`
	// FailoverSeconds is from the failover to a replica that lacks a second of writes until no key is stale, -1 for never.
	FailoverSeconds float64 `json:"failover_s"`
	FailoverStale   int     `json:"failover_stale"` // keys that were stale right after it
	FailoverLeft    int     `json:"failover_left"`  // keys still stale when waiting was given up
	FailoverKept    float64 `json:"failover_hits_kept"`
}

// bench is what the recovery is measured on: servers that keep what they promise, one writer, one relay, one observer.
type bench struct {
	stack    *stack.Stack
	replica  *stack.Valkey
	toWriter *stack.Proxy // between the writer and Valkey
	toRelay  *stack.Proxy // between the relay and Valkey
	lag      *stack.Proxy // between Valkey and its replica

	db       *pgxpool.Pool
	nats     *nats.Conn
	caches   []*cache.Cache
	writer   *writer.Writer
	observer *cache.Cache
	relaying chan error
	stop     context.CancelFunc
	log      *zap.Logger
}

// measureRecovery measures all of it. Everything that it starts has ended when it returns.
func measureRecovery(ctx context.Context, log *zap.Logger) (_ *Recovery, err error) {
	b := &bench{log: log}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return nil, fmt.Errorf("preparing to measure recovery: %w", err)
	}
	r := &Recovery{}
	for _, measure := range []struct {
		what string
		do   func(context.Context, *Recovery) error
	}{
		{"after a failed inline apply", b.measureInline},
		{"after an outage", b.measureOutage},
		{"after a failover", b.measureFailover},
	} {
		if err := measure.do(ctx, r); err != nil {
			return nil, fmt.Errorf("measuring recovery %s: %w", measure.what, err)
		}
	}
	return r, nil
}

// open starts the servers and connects to them.
func (b *bench) open(ctx context.Context) (err error) {
	if b.stack, err = stack.Start(ctx, stack.Config{Log: b.log}); err != nil {
		return err
	}
	if b.replica, err = stack.StartValkey(ctx, stack.ValkeyConfig{Log: b.log}); err != nil {
		return err
	}
	for p, to := range map[**stack.Proxy]string{&b.toWriter: b.stack.Valkey.Addr(), &b.toRelay: b.stack.Valkey.Addr(), &b.lag: b.stack.Valkey.Addr()} {
		if *p, err = stack.NewProxy(to); err != nil {
			return err
		}
	}
	if _, err = migrations.Up(ctx, b.stack.Postgres.URL()); err != nil {
		return err
	}
	if err = execute(ctx, b.stack.Postgres.URL(), drive.Table); err != nil {
		return err
	}
	if b.db, err = pgxpool.New(ctx, b.stack.Postgres.URL()+"&pool_max_conns=16"); err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	if b.nats, err = nats.Connect(b.stack.NATS.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*ms)); err != nil {
		return fmt.Errorf("connecting to nats: %w", err)
	}
	return b.connect(ctx)
}

// connect makes the writer, the relay and the observer, each with a cache of its own.
func (b *bench) connect(ctx context.Context) (err error) {
	var mine, relays *cache.Cache
	for c, cfg := range map[**cache.Cache]cache.Config{
		&mine:       {URL: "valkey://" + b.toWriter.Addr(), Timeout: 50 * ms},
		&relays:     {URL: "valkey://" + b.toRelay.Addr(), Timeout: 2 * time.Second},
		&b.observer: {URL: b.stack.Valkey.URL(), Timeout: 2 * time.Second},
	} {
		if *c, err = cache.New(ctx, cfg); err != nil {
			return err
		}
		b.caches = append(b.caches, *c)
	}
	if b.writer, err = writer.New(ctx, writer.Config{DB: b.db, Cache: mine, NATS: b.nats, Log: b.log}); err != nil {
		return err
	}
	r, err := relay.New(relay.Config{DB: b.db, Cache: relays, NATS: b.nats, Log: b.log})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	b.stop, b.relaying = stop, make(chan error, 1)
	go func() { b.relaying <- r.Run(running) }()
	return nil
}

func (b *bench) close() error {
	var errs []error
	if b.writer != nil {
		b.writer.Close()
	}
	if b.stop != nil {
		b.stop()
		errs = append(errs, <-b.relaying)
	}
	for _, c := range b.caches {
		c.Close()
	}
	if b.nats != nil {
		b.nats.Close()
	}
	if b.db != nil {
		b.db.Close()
	}
	for _, p := range []*stack.Proxy{b.toWriter, b.toRelay, b.lag} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if b.replica != nil {
		errs = append(errs, b.replica.Close())
	}
	if b.stack != nil {
		errs = append(errs, b.stack.Close())
	}
	return errors.Join(errs...)
}

// payload is what the measurements store.
func payload(n int) []byte {
	text, err := json.Marshal(map[string]int{"n": n})
	if err != nil {
		return nil // a map of ints can be encoded
	}
	return text
}

const putRow = `INSERT INTO chaos_rows (id, n, op, gone, pad) VALUES ($1, 1, 1, false, '')
	ON CONFLICT (id) DO UPDATE SET n = chaos_rows.n + 1 RETURNING json_build_object('n', n)::text`

// print adds the measurements to the table.
func (r *Recovery) print(t *table) {
	t.printf("\nrecovery\n")
	t.printf("  inline apply failed, relay works: commit to cache p50 %.1f ms, p99 %.1f ms over %d writes\n", r.InlineP50, r.InlineP99, r.InlineWrites)
	t.printf("  valkey's return, %d records of %d keys pending: last stale key after %s\n", r.OutageRecords, r.OutageKeys, seconds(r.OutageSeconds))
	t.printf("  failover that lost a second of writes, %d stale keys: repaired after %s (%d left), %.1f%% of the keys are still hits\n\n",
		r.FailoverStale, seconds(r.FailoverSeconds), r.FailoverLeft, 100*r.FailoverKept)
}

func seconds(s float64) string {
	if s < 0 {
		return "never"
	}
	return fmt.Sprintf("%.2f s", s)
}
