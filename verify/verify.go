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
	DB    outbox.Beginner
	Cache *cache.Cache
	// Rows are those whose values are compared as well, after the versions. Default none. The server's user needs SCAN, and DB's sessions must be as they are
	// for those who fill the cache: for entities, as entity.Tune sets them.
	Rows []Rows
	// Keys says which keys are compared. Default all.
	Keys outbox.Sample
	// Rate is the most keys compared in a second. A walk by value may pass over another twenty of the cache's for each. Default 5000.
	Rate int
	// For is how long writes are watched at least. A write counts within a window only if the window was watched to its end. Default 0: as long as the keys take.
	For time.Duration
	// Fix invalidates the entries that differ. Those that differ by value get a new version for it, which takes the rights of a writer.
	Fix bool
	// Progress hears how many comparisons were made, by version and by value. Default nobody.
	Progress func(keys int64)
	// Log receives each difference. nil means no logs.
	Log *zap.Logger

	windows []time.Duration // shorter in tests
}

// Rows say what the cache should hold of some kind of key. An *entity.Entity does, for what "tidelock serve" writes.
type Rows interface {
	// Prefix is what the keys begin with.
	Prefix() string
	// Has reports whether a key with that prefix is that of a row, which may not exist.
	Has(key string) bool
	// Load reads the rows of these keys, byte for byte as they are stored. A key that the answer lacks has no row.
	Load(ctx context.Context, db outbox.DB, keys []string) (map[string][]byte, error)
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
	case c.Keys.Since != 0 && len(c.Rows) > 0:
		return errors.New("verify: Keys.Since goes by versions, and Rows are compared by value: leave one of them out")
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
	// Changed is a value that is not its row's, though it has the latest version: the row was changed behind Tidelock's back.
	Changed Kind = "changed"
	// Deleted is a value without a row.
	Deleted Kind = "deleted"
	// Inserted is an entry that says that there is no row, while there is one.
	Inserted Kind = "inserted"
)

// Kinds are all of them.
var Kinds = []Kind{Behind, Above, Changed, Deleted, Inserted}

// Difference is an entry that nothing will mend by itself.
type Difference struct {
	Key      string `json:"key"`
	Kind     Kind   `json:"kind"`
	Postgres int64  `json:"postgres_version"` // 0 for none
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
	// Values were compared with their rows.
	Values int64 `json:"values"`
	// Unread says of rows that Postgres does not let us read why, by their prefix. Their values, or some of them, were not compared.
	Unread map[string]string `json:"unread,omitempty"`
	// Differing were different with nothing to mend them; ByKind says how, and Differences has the first of them.
	Differing   int64          `json:"differing"`
	ByKind      map[Kind]int64 `json:"by_kind,omitempty"`
	Differences []Difference   `json:"differences,omitempty"`
	// ByKey and ByWrite say how many were consistent in time, by window and going by versions.
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
	w.report.ByKind, w.report.Unread = make(map[Kind]int64), make(map[string]string)
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
	if err == nil && len(cfg.Rows) > 0 {
		err = (&values{walk: w, told: make(map[string]bool)}).run(ctx)
	}
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
