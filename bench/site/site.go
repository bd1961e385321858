// Package site starts the servers that all subjects work on, as somebody would run them who wants to keep their data: Postgres
// with fsync and synchronous commits, Valkey without persistence, NATS with JetStream, and one relay in a process of its own.
package site

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
)

// Settings are Postgres's settings beyond its defaults: memory for a machine of some gigabytes, and a log that is not checkpointed all the time.
var Settings = map[string]string{
	"shared_buffers":  "1GB",
	"max_wal_size":    "8GB",
	"max_connections": "600",
}

// cacheTimeout is the deadline of Tidelock's calls to the cache. Its usual 50 ms could be missed on a machine that runs clients and
// servers on two cores, and a write that is deferred is cheaper than one that is not.
const cacheTimeout = 2 * time.Second

// Site is the servers and the connections to them.
type Site struct {
	DB     *pgxpool.Pool // for Tidelock and for what is done by hand
	Valkey valkey.Client // for what is done by hand, with the options that Tidelock gives its own
	NATS   *nats.Conn
	Stack  *stack.Stack
	Relays []Relay

	caches []*cache.Cache
}

// Config says what to start.
type Config struct {
	Pool  int  // connections of each pool
	Relay bool // run one
}

// Open starts everything. The caller closes the site, also after an error.
func Open(ctx context.Context, cfg Config) (s *Site, err error) {
	s = &Site{}
	if s.Stack, err = stack.Start(ctx, stack.Config{Postgres: stack.PostgresConfig{Settings: Settings}}); err != nil {
		return s, err
	}
	if _, err = migrations.Up(ctx, s.Stack.Postgres.URL()); err != nil {
		return s, err
	}
	if s.DB, err = s.Pool(ctx, cfg.Pool); err != nil {
		return s, err
	}
	if s.NATS, err = nats.Connect(s.Stack.NATS.URL(), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true)); err != nil {
		return s, fmt.Errorf("connecting to nats: %w", err)
	}
	if s.Valkey, err = s.NewValkey(); err != nil {
		return s, err
	}
	if cfg.Relay {
		err = s.StartRelay()
	}
	return s, err
}

// Pool returns a pool of so many connections.
func (s *Site) Pool(ctx context.Context, size int) (*pgxpool.Pool, error) {
	return s.PoolAt(ctx, s.Stack.Postgres.Addr(), size)
}

// PoolAt returns a pool of connections to whoever stands before Postgres at addr.
func (s *Site) PoolAt(ctx context.Context, addr string, size int) (*pgxpool.Pool, error) {
	url := strings.Replace(s.Stack.Postgres.URL(), s.Stack.Postgres.Addr(), addr, 1)
	db, err := pgxpool.New(ctx, fmt.Sprintf("%s&pool_max_conns=%d", url, size))
	if err != nil {
		return nil, fmt.Errorf("connecting to postgres: %w", err)
	}
	return db, nil
}

// NewValkey returns a client with the options that package cache gives its own.
func (s *Site) NewValkey() (valkey.Client, error) { return s.NewValkeyAt(s.Stack.Valkey.Addr()) }

// NewValkeyAt is NewValkey for whoever stands before Valkey at addr.
func (s *Site) NewValkeyAt(addr string) (valkey.Client, error) {
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, DisableCache: true, DisableRetry: true})
	if err != nil {
		return nil, fmt.Errorf("connecting to valkey: %w", err)
	}
	return client, nil
}

// NewCache returns a cache of Tidelock's that keeps so many bytes in the process; Close closes it.
func (s *Site) NewCache(ctx context.Context, near int) (*cache.Cache, error) {
	return s.newCache(ctx, cache.Config{URL: s.Stack.Valkey.URL(), Timeout: cacheTimeout, NearBytes: near})
}

// NewCacheAt is for whoever stands before Valkey at addr, with a deadline for each call; 0 is Tidelock's own.
func (s *Site) NewCacheAt(ctx context.Context, addr string, timeout time.Duration) (*cache.Cache, error) {
	return s.newCache(ctx, cache.Config{URL: "valkey://" + addr, Timeout: timeout})
}

func (s *Site) newCache(ctx context.Context, cfg cache.Config) (*cache.Cache, error) {
	c, err := cache.New(ctx, cfg)
	if err == nil {
		s.caches = append(s.caches, c)
	}
	return c, err
}

// StartRelay starts one more relay of this site in a process of its own.
func (s *Site) StartRelay() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "relay", s.Stack.Postgres.URL(), s.Stack.Valkey.URL(), s.Stack.NATS.URL())
	program, err := stack.StartProgram(cmd, filepath.Join(s.Stack.Dir(), "relay.log"))
	if err == nil {
		s.Relays = append(s.Relays, Relay{Program: program, Pid: cmd.Process.Pid})
	}
	return err
}

// Relay is a relay in a process of its own.
type Relay struct {
	*stack.Program
	Pid int
}

// StopRelay stops the one that was started last.
func (s *Site) StopRelay() error {
	if len(s.Relays) == 0 {
		return nil
	}
	last := s.Relays[len(s.Relays)-1]
	s.Relays = s.Relays[:len(s.Relays)-1]
	return last.Stop()
}

// Close stops everything and removes the data.
func (s *Site) Close() error {
	for _, c := range s.caches {
		c.Close()
	}
	if s.Valkey != nil {
		s.Valkey.Close()
	}
	if s.NATS != nil {
		s.NATS.Close()
	}
	if s.DB != nil {
		s.DB.Close()
	}
	var err error
	for len(s.Relays) > 0 {
		err = errors.Join(err, s.StopRelay())
	}
	if s.Stack != nil {
		err = errors.Join(err, s.Stack.Close())
	}
	return err
}
