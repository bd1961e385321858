// Package chaos attacks the guarantee: it runs drivers and relays on real servers, breaks servers, network and processes in every way
// that it knows, and judges every operation afterwards. Everything that is left to chance follows from one seed.
//
// A scenario is a fresh database, a fresh Valkey and a fresh NATS, two processes that write and read, one that only reads, and two
// relays, each with a proxy to each server. The traffic warms up, the faults come, everything is healed, the traffic stops, and the cache
// has five seconds to agree with Postgres. The same scenarios run with a cache that is written after Postgres by hand (naive), with one
// that is deleted from (aside), both of which must be caught, and without any cache (postgres), of which nothing must be found.
//
// A run fails in two ways: what was promised was not kept, which is a violation in the Report; or the suite itself could not do what it was
// to do, which is an Error of the Result. Every process and server has ended and every temporary folder is gone when Run returns.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// ours is the subject whose violations count.
const ours = "tidelock"

// liars are the subjects that must be caught.
var liars = []string{"naive", "aside"}

// Subjects are all that can be attacked.
func Subjects() []string { return []string{ours, "naive", "aside", "postgres"} }

// Config says what is run. The zero value of a field means its default.
type Config struct {
	// Seed decides everything that is left to chance. 0 takes one from the clock.
	Seed uint64
	// Minutes is how long random pairs of scenarios follow the single ones, counted from the start. 0 means none.
	Minutes float64
	// Operations is how many there are to be of Tidelock's, at least: random pairs of scenarios follow, with all the traffic that the machine can take. 0 means no
	// more than there are.
	Operations int
	// Scenarios are patterns of names, such as valkey/*; none means all.
	Scenarios []string
	// Subjects are what is attacked. Default: tidelock with all scenarios, the others with some of them.
	Subjects []string
	// Recovery measures the speed of recovery too, Mutants runs the suite without one rule after the other.
	Recovery, Mutants bool
	// Other is another build of this program: processes of it take the place of our own, and the other way round, in all/rolling-upgrade. Default our own.
	Other string
	// Keep keeps every history, not only those with violations.
	Keep bool
	// Dir is where the report goes, and the histories of failures. Default chaos/out.
	Dir string
	// WarmUp and Faults are how long the traffic runs undisturbed and disturbed. Default 700 ms and 3.5 s;
	// the faults of the subjects that only show that the judge sees last 2 s.
	WarmUp, Faults time.Duration
	// Out takes the table. Default none.
	Out io.Writer
	// Log takes what the launcher says; nil means none.
	Log *zap.Logger
}

func (c Config) dir() string            { return orDefault(c.Dir, filepath.Join("chaos", "out")) }
func (c Config) warmUp() time.Duration  { return orDefault(c.WarmUp, 700*ms) }
func (c Config) minutes() time.Duration { return time.Duration(c.Minutes * float64(time.Minute)) }

// faults is shorter for subjects that only show that the judge sees.
func (c Config) faults(r run) time.Duration {
	usual := 2 * time.Second
	switch {
	case r.heavy:
		usual = 30 * time.Second
	case r.subject == ours:
		usual = 3500 * ms
	}
	return max(orDefault(c.Faults, usual), r.scenario.Lasts)
}

func (c Config) log() *zap.Logger {
	if c.Log == nil {
		return zap.NewNop()
	}
	return c.Log
}

