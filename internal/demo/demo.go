// Package demo runs real flights through Tidelock and through a hand-written UPDATE-then-SET at once, takes the stack
// apart meanwhile, and counts at the end which cache lies.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// Config says how large the demo is.
type Config struct {
	Flights  int           // how many of the 5,000
	Duration time.Duration // of the traffic, if the machine keeps up
	Writers  int
	Readers  int
	Out      io.Writer
	Table    bool // draw a table over itself: Out is a terminal
	Log      *zap.Logger
}

// scene is everything that the demo runs on.
type scene struct {
	cfg    Config
	stack  *stack.Stack
	relay  *stack.Program
	db     *pgxpool.Pool
	cache  *cache.Cache
	nats   *nats.Conn
	client valkey.Client // the naive board's
	count  counters
	view   *view
}

// Run plays the demo and leaves nothing behind.
func Run(ctx context.Context, cfg Config) (Report, error) {
	s := &scene{cfg: cfg, view: newView(cfg.Out, cfg.Table)}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return Report{}, err
	}
	return s.play(ctx)
}

// open starts the servers, the relay in a process of its own, and connects to all of them.
func (s *scene) open(ctx context.Context) (err error) {
	s.view.say("starting postgres, valkey and nats in a temporary folder")
	if s.stack, err = stack.Start(ctx, stack.Config{Log: s.cfg.Log}); err != nil {
		return err
	}
	if _, err = migrations.Up(ctx, s.stack.Postgres.URL()); err != nil {
		return err
	}
	if s.db, err = pgxpool.New(ctx, s.stack.Postgres.URL()+"&pool_max_conns=32"); err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	if s.cache, err = cache.New(ctx, cache.Config{URL: s.stack.Valkey.URL(), Log: s.cfg.Log}); err != nil {
		return err
	}
	if s.nats, err = nats.Connect(s.stack.NATS.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond)); err != nil {
		return fmt.Errorf("connecting to nats: %w", err)
	}
	option, err := valkey.ParseURL(s.stack.Valkey.URL())
	if err != nil {
		return err
	}
	option.DisableCache, option.ForceSingleClient = true, true
	if s.client, err = valkey.NewClient(option); err != nil {
		return fmt.Errorf("connecting the naive twin to valkey: %w", err)
	}
	return s.startRelay()
}

// startRelay starts `tidelock relay` as an operator would.
func (s *scene) startRelay() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the tidelock binary: %w", err)
	}
	cmd := exec.Command(self, "relay")
	cmd.Env = append(os.Environ(),
		"TIDELOCK_DATABASE_URL="+s.stack.Postgres.URL(),
		"TIDELOCK_VALKEY_URL="+s.stack.Valkey.URL(),
		"TIDELOCK_NATS_URL="+s.stack.NATS.URL())
	s.relay, err = stack.StartProgram(cmd, filepath.Join(s.stack.Dir(), "relay.log"))
	return err
}

func (s *scene) killRelay() error {
	relay := s.relay
	s.relay = nil
	return relay.Kill()
}

