package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
)

// sentinelName is what sentinels call the primary.
const sentinelName = "chaos"

// openScene starts the servers of a scenario, and the relays, and waits until all of the promises are in force. Whatever it has started is in the scene, also when it fails: close it.
func openScene(ctx context.Context, dir, other string, shared *stack.Postgres, run run, log *zap.Logger) (*scene, error) {
	s := &scene{dir: dir, other: other, log: log, postgres: shared, clients: map[*stack.Valkey]valkey.Client{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, fmt.Errorf("making the folder of a scenario: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.openPostgres(gctx, run) })
	g.Go(func() error { return s.openValkey(gctx, run.scenario.Needs) })
	g.Go(func() (err error) {
		s.nats, err = stack.StartNATS(gctx, stack.NATSConfig{Log: log})
		return err
	})
	if err := g.Wait(); err != nil {
		return s, err
	}
	s.traffic = run.traffic()
	if run.heavy {
		s.lull = heavyLull
	}
	s.keys, s.sums = s.traffic.Driver.Keys, s.traffic.Driver.Sums
	if run.subject != ours {
		return s, nil
	}
	if err := s.openRelays(); err != nil {
		return s, err
	}
	return s, s.awaitTrust(ctx)
}

// openPostgres makes the scenario's database, on a server of its own if it is going to wreck it.
func (s *scene) openPostgres(ctx context.Context, run run) error {
	s.database = fmt.Sprintf("chaos_%x", run.seed)
	needs := run.scenario.Needs
	if needs.OwnPostgres || needs.Standby {
		own, err := stack.StartPostgres(ctx, stack.PostgresConfig{Log: s.log})
		if err != nil {
			return err
		}
		s.postgres, s.ownPostgres = own, true
		if err := prepareTemplate(ctx, own); err != nil {
			return err
		}
	}
	if err := copyTemplate(ctx, s.postgres, s.database); err != nil {
		return err
	}
	if needs.AsyncCommit {
		if err := execute(ctx, s.postgres.URL(), "ALTER DATABASE "+s.database+" SET synchronous_commit = off"); err != nil {
			return err
		}
	}
	if needs.Standby {
		var err error
		if s.standby, err = stack.StartStandby(ctx, s.postgres, stack.PostgresConfig{Log: s.log}); err != nil {
			return err
		}
	}
	return s.databaseIs(s.postgres)
}

func (s *scene) openValkey(ctx context.Context, needs Topology) (err error) {
	cfg := stack.ValkeyConfig{Log: s.log, Args: needs.Valkey}
	if needs.ValkeyClock {
		if s.clock, err = stack.NewClock(""); err != nil {
			return err
		}
		cfg.Clock = s.clock
	}
	if s.valkey, err = stack.StartValkey(ctx, cfg); err != nil {
		return err
	}
	s.primary = s.valkey
	if needs.Replica || needs.Sentinel {
		if err := s.openReplica(ctx, cfg); err != nil {
			return err
		}
	}
	if needs.Sentinel {
		if s.sentinel, err = stack.StartSentinel(ctx, stack.SentinelConfig{Primary: s.valkey, Name: sentinelName, Log: s.log}); err != nil {
			return err
		}
		if err := s.sentinel.AwaitReplicas(ctx, 1); err != nil {
			return err
		}
	}
	s.clients[s.valkey], err = openValkey(s.valkey.URL())
	return err
}

// openReplica starts a replica that follows through a proxy.
func (s *scene) openReplica(ctx context.Context, cfg stack.ValkeyConfig) (err error) {
	if s.replica, err = stack.StartValkey(ctx, cfg); err != nil {
		return err
	}
	if s.replication, err = stack.NewProxy(s.valkey.Addr()); err != nil {
		return err
	}
	if err := s.replica.ReplicaThrough(ctx, s.valkey, s.replication); err != nil {
		return err
	}
	s.clients[s.replica], err = openValkey(s.replica.URL())
	return err
}

// driverStarted is what the log of a driver says when its clients begin.
const driverStarted = `"msg":"driver_started"`

// openDrivers starts the processes that do something: two that write and read, and one that only reads. It waits until all of them do.
func (s *scene) openDrivers(ctx context.Context, run run) error {
	t := s.traffic
	t.Driver.Subject, t.Driver.Dir, t.Driver.Seed = drive.Subject(run.subject), s.dir, run.seed
	for i, p := range []struct {
		name             string
		role             role
		writers, readers int
	}{{"w0", writing, 4, 3}, {"w1", writing, 4, 2}, {"r0", reading, 0, 3}} {
		cfg := t.Driver
		cfg.Process, cfg.Readers = p.name, orDefault(cfg.Readers, p.readers)
		if p.role == reading {
			cfg.Writers = 0
			if t.Reads != nil {
				cfg.Reads = *t.Reads
			}
		} else {
			cfg.Writers = orDefault(cfg.Writers, p.writers)
		}
		cfg.Seed += uint64(i)
		if err := s.openDriver(cfg, i, p.role); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for _, n := range drivers(&Stage{scene: s}) {
		for n.logged(driverStarted) == 0 {
			if err := sleep(ctx, 5*ms); err != nil {
				return fmt.Errorf("waiting for %s: %w", n.name, err)
			}
		}
	}
	return nil
}

// openRelays starts two.
func (s *scene) openRelays() error {
	for i := range 2 {
		cfg := s.traffic.Relay
		cfg.Dir, cfg.Name = s.dir, fmt.Sprintf("relay%d", i)
		if err := s.openRelay(cfg); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) openDriver(cfg drive.Config, number int, r role) error {
	n, err := s.newNode(cfg.Process, r)
	if err != nil {
		return err
	}
	cfg.DatabaseURL, cfg.ValkeyURL, cfg.NATSURL = s.urls(n)
	n.points = len(cfg.Points) > 0
	n.command = func(life int, armed bool) (*exec.Cmd, error) {
		cfg := cfg.Life(number, life)
		cfg.Armed = armed
		return drive.Command(cfg)
	}
	return n.start(s)
}

func (s *scene) openRelay(cfg drive.RelayConfig) error {
	n, err := s.newNode(cfg.Name, relaying)
	if err != nil {
		return err
	}
	cfg.DatabaseURL, cfg.ValkeyURL, cfg.NATSURL = s.urls(n)
	n.points = len(cfg.Points) > 0
	n.command = func(_ int, armed bool) (*exec.Cmd, error) {
		cfg := cfg
		cfg.Armed = armed
		return drive.RelayCommand(cfg)
	}
	return n.start(s)
}

// newNode makes a process's proxies. With a sentinel there is none to Valkey: clients go where the sentinel says.
func (s *scene) newNode(name string, r role) (*node, error) {
	n := &node{name: name, role: r, links: map[link]*stack.Proxy{}, log: filepath.Join(s.dir, name+".log")}
	s.nodes = append(s.nodes, n)
	to := map[link]string{postgresLink: s.postgres.Addr(), natsLink: s.nats.Addr()}
	if s.sentinel == nil {
		to[valkeyLink] = s.valkey.Addr()
	}
	var err error
	for l, addr := range to {
		if n.links[l], err = stack.NewProxy(addr); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// urls are where a process finds its servers.
func (s *scene) urls(n *node) (postgres, valkey, nats string) {
	postgres = fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", n.links[postgresLink].Addr(), s.database)
	if s.sentinel != nil {
		valkey = fmt.Sprintf("valkey://%s?master_set=%s", s.sentinel.Addr(), sentinelName)
	} else {
		valkey = "valkey://" + n.links[valkeyLink].Addr()
	}
	return postgres, valkey, "nats://" + n.links[natsLink].Addr()
}

// close ends everything. It works also when opening failed half way.
func (s *scene) close(ctx context.Context) error {
	errs := []error{s.stopNodes()}
	for _, n := range s.nodes {
		for _, p := range n.links {
			if p != nil {
				errs = append(errs, p.Close())
			}
		}
	}
	for _, c := range s.clients {
		if c != nil {
			c.Close()
		}
	}
	if s.replication != nil {
		errs = append(errs, s.replication.Close())
	}
	errs = append(errs, s.closeServers(ctx))
	if s.clock != nil {
		errs = append(errs, s.clock.Close())
	}
	return errors.Join(errs...)
}

func (s *scene) closeServers(ctx context.Context) error {
	var g errgroup.Group
	for _, c := range []struct {
		there bool
		close func() error
	}{
		{s.sentinel != nil, func() error { return s.sentinel.Close() }},
		{s.replica != nil, func() error { return s.replica.Close() }},
		{s.valkey != nil, func() error { return s.valkey.Close() }},
		{s.nats != nil, func() error { return s.nats.Close() }},
		{s.standby != nil, func() error { return s.standby.Close() }},
		{s.ownPostgres, func() error { return s.postgres.Close() }},
		{!s.ownPostgres && s.database != "", func() error { return dropDatabase(ctx, s.postgres, s.database) }},
	} {
		if c.there {
			g.Go(c.close)
		}
	}
	return g.Wait()
}

// stopNodes stops drivers first: they may still need the relays.
func (s *scene) stopNodes() error {
	return errors.Join(s.stopRole(writing, reading), s.stopRole(relaying))
}

// stopRole stops processes side by side.
func (s *scene) stopRole(roles ...role) error {
	var g errgroup.Group
	for _, n := range ofRole(roles...)(&Stage{scene: s}) {
		g.Go(n.stop)
	}
	return g.Wait()
}
