package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Config configures a stack. The zero value is a stack of all three servers in a temporary folder.
type Config struct {
	// Dir holds the folders of the servers. Empty means a fresh temporary one that Close removes; any other is kept,
	// with the data in it, for the next stack on it.
	Dir string
	// Log takes the launcher's own messages; nil means none. Each server logs to a file in its folder.
	Log *zap.Logger
	// NoPostgres, NoValkey and NoNATS leave a server out.
	NoPostgres, NoValkey, NoNATS bool
	// Postgres, Valkey and NATS configure the servers. Their Dir and Log may be empty and then follow from those above.
	Postgres PostgresConfig
	Valkey   ValkeyConfig
	NATS     NATSConfig
}

// Stack is a set of running servers. A server that was left out is nil.
type Stack struct {
	Postgres *Postgres
	Valkey   *Valkey
	NATS     *NATS

	dir folder
}

// Start starts the servers side by side and returns when all of them serve. When one fails none is left.
func Start(ctx context.Context, cfg Config) (*Stack, error) {
	dir, err := openFolder(cfg.Dir, "stack")
	if err != nil {
		return nil, err
	}
	s := &Stack{dir: dir}
	g, gctx := errgroup.WithContext(ctx)
	for _, start := range s.starters(cfg.resolved(dir.path)) {
		g.Go(func() error { return start(gctx) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the stack: %w", err), s.Close())
	}
	return s, nil
}

// resolved fills in what follows from the stack for each server.
func (c Config) resolved(dir string) Config {
	for name, own := range map[string]struct {
		dir *string
		log **zap.Logger
	}{
		"postgres": {&c.Postgres.Dir, &c.Postgres.Log},
		"valkey":   {&c.Valkey.Dir, &c.Valkey.Log},
		"nats":     {&c.NATS.Dir, &c.NATS.Log},
	} {
		if *own.dir == "" {
			*own.dir = filepath.Join(dir, name)
		}
		if *own.log == nil {
			*own.log = c.Log
		}
	}
	return c
}

func (s *Stack) starters(cfg Config) []func(context.Context) error {
	var starters []func(context.Context) error
	if !cfg.NoPostgres {
		starters = append(starters, func(ctx context.Context) (err error) {
			s.Postgres, err = StartPostgres(ctx, cfg.Postgres)
			return err
		})
	}
	if !cfg.NoValkey {
		starters = append(starters, func(ctx context.Context) (err error) {
			s.Valkey, err = StartValkey(ctx, cfg.Valkey)
			return err
		})
	}
	if !cfg.NoNATS {
		starters = append(starters, func(ctx context.Context) (err error) {
			s.NATS, err = StartNATS(ctx, cfg.NATS)
			return err
		})
	}
	return starters
}

// Close stops the servers and removes the folder if the package made it.
func (s *Stack) Close() error {
	var closers []func() error
	if s.Postgres != nil {
		closers = append(closers, s.Postgres.Close)
	}
	if s.Valkey != nil {
		closers = append(closers, s.Valkey.Close)
	}
	if s.NATS != nil {
		closers = append(closers, s.NATS.Close)
	}
	return errors.Join(closeAll(closers), s.dir.remove())
}

// Dir is the folder that holds those of the servers.
func (s *Stack) Dir() string {
	return s.dir.path
}

// closeAll closes side by side and joins the errors.
func closeAll(closers []func() error) error {
	errs := make([]error, len(closers))
	var wg sync.WaitGroup
	for i, c := range closers {
		wg.Go(func() { errs[i] = c() })
	}
	wg.Wait()
	return errors.Join(errs...)
}
