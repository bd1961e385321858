package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidelock-cache/tidelock/bench/results"
	"github.com/tidelock-cache/tidelock/bench/site"
	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// runCmd is the bench.
type runCmd struct {
	Only        []string      `help:"Measure these alone, and keep the other figures of the run before: writes, reads, strict, seen, peers, drain, relay_peers, costs, sizes, stale, attach; and the long ones, which run only when named: churn, outage." placeholder:"NAME"`
	Rounds      int           `help:"How often each subject has its turn." default:"5"`
	Turn        time.Duration `help:"How long a turn is measured." default:"1500ms"`
	Warm        time.Duration `help:"How long a subject works before it is measured." default:"250ms"`
	Clients     []int         `help:"Numbers of clients." default:"1,16,64,256"`
	Payloads    []int         `help:"Sizes of payloads, bytes; beyond the first one with the busy number of clients alone." default:"130,1024,16384"`
	Busy        int           `help:"The number of clients for further payloads and for keys of which some are popular." default:"64"`
	Keys        int           `help:"How many keys there are." default:"10000"`
	Pool        int           `help:"Connections to Postgres, of each pool." default:"64"`
	Writes      int           `help:"How many writes another process looks out for." default:"500"`
	Records     int           `help:"How many records the relay drains." default:"1000000"`
	PeerRecords int           `help:"How many messages each of the other relays drains." default:"50000"`
	Sizes       []int         `help:"Numbers of keys that the figures are measured at." default:"1000,1000000"`
	Few         int           `help:"The number of clients for large payloads and large transactions." default:"16"`
	Churn       int           `help:"How many writes are made to see whether they stay as fast." default:"10000000"`
	ChurnKeys   int           `help:"Over how many keys." default:"100000"`
	Window      time.Duration `help:"How long a part of such a run is." default:"10s"`
	Outage      time.Duration `help:"How long Valkey is away." default:"10m"`
	Faults      int           `help:"How often each fault comes while stale reads are counted." default:"3"`
	Rest        time.Duration `help:"How long each fault lasts, and the time between two." default:"2s"`
	Operations  int           `help:"How many operations of each kind are counted for what they cost." default:"2000"`
	Bulk        int           `help:"How many rows statements on an attached table change." default:"200000"`
	Profile     string        `help:"Folder for a CPU profile of each turn of Tidelock's." type:"path"`
	Quick       bool          `help:"Measure a little of the most important in two minutes, and print the ratios beside those of the last release."`
	Release     string        `help:"The results of the last release." default:"release.json" type:"path"`
	Out         string        `help:"Folder of results.json." default:"out" type:"path"`
	Commit      string        `help:"What the results say of the version that was measured." default:"unknown"`
}

// Validate refuses what cannot be run.
func (c *runCmd) Validate() error {
	switch {
	case c.Rounds < 1 || c.Turn <= 0 || c.Warm < 0:
		return errors.New("--rounds and --turn must be positive, --warm not negative")
	case c.Keys < 2 || c.Pool < 1:
		return errors.New("--keys must be at least 2, --pool at least 1")
	case len(c.Payloads) == 0 || slices.Min(c.Payloads) < 32:
		return errors.New("--payloads must be at least 32 bytes each")
	}
	for _, name := range c.Only {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
			return fmt.Errorf("--only: there is no %q", name)
		}
	}
	return nil
}

// suite is a part of the bench.
type suite struct {
	name string
	run  func(*bench, context.Context) error
	long bool // it takes an hour, and runs only when it is named
}

var suites = []suite{
	{"writes", (*bench).writes, false},
	{"reads", (*bench).reads, false},
	{"strict", (*bench).strict, false},
	{"seen", (*bench).seen, false},
	{"peers", (*bench).peers, false},
	{"drain", (*bench).drains, false},
	{"relay_peers", (*bench).relayPeers, false},
	{"costs", (*bench).costs, false},
	{"sizes", (*bench).sizes, false},
	{"churn", (*bench).churn, true},
	{"outage", (*bench).outage, true},
	{"stale", (*bench).stale, false},
	{"attach", (*bench).attached, false},
}

// bench is one run.
type bench struct {
	cfg      *runCmd
	site     *site.Site
	ours     *subject.Tidelock // keys that are not strict
	near     *subject.Tidelock // the same keys, in a process that keeps entries of its own
	strictly *subject.Tidelock // keys that are
	results  *results.Results
	table    table
	idle     map[string]float64 // processor time without work
	noise    []turns.Spread
	late     float64 // operations that ran out of time
	idling   reading // what the servers count in a second without work
}