func (c Config) out() io.Writer {
	if c.Out == nil {
		return io.Discard
	}
	return c.Out
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

const (
	// scenariosAtOnce is how many scenarios run side by side. Most of the time each of them waits.
	scenariosAtOnce = 2
	// scenariosAhead is how many more are made ready meanwhile: it takes some seconds until the cache is trusted.
	scenariosAhead = 2
	// heavyLull is how many times as long as usual heavy traffic runs undisturbed, so that the cache is trusted in between.
	heavyLull = 8
)

// conductor runs the scenarios.
type conductor struct {
	cfg      Config
	postgres *stack.Postgres // that all scenarios share which do not wreck it
	table    *table
	began    time.Time
	turns    chan struct{} // holds as many as run

	mu     sync.Mutex // guards the results
	report Report
}

// Run attacks, prints a table, and leaves the report in Config.Dir. Its error says that the suite could not run; see Report.Good for what it
// found. When ctx ends the run ends with what it has.
func Run(ctx context.Context, cfg Config) (Report, error) {
	c := &conductor{cfg: cfg, table: &table{out: cfg.out()}, began: time.Now(), turns: make(chan struct{}, scenariosAtOnce)}
	if c.cfg.Seed == 0 {
		c.cfg.Seed = uint64(c.began.UnixNano()) >> 1
	}
	c.report.Seed = c.cfg.Seed
	err := c.run(ctx)
	c.report.Seconds = time.Since(c.began).Seconds()
	return c.report, errors.Join(err, c.report.write(c.cfg.dir()))
}

func (c *conductor) run(ctx context.Context) (err error) {
	runs, single, err := c.plan()
	if err != nil {
		return err
	}
	if c.postgres, err = stack.StartPostgres(ctx, stack.PostgresConfig{NoFsync: true, Log: c.cfg.Log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.postgres.Close()) }()
	if err := prepareTemplate(ctx, c.postgres); err != nil {
		return err
	}
	c.table.printf("seed %d, %d scenarios\n", c.cfg.Seed, len(runs))
	c.table.head()
	c.doAll(ctx, slices.Values(runs))
	if err := c.afterwards(ctx); err != nil {
		return err
	}
	c.pairs(ctx, single)
	c.heavy(ctx, single)
	c.areas()
	if c.cfg.Mutants && ctx.Err() == nil {
		if err := c.huntMutants(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// doAll runs scenarios side by side, as many at once as the machine can take, until the run is ended.
func (c *conductor) doAll(ctx context.Context, runs iter.Seq[run]) {
	var g errgroup.Group
	g.SetLimit(scenariosAtOnce + scenariosAhead)
	for r := range runs {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if res := c.perform(ctx, r); ctx.Err() == nil { // else it was cut short
				c.table.line(res)
				c.mu.Lock()
				defer c.mu.Unlock()
				c.report.add(res)
			}
			return nil
		})
	}
	_ = g.Wait() // what goes wrong stands in the results
}

// plan lists what is run, and the scenarios that pairs are made of.
func (c *conductor) plan() (runs []run, single []Scenario, err error) {
	subjects := c.cfg.Subjects
	if len(subjects) == 0 {
		subjects = Subjects()
	}
	for _, subject := range subjects {
		if !slices.Contains(Subjects(), subject) {
			return nil, nil, fmt.Errorf("there is no subject %q: choose from %v", subject, Subjects())
		}
		for _, s := range Scenarios() {
			fits, err := s.matches(c.cfg.Scenarios)
			if err != nil {
				return nil, nil, err
			}
			if !fits || !c.wants(subject, s) {
				continue
			}
			runs = append(runs, run{scenario: s, subject: subject, seed: seedOf(c.cfg.Seed, subject, s.Name)})
			if subject == ours {
				single = append(single, s)
			}
		}
		for _, name := range c.cfg.Scenarios {
			if !strings.Contains(name, "+") {
				continue
			}
			s, err := joined(name)
			if err != nil {
				return nil, nil, err
			}
			runs = append(runs, run{scenario: s, subject: subject, seed: seedOf(c.cfg.Seed, subject, s.Name)})
		}
	}
	if len(runs) == 0 {
		return nil, nil, fmt.Errorf("no scenario fits %q", c.cfg.Scenarios)
	}
	return runs, single, nil
}

// wants reports whether a subject is attacked with a scenario that fits.
func (c *conductor) wants(subject string, s Scenario) bool {
	if subject == ours || len(c.cfg.Scenarios) > 0 {
		return true
	}
	return slices.Contains(dozen, s.Name)
}

// pairs runs random pairs until the time is over.
func (c *conductor) pairs(ctx context.Context, single []Scenario) {
	luck := rand.New(rand.NewPCG(c.cfg.Seed, 2))
	c.doAll(ctx, func(yield func(run) bool) {
		for i := 0; time.Since(c.began) < c.cfg.minutes(); i++ {
			s, ok := randomPair(luck, single)
			if !ok || !yield(run{scenario: s, subject: ours, seed: seedOf(c.cfg.Seed, ours, s.Name, fmt.Sprint(i))}) {
				return
			}
		}
	})
}

// heavyErrors is how many of the heavy runs may fail to be held: the machine is at its limits.
const heavyErrors = 5

// heavy runs random pairs with heavy traffic, one after the other, until there are as many operations as were asked for, or too many could not be held.
func (c *conductor) heavy(ctx context.Context, single []Scenario) {
	luck := rand.New(rand.NewPCG(c.cfg.Seed, 3))
	c.turns = make(chan struct{}, 1)
	operations, errors := c.sofar()
	most := errors + heavyErrors
	c.doAll(ctx, func(yield func(run) bool) {
		for i := 0; operations < c.cfg.Operations && errors < most; i++ {
			s, ok := randomPair(luck, single)
			if !ok || !yield(run{scenario: s, subject: ours, seed: seedOf(c.cfg.Seed, ours, s.Name, "heavy", fmt.Sprint(i)), heavy: true}) {
				return
			}
			operations, errors = c.sofar()
		}
	})
}

func (c *conductor) sofar() (operations, errors int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report.Operations, c.report.Errors
}

// areas sums up at the end of a run of everything.
func (c *conductor) areas() {
	c.report.sumUp(len(c.cfg.Scenarios) == 0)
	c.report.print(c.table)
}

// afterwards measures what is asked for beside the scenarios.
func (c *conductor) afterwards(ctx context.Context) (err error) {
	if c.cfg.Recovery && ctx.Err() == nil {
		if c.report.Recovery, err = measureRecovery(ctx, c.cfg.log()); err != nil {
			return err
		}
		c.report.Recovery.print(c.table)
	}
	return nil
}
