package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/ops"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// relayTimeout is the deadline of a relay's calls to Valkey: each carries hundreds of changes.
const relayTimeout = 2 * time.Second

type relayCmd struct {
	Stream       string        `help:"Name of the JetStream stream; relays of one database share it." default:"TIDELOCK" env:"TIDELOCK_STREAM"`
	Consumers    int           `help:"Chunks worked on at once." default:"2" env:"TIDELOCK_CONSUMERS"`
	Lease        time.Duration `help:"How long a record is this relay's before others may take it." default:"10s" env:"TIDELOCK_LEASE"`
	KeepVersions time.Duration `help:"How long a key's version is kept after its last write; at least the longest TTL in use." default:"168h" env:"TIDELOCK_KEEP_VERSIONS"`
	AuditRate    int           `help:"Keys a second that the guardian compares with Postgres in the background; 0 for none." default:"500" env:"TIDELOCK_AUDIT_RATE"`
	Listen       string        `help:"Serve /metrics, /livez and /readyz at this address, such as 127.0.0.1:9464. Default: nowhere." placeholder:"HOST:PORT" env:"TIDELOCK_LISTEN"`
	Report       time.Duration `help:"How often to log what was done; 0 for never." default:"1m" env:"TIDELOCK_REPORT"`
}

// Run relays until it is told to stop.
func (c *relayCmd) Run(ctx context.Context, s *Settings) error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	db, err := s.database(ctx, int32(c.Consumers)+6)
	if err != nil {
		return err
	}
	defer db.Close()
	cache, err := s.cache(ctx, relayTimeout, log)
	if err != nil {
		return err
	}
	defer cache.Close()
	conn, err := s.nats(log)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := relay.New(relay.Config{DB: db, Cache: cache, NATS: conn, Stream: c.Stream, Consumers: c.Consumers, Lease: c.Lease, KeepVersions: c.KeepVersions,
		AuditRate: orNone(c.AuditRate), Log: log})
	if err != nil {
		return err
	}
	if c.Listen != "" {
		server, err := ops.Listen(ctx, c.Listen, relayHandler(r, db, cache, conn), log)
		if err != nil {
			return fmt.Errorf("--listen: %w", err)
		}
		defer func() { _ = server.Close() }()
	}
	log.Info("relay_started", zap.String("version", version()), zap.String("stream", c.Stream))
	reporting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.report(reporting, r, log)
	}()
	err = r.Run(ctx)
	stop()
	<-done
	log.Info("relay_stopped", stats(r)...)
	return err
}

// orNone is a rate of which 0 means none, which a relay's negative rates do.
func orNone(rate int) int {
	if rate == 0 {
		return -1
	}
	return rate
}

// relayHandler serves a relay's metrics, and says whether it can work: it can look after its office with Postgres alone.
func relayHandler(r *relay.Relay, db *pgxpool.Pool, valkey *cache.Cache, conn *nats.Conn) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return ops.Handler(registry, []ops.Probe{
		{Name: "postgres", Required: true, Check: func(ctx context.Context) error { return outbox.Check(ctx, db) }},
		{Name: "valkey", Check: func(ctx context.Context) error {
			_, err := valkey.Watch(ctx, "", nil)
			return err
		}},
		{Name: "nats", Check: func(context.Context) error {
			if !conn.IsConnected() {
				return fmt.Errorf("not connected: %s", conn.Status())
			}
			return nil
		}},
	})
}

// report logs the counters now and then, when they have changed.
func (c *relayCmd) report(ctx context.Context, r *relay.Relay, log *zap.Logger) {
	if c.Report <= 0 {
		return
	}
	tick := time.NewTicker(c.Report)
	defer tick.Stop()
	var last relay.Stats
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if now := r.Stats(); now != last {
				log.Info("relay_progress", stats(r)...)
				last = now
			}
		}
	}
}

func stats(r *relay.Relay) []zap.Field {
	s := r.Stats()
	return []zap.Field{zap.Int64("taken", s.Taken), zap.Int64("settled", s.Settled), zap.Int64("superseded", s.Superseded),
		zap.Int64("released", s.Released), zap.Int64("set_aside", s.Aside), zap.Int64("versions_pruned", s.Pruned),
		zap.Int64("keys_repaired", s.Repaired), zap.Int64("entries_dropped", s.Dropped)}
}
