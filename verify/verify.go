package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// usualWindows are the times within which keys and writes should be consistent.
var usualWindows = []time.Duration{time.Second, 10 * time.Second, time.Minute}

const (
	// page is how many keys are compared in one step.
	page = 500
	// differencesMost bounds the differences that are kept in words. All are counted.
	differencesMost = 100
)

// Config says what is verified. The zero value of a field means its default.
type Config struct {
	// DB is the primary, Cache is what is compared with it. Required.
	DB    outbox.DB
	Cache *cache.Cache
	// Keys says which keys are compared. Default all.
	Keys outbox.Sample
	// Rate is the most keys compared in a second. Default 5000.
	Rate int
	// For is how long writes are watched at least. A write counts within a window only if the window was watched to its end. Default 0: as long as the keys take.
	For time.Duration
	// Fix invalidates the entries that differ.
	Fix bool
	// Progress hears how many keys were compared. Default nobody.
	Progress func(keys int64)
	// Log receives each difference. nil means no logs.
	Log *zap.Logger

	windows []time.Duration // shorter in tests
}

func (c Config) rate() int {
	if c.Rate == 0 {
		return 5000
	}
	return c.Rate
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("verify: DB is nil: give the pool of the primary")
	case c.Cache == nil:
		return errors.New("verify: Cache is nil: make one with cache.New")
	case c.Rate < 0:
		return fmt.Errorf("verify: Rate is %d keys a second: it must be positive", c.Rate)
	case c.Keys.Share < 0 || c.Keys.Share > 1:
		return fmt.Errorf("verify: the share of the keys is %v: it must be from 0 to 1", c.Keys.Share)
	case c.For < 0:
		return fmt.Errorf("verify: For is %v: it must be positive", c.For)
	}
	return nil
}

// Kind says how an entry differs.
type Kind string

const (
	// Behind is an entry that is older than the key's version, for which nothing waits.
	Behind Kind = "behind"
	// Above is an entry with a version that Postgres has not: of a history that it has left, or not Tidelock's doing.
	Above Kind = "above"
)

// Difference is an entry that nothing will mend by itself.
type Difference struct {
	Key      string `json:"key"`
	Kind     Kind   `json:"kind"`
	Postgres int64  `json:"postgres_version"`
	Cache    int64  `json:"cache_version"`
	Fixed    bool   `json:"fixed"`
}

// Share is how many of those that were judged were late.
type Share struct {
	Within time.Duration `json:"within_ns"`
	Judged int64         `json:"judged"`
	Late   int64         `json:"late"`
}

// Consistent returns the share that was in time: 1 where nothing was judged.
func (s Share) Consistent() float64 {
	if s.Judged == 0 {
		return 1
	}
	return 1 - float64(s.Late)/float64(s.Judged)
}

// Report is what was found.
type Report struct {
	// Keys were compared, Held of them had something in the cache that may be served. The rest is loaded by its next reader.
	Keys int64 `json:"keys"`
	Held int64 `json:"held"`
	// Waiting were behind when they were read first, and known to be.
	Waiting int64 `json:"waiting"`
	// Differing were different with nothing to mend them; Differences has the first of them.
	Differing   int64        `json:"differing"`
	Differences []Difference `json:"differences,omitempty"`
	// ByKey and ByWrite say how many were consistent in time, by window.
	ByKey   []Share       `json:"by_key"`
	ByWrite []Share       `json:"by_write"`
	Took    time.Duration `json:"took_ns"`
}

// Run compares, and follows what is late for up to a minute. It fails when Postgres or the cache do not answer, with what it has found so far.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.validate(); err != nil {
		return Report{}, err
	}
	if cfg.windows == nil {
		cfg.windows = usualWindows
	}
	began := time.Now()
	w := &walk{cfg: cfg, log: cfg.Log, limit: rate.NewLimiter(rate.Limit(cfg.rate()), page)}
	if w.log == nil {
		w.log = zap.NewNop()
	}
	for _, within := range cfg.windows {
		w.report.ByKey = append(w.report.ByKey, Share{Within: within})
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	writes := &writes{db: cfg.DB, windows: cfg.windows, late: make([]int64, len(cfg.windows))}
	go func() { watched <- writes.watch(watching) }()
	err := w.run(ctx)
	if err == nil {
		sleep(ctx, cfg.For-time.Since(began))
	}
	stop()
	err = errors.Join(err, <-watched, ctx.Err())
	w.report.ByWrite, w.report.Took = writes.shares(), time.Since(began)
	for i := range w.report.ByKey {
		w.report.ByKey[i].Judged = w.report.Keys
	}
	return w.report, err
}

// sleep waits, no longer than ctx lives.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