// Run measures.
func (c *runCmd) Run(ctx context.Context) (err error) {
	if c.Quick {
		c.quick()
	}
	b := &bench{cfg: c, results: results.New(), table: table{os.Stdout}}
	if err := b.keep(); err != nil {
		return err
	}
	if b.site, err = site.Open(ctx, site.Config{Pool: c.Pool, Relay: true}); err != nil {
		return errors.Join(err, b.site.Close())
	}
	defer func() { err = errors.Join(err, b.site.Close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	defer b.ours.Close()
	defer b.near.Close()
	defer b.strictly.Close()
	if err := b.describe(ctx); err != nil {
		return err
	}
	for _, s := range suites {
		if named := slices.Contains(c.Only, s.name); !named && (s.long || len(c.Only) > 0) {
			continue
		}
		before := turns.Others()
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
		b.results.Set("run.foreign_cpu."+s.name, before.Until(turns.Others())) // with programs that have ended meanwhile
	}
	return b.finish()
}

// quick makes the run a short one.
func (c *runCmd) quick() {
	c.Only = []string{"writes", "reads", "strict", "seen", "drain"}
	c.Rounds, c.Turn, c.Warm = 3, 500*time.Millisecond, 100*time.Millisecond
	c.Clients, c.Payloads = []int{1, 64}, c.Payloads[:1]
	c.Writes, c.Records = 100, 50_000
	c.Out = filepath.Join(c.Out, "quick") // and leaves the figures of a long run alone
}

// nearBytes is room for all keys with the smaller payloads.
const nearBytes = 64 << 20

func (b *bench) open(ctx context.Context) error {
	cache, err := b.site.NewCache(ctx, 0)
	if err != nil {
		return err
	}
	near, err := b.site.NewCache(ctx, nearBytes)
	if err != nil {
		return err
	}
	if b.ours, err = subject.NewTidelock(ctx, b.site.DB, cache, b.site.NATS, "tide:", false); err != nil {
		return err
	}
	if b.near, err = subject.NewTidelock(ctx, b.site.DB, near, b.site.NATS, "tide:", false); err != nil {
		return err
	}
	if b.strictly, err = subject.NewTidelock(ctx, b.site.DB, cache, b.site.NATS, "strict:", true); err != nil {
		return err
	}
	if err := errors.Join(b.ours.AwaitTrust(ctx), b.strictly.AwaitTrust(ctx)); err != nil {
		return err
	}
	b.idle, err = turns.Idle(ctx, 2*time.Second)
	for program, us := range b.idle {
		b.results.Set("run.idle_cpu_us_per_s."+slug(program), us)
	}
	return err
}

func (b *bench) plan() turns.Plan {
	return turns.Plan{Rounds: b.cfg.Rounds, Turn: b.cfg.Turn, Warm: b.cfg.Warm, Idle: b.idle}
}

// cells are the first payload with every number of clients, and with the busy number of clients the other payloads, and keys of
// which some are popular.
func (b *bench) cells() []turns.Cell {
	var cells []turns.Cell
	first := b.cfg.Payloads[0]
	for _, n := range b.cfg.Clients {
		cells = append(cells, turns.Cell{Clients: n, Payload: first, Keys: b.cfg.Keys})
	}
	for _, payload := range b.cfg.Payloads[1:] {
		cells = append(cells, turns.Cell{Clients: b.cfg.Busy, Payload: payload, Keys: b.cfg.Keys})
	}
	if len(b.cfg.Payloads) > 1 {
		cells = append(cells, turns.Cell{Clients: b.cfg.Busy, Payload: first, Keys: b.cfg.Keys, Zipf: true})
	}
	return cells
}

func (b *bench) finish() error {
	deferred := b.ours.Deferred.Load() + b.strictly.Deferred.Load()
	misses := b.ours.Misses.Load() + b.near.Misses.Load() + b.strictly.Misses.Load()
	b.results.Set("run.deferred_writes", float64(deferred))
	b.results.Set("run.missed_reads", float64(misses))
	b.results.Set("run.late_operations", b.late)
	foreign := make([]float64, len(b.noise))
	for i, s := range b.noise {
		foreign[i] = s.Median
	}
	all := turns.SpreadOf(foreign)
	if len(foreign) > 0 {
		b.results.Set("run.foreign_cpu_median", all.Median)
		b.results.Set("run.foreign_cpu_highest", all.High)
	}
	fmt.Fprintf(b.table.out, "\ndeferred writes: %d, missed reads: %d, out of time: %.0f; others used %.0f%% of the machine (median over subjects; up to %.0f%%)\n",
		deferred, misses, b.late, 100*all.Median, 100*all.High)
	if b.cfg.Quick {
		if err := b.besideRelease(); err != nil {
			return err
		}
	}
	return b.save()
}

func (b *bench) path() string { return filepath.Join(b.cfg.Out, "results.json") }

// keep begins with the figures of the run before where only some are measured anew.
func (b *bench) keep() error {
	if len(b.cfg.Only) == 0 || b.cfg.Quick {
		return nil
	}
	earlier, err := results.Load(b.path())
	if err != nil {
		return fmt.Errorf("reading the figures of the run before: %w", err)
	}
	b.results.Keep(earlier)
	return nil
}

// save writes what is known so far: a run that is broken off has figures too.
func (b *bench) save() error {
	return errors.Join(b.results.Save(b.path()), b.summarize())
}

// slug makes a subject's name fit for the name of a figure.
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "_")
}