func (s *scene) close() {
	s.view.finish()
	if s.client != nil {
		s.client.Close()
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.cache != nil {
		s.cache.Close()
	}
	if s.db != nil {
		s.db.Close()
	}
	var err error
	if s.relay != nil {
		err = s.relay.Stop()
	}
	if s.stack != nil {
		err = errors.Join(err, s.stack.Close())
	}
	if err != nil {
		fmt.Fprintln(s.cfg.Out, "stopping the stack:", err)
	}
}

// play runs the traffic and the faults side by side, waits for the relay to finish, and judges.
func (s *scene) play(ctx context.Context) (Report, error) {
	t, closeBoards, err := s.prepare(ctx)
	if err != nil {
		return Report{}, err
	}
	s.view.say(fmt.Sprintf("%d flights, %d writers, %d readers, each on tidelock's board and on a naive one", len(t.flights), s.cfg.Writers, s.cfg.Readers))
	start := time.Now()
	err = s.perform(ctx, t)
	took := time.Since(start)
	closeBoards()
	if err != nil {
		return Report{}, err
	}
	s.view.say("traffic has ended; waiting for the relay to empty the outbox")
	pending, err := awaitSettled(ctx, s.db)
	if err != nil {
		return Report{}, err
	}
	settled := time.Since(start) - took
	s.view.finish()
	report, err := s.judge(ctx, t)
	report.Pending, report.SettledAfter = pending, round(settled.Seconds())
	report.Seconds, report.WritesPerSec = round(took.Seconds()), round(float64(report.Writes)/took.Seconds())
	return report, err
}

func (s *scene) prepare(ctx context.Context) (*traffic, func(), error) {
	all, err := flights(s.cfg.Flights)
	if err != nil {
		return nil, nil, err
	}
	for _, table := range []string{tidelockTable, naiveTable} {
		if err := createTable(ctx, s.db, table); err != nil {
			return nil, nil, err
		}
	}
	ours, err := newTidelockBoard(ctx, s.db, s.cache, writer.Config{DB: s.db, Cache: s.cache, NATS: s.nats, Log: s.cfg.Log}, &s.count)
	if err != nil {
		return nil, nil, err
	}
	return newTraffic(all, [2]board{ours, &naiveBoard{db: s.db, client: s.client}}, &s.count), ours.close, nil
}

// perform runs traffic, faults and the live view until the traffic has ended and the last fault is mended.
func (s *scene) perform(ctx context.Context, t *traffic) error {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(watching)
	}()
	var g errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, run := range []func() error{
		func() error { return t.run(ctx, s.cfg.Duration, s.cfg.Writers, s.cfg.Readers) },
		func() error { return s.wreck(ctx, t.progress) },
	} {
		g.Go(func() error {
			err := run()
			if err != nil {
				cancel()
			}
			return err
		})
	}
	err := g.Wait()
	stop()
	<-done
	return err
}

// watch shows a sample every second, on a terminal twice a second.
func (s *scene) watch(ctx context.Context) {
	every := time.Second
	if s.cfg.Table {
		every = 500 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last [5]int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stats, err := outbox.Count(ctx, s.db)
		if err != nil {
			continue
		}
		now := [5]int64{s.count.writes.Load(), s.count.reads.Load(), s.count.hits.Load(), s.count.naiveReads.Load(), s.count.naiveHits.Load()}
		since := func(i int) float64 { return float64(now[i] - last[i]) }
		s.view.show(sample{
			at: s.view.elapsed(), writes: since(0) / every.Seconds(), reads: since(1) / every.Seconds(),
			hitRatio: ratio(since(2), since(1)), naiveHitRatio: ratio(since(4), since(3)),
			deferred: s.count.deferred.Load(), pending: stats.Pending, oldest: stats.Oldest,
			scheduled: s.count.scheduled.Load(), breaker: s.cache.Breaker(),
		})
		last = now
	}
}

func ratio(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func round(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }

// judge compares every key of both boards with Postgres.
func (s *scene) judge(ctx context.Context, t *traffic) (r Report, err error) {
	if err := s.cache.Wait(ctx); err != nil {
		return r, err
	}
	if r.StaleTidelock, r.CachedOurs, err = compareTidelock(ctx, s.db, s.cache, t.flights); err != nil {
		return r, err
	}
	if r.StaleNaive, r.CachedNaive, err = compareNaive(ctx, s.db, s.client, t.flights); err != nil {
		return r, err
	}
	if r.MissingWrites, err = t.missing(ctx, s.db); err != nil {
		return r, err
	}
	r.Keys, r.Writes, r.Reads = len(t.flights), s.count.writes.Load(), s.count.reads.Load()
	r.Deferred, r.FailedReads = s.count.deferred.Load(), s.count.failedReads.Load()
	r.HitRatio = round(ratio(float64(s.count.hits.Load()), float64(r.Reads)))
	r.NaiveHitRatio = round(ratio(float64(s.count.naiveHits.Load()), float64(s.count.naiveReads.Load())))
	return r, nil
}
