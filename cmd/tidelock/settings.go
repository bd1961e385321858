package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/telemetry"
)

// Settings are where the servers are and how to log.
type Settings struct {
	DatabaseURL  string `help:"Postgres, the primary: postgres://user:password@host:port/database" placeholder:"URL" env:"TIDELOCK_DATABASE_URL"`
	ValkeyURL    string `help:"Valkey: valkey://user:password@host:port, valkeys:// or rediss:// with TLS; ?master_set=NAME for Sentinel, &addr=host:port for more nodes" placeholder:"URL" env:"TIDELOCK_VALKEY_URL"`
	ValkeyCA     string `help:"Trust the certificates in this PEM file when connecting to Valkey." placeholder:"FILE" env:"TIDELOCK_VALKEY_CA" type:"existingfile"`
	NATSURL      string `name:"nats-url" help:"NATS with JetStream: nats://user:password@host:port, several with commas; tls:// with TLS" placeholder:"URL" env:"TIDELOCK_NATS_URL"`
	NATSCreds    string `name:"nats-creds" help:"NATS credentials file." placeholder:"FILE" env:"TIDELOCK_NATS_CREDS" type:"existingfile"`
	OTLPEndpoint string `name:"otlp-endpoint" help:"Send traces to this OpenTelemetry collector: http://host:4318. OTEL_* variables set the rest: see docs/operations.md. Default: none." placeholder:"URL" env:"TIDELOCK_OTLP_ENDPOINT,OTEL_EXPORTER_OTLP_ENDPOINT"`
	LogFormat    string `help:"Format of logs: console or json." enum:"console,json" default:"console" env:"TIDELOCK_LOG_FORMAT"`
	LogLevel     string `help:"Lowest level logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"TIDELOCK_LOG_LEVEL"`
}

// settingsFile reads the configuration file. A key that no flag has is an error: a misspelt setting must not pass for its default.
func settingsFile(r io.Reader) (kong.Resolver, error) {
	var values map[string]any
	if err := json.NewDecoder(r).Decode(&values); err != nil {
		return nil, fmt.Errorf("reading the configuration file: %w", err)
	}
	return fileResolver(values), nil
}

type fileResolver map[string]any

// Validate refuses keys that name no flag.
func (f fileResolver) Validate(app *kong.Application) error {
	var known []string
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, flag.Name)
		}
		return next(nil)
	})
	for key := range f {
		if !slices.Contains(known, key) {
			return fmt.Errorf("the configuration file has %q, which is no setting: use the flags' names without dashes in front", key)
		}
	}
	return nil
}

// Resolve returns the file's value of a flag.
func (f fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	return f[flag.Name], nil
}

// logger writes to standard error, so that a command's output stays its own.
func (s *Settings) logger() (*zap.Logger, error) {
	level, err := zap.ParseAtomicLevel(s.LogLevel)
	if err != nil {
		return nil, err
	}
	cfg := zap.NewProductionConfig()
	if s.LogFormat == "console" {
		cfg = zap.NewDevelopmentConfig()
		cfg.DisableStacktrace = true
	}
	cfg.Level, cfg.DisableCaller = level, true
	cfg.OutputPaths = []string{"stderr"}
	return cfg.Build()
}

// traces begins to send the traces of a service; nil, which makes none, if they are not asked for.
func (s *Settings) traces(ctx context.Context, service string, log *zap.Logger) (*telemetry.Traces, error) {
	if s.OTLPEndpoint == "" {
		return nil, nil
	}
	t, err := telemetry.Start(ctx, telemetry.Config{Endpoint: s.OTLPEndpoint, Service: service, Version: version(), Log: log})
	if err != nil {
		return nil, fmt.Errorf("--otlp-endpoint: %w", err)
	}
	return t, nil
}

func missing(what, flag, env string) error {
	return fmt.Errorf("%s is not set: give --%s or %s", what, flag, env)
}

// database opens a pool of at least the given size; tune may change its settings. It does not connect yet.
func (s *Settings) database(ctx context.Context, conns int32, tune ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	if s.DatabaseURL == "" {
		return nil, missing("the database", "database-url", "TIDELOCK_DATABASE_URL")
	}
	cfg, err := pgxpool.ParseConfig(s.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("--database-url: %w", err)
	}
	cfg.MaxConns = max(cfg.MaxConns, conns)
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed" // what our statements are written for
	for _, f := range tune {
		f(cfg)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--database-url: %w", err)
	}
	return pool, nil
}

// cache connects to Valkey, which may be down; tune may change its settings.
func (s *Settings) cache(ctx context.Context, timeout time.Duration, log *zap.Logger, tune ...func(*cache.Config)) (*cache.Cache, error) {
	if s.ValkeyURL == "" {
		return nil, missing("Valkey", "valkey-url", "TIDELOCK_VALKEY_URL")
	}
	roots, err := s.valkeyRoots()
	if err != nil {
		return nil, err
	}
	cfg := cache.Config{URL: s.ValkeyURL, Timeout: timeout, Log: log, Tune: func(o *valkey.ClientOption) {
		if roots == nil {
			return
		}
		if o.TLSConfig == nil {
			o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		o.TLSConfig.RootCAs = roots
	}}
	for _, f := range tune {
		f(&cfg)
	}
	return cache.New(ctx, cfg)
}

func (s *Settings) valkeyRoots() (*x509.CertPool, error) {
	if s.ValkeyCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.ValkeyCA)
	if err != nil {
		return nil, fmt.Errorf("--valkey-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--valkey-ca: %s holds no certificate in PEM form", s.ValkeyCA)
	}
	return roots, nil
}

// nats connects to NATS, which may be down: the connection is tried for ever, in the background.
func (s *Settings) nats(log *zap.Logger) (*nats.Conn, error) {
	if s.NATSURL == "" {
		return nil, missing("NATS", "nats-url", "TIDELOCK_NATS_URL")
	}
	if err := checkNATS(s.NATSURL); err != nil {
		return nil, fmt.Errorf("--nats-url: %w", err)
	}
	options := []nats.Option{
		nats.Name("tidelock"),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // else the second refusal ends the tries for good
		nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), // a guardian that nobody reaches must find out
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("nats_disconnected", zap.Error(err))
			}
		}),
		nats.ConnectHandler(func(*nats.Conn) { log.Info("nats_connected") }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("nats_connected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("nats_error", zap.Error(err)) }),
	}
	if s.NATSCreds != "" {
		options = append(options, nats.UserCredentials(s.NATSCreds))
	}
	conn, err := nats.Connect(s.NATSURL, options...)
	if err != nil {
		return nil, fmt.Errorf("--nats-url: %w", err)
	}
	return conn, nil
}

// checkNATS refuses what the library would take for a host that is down.
func checkNATS(servers string) error {
	for server := range strings.SplitSeq(servers, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil {
			return errors.New("it is not a URL: want nats://user:password@host:port")
		}
		if !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) || u.Host == "" {
			return fmt.Errorf("%q is not usable: want nats://host:port or tls://host:port", u.Redacted())
		}
	}
	return nil
}
