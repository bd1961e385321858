package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/ops"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/serve"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

type serveCmd struct {
	Entities      string        `help:"The file that declares the entities and the clients: see docs/http.md." required:"" placeholder:"FILE" env:"TIDELOCK_ENTITIES" type:"existingfile"`
	Listen        string        `help:"Where to listen. Beyond this machine only if the file declares clients." default:"127.0.0.1:8080" placeholder:"HOST:PORT" env:"TIDELOCK_LISTEN"`
	TLSCert       string        `name:"tls-cert" help:"Certificate, in PEM form." placeholder:"FILE" env:"TIDELOCK_TLS_CERT" type:"existingfile"`
	TLSKey        string        `name:"tls-key" help:"Its key." placeholder:"FILE" env:"TIDELOCK_TLS_KEY" type:"existingfile"`
	ClientCA      string        `name:"client-ca" help:"Accept client certificates of these authorities." placeholder:"FILE" env:"TIDELOCK_CLIENT_CA" type:"existingfile"`
	OpsListen     string        `name:"ops-listen" help:"Serve /metrics, /livez and /readyz at this address, such as 127.0.0.1:9465, to operators alone. Default: nowhere." placeholder:"HOST:PORT" env:"TIDELOCK_OPS_LISTEN"`
	Check         bool          `help:"Check the entities against the database and end."`
	PublicDocs    bool          `help:"Show /docs and /openapi.json to whoever asks."`
	BodyMax       int64         `help:"Largest body, in bytes." default:"1048576"`
	Timeout       time.Duration `help:"Longest time for a request." default:"10s"`
	Concurrent    int           `help:"Requests worked on at once." default:"256"`
	Rate          float64       `help:"Requests a second of one client, where the file says nothing else." default:"1000"`
	BatchMax      int           `help:"Rows in one request." default:"256"`
	KeepRequests  time.Duration `help:"How long the answer to a write with an Idempotency-Key is kept." default:"24h"`
	DatabaseConns int32         `help:"Connections to Postgres, at least; pool_max_conns in the URL may ask for more." default:"24"`
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context, s *Settings) error {
	log, err := s.logger()
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	file, err := entity.Read(c.Entities)
	if err != nil {
		return err
	}
	traces, err := s.traces(ctx, "tidelock-serve", log)
	if err != nil {
		return err
	}
	defer traces.Close()
	db, err := s.database(ctx, c.DatabaseConns, entity.Tune, traces.Postgres)
	if err != nil {
		return err
	}
	defer db.Close()
	if c.Check {
		_, err := file.Check(ctx, db)
		return err
	}
	cache, err := s.cache(ctx, 0, log, traces.Valkey)
	if err != nil {
		return err
	}
	defer cache.Close()
	cfg := serve.Config{DB: db, Cache: cache, File: file, BodyMax: c.BodyMax, Timeout: c.Timeout, Concurrent: c.Concurrent, Rate: c.Rate, BatchMax: c.BatchMax,
		KeepRequests: c.KeepRequests, PublicDocs: c.PublicDocs, Traces: traces.Provider(), Log: log}
	if s.NATSURL != "" {
		conn, err := s.nats(log)
		if err != nil {
			return err
		}
		defer conn.Close()
		leases, err := c.leases(&cfg, conn)
		if err != nil {
			return err
		}
		defer leases.Close()
	}
	server, err := serve.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	if c.OpsListen != "" {
		stop, err := c.operate(ctx, server, cfg)
		if err != nil {
			return err
		}
		defer stop()
	}
	err = server.Run(ctx, serve.Listen{Address: c.Listen, Certificate: c.TLSCert, Key: c.TLSKey, ClientCA: c.ClientCA, Listening: func(addr net.Addr) {
		log.Info("serving", zap.String("version", version()), zap.Stringer("address", addr))
	}})
	log.Info("serving_ended")
	return err
}

// operate serves the metrics and the health of the server until stop is called.
func (c *serveCmd) operate(ctx context.Context, server *serve.Server, cfg serve.Config) (stop func(), err error) {
	all := []prometheus.Collector{server.Collector(), cfg.Cache.Collector()}
	if cfg.Leases != nil {
		all = append(all, cfg.Leases.Collector())
	}
	listening, err := ops.Listen(ctx, c.OpsListen, ops.Handler(ops.Registry(all...), ops.Probes(cfg.DB, cfg.Cache, cfg.NATS)), cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("--ops-listen: %w", err)
	}
	return func() { _ = listening.Close() }, nil // it has cut off who was slow
}

// leases gives the server what reads with a bound and strict ones need.
func (c *serveCmd) leases(cfg *serve.Config, conn *nats.Conn) (*lease.Client, error) {
	leases, err := lease.NewClient(lease.Config{DB: cfg.DB, NATS: conn, Log: cfg.Log})
	cfg.NATS, cfg.Leases = conn, leases
	return leases, err
}
