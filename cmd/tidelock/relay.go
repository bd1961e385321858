package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/dashboard"
	"github.com/tidelock-cache/tidelock/internal/ops"
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
	Entities     entitiesFile  `help:"Load the rows of the entities that this file declares: for what attached tables record, to compare entries with them, and to show them on the dashboard. The role needs SELECT on their tables." placeholder:"FILE" env:"TIDELOCK_ENTITIES" type:"existingfile"`
	Listen       string        `help:"Serve a dashboard, /metrics, /livez and /readyz at this address, such as 127.0.0.1:9464. Default: nowhere." placeholder:"HOST:PORT" env:"TIDELOCK_LISTEN"`
	AdminToken   string        `name:"admin-token-file" help:"Who gives the token in this file to the dashboard may retry records and look at keys. Default: nobody may." placeholder:"FILE" env:"TIDELOCK_ADMIN_TOKEN_FILE" type:"existingfile"`
	Report       time.Duration `help:"How often to log what was done; 0 for never." default:"1m" env:"TIDELOCK_REPORT"`

	page      dashboard.Config  // what is special about its dashboard
	listening func(addr string) // hears where it listens
}

// Run relays until it is told to stop.
func (c *relayCmd) Run(ctx context.Context, s *Settings) error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	traces, err := s.traces(ctx, "tidelock-relay", log)
	if err != nil {
		return err
	}
	defer traces.Close()
	file, tune, err := c.Entities.read()
	if err != nil {
		return err
	}
	db, err := s.database(ctx, int32(c.Consumers)+8, append(tune, traces.Postgres)...)
	if err != nil {
		return err
	}
	defer db.Close()
	cache, err := s.cache(ctx, relayTimeout, log, traces.Valkey)
	if err != nil {
		return err
	}
	defer cache.Close()
	conn, err := s.nats(log)
	if err != nil {
		return err
	}
	defer conn.Close()
	cfg := relay.Config{DB: db, Cache: cache, NATS: conn, Stream: c.Stream, Consumers: c.Consumers, Lease: c.Lease, KeepVersions: c.KeepVersions,
		AuditRate: orNone(c.AuditRate), Traces: traces.Provider(), Log: log}
	if file != nil {
		d := &declared{file: file, db: db}
		cfg.Load, cfg.AuditRows = d.load, d.rows
		if c.page.Row == nil {
			c.page.Row = d.row
		}
	}
	r, err := relay.New(cfg)
	if err != nil {
		return err
	}
	if c.Listen != "" {
		stop, err := c.serve(ctx, dashboard.Config{DB: db, Cache: cache, NATS: conn, Relay: r, Log: log})
		if err != nil {
			return err
		}
		defer stop()
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

// serve serves the dashboard, the metrics and the health of a relay until stop is called.
func (c *relayCmd) serve(ctx context.Context, cfg dashboard.Config) (stop func(), err error) {
	cfg.Open, cfg.Actions, cfg.Row = c.page.Open, c.page.Actions, c.page.Row
	if cfg.Token, err = adminToken(c.AdminToken); err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // empty where it has no name
	cfg.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	page, err := dashboard.New(cfg)
	if err != nil {
		return nil, err
	}
	mux := relayHandler(cfg.Relay, cfg.DB, cfg.Cache, cfg.NATS)
	page.Register(mux)
	server, err := ops.Listen(ctx, c.Listen, mux, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if c.listening != nil {
		c.listening(server.Addr)
	}
	looking, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { page.Run(looking) })
	return func() {
		end()
		work.Wait()
		_ = server.Close() // it has cut off who was slow
	}, nil
}

// adminToken reads the token in a file, without the space around it; none without a file.
func adminToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--admin-token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < dashboard.TokenMin {
		return "", fmt.Errorf("--admin-token-file: the token in %s has %d bytes: it must have %d at least", file, len(token), dashboard.TokenMin)
	}
	return token, nil
}

// relayHandler serves a relay's metrics, and says whether it can work: it can look after its office with Postgres alone.
func relayHandler(r *relay.Relay, db *pgxpool.Pool, valkey *cache.Cache, conn *nats.Conn) *http.ServeMux {
	return ops.Handler(ops.Registry(r.Collector()), ops.Probes(db, valkey, conn))
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
