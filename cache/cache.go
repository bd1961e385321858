package cache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Config says where Valkey is and how long to wait for it. The zero value of a field means its default.
type Config struct {
	// URL is valkey://user:password@host:port/db, or valkeys:// (also redis://, rediss://) for TLS. ?addr=host:port names further nodes of a
	// cluster or further sentinels, ?master_set=NAME makes the addresses sentinels. Each connection must lead to the same server for as long as it lasts: strict
	// and bounded reads go by that, so a proxy in between must not speak the protocol. Required.
	URL string
	// Tune may alter the options made from URL before they are used: a private CA, Sentinel's credentials, buffers.
	Tune func(*valkey.ClientOption)
	// Wrap, if set, returns what is used in a client's stead, to trace or to count its calls: valkeyotel.WithClient of valkey-go, say. It must hand every call
	// on, once, and return what came of it.
	Wrap func(valkey.Client) valkey.Client
	// Timeout bounds each call, also when its context allows more. Default 50 ms. Keep it below the callers' own deadlines: a
	// deadline of theirs that ends a call sooner says nothing of the server, and does not count for the breaker. A call for many keys
	// has no more time than one for a single key: where many callers ask for megabytes at once, allow for that.
	Timeout time.Duration
	// WatchTimeout bounds each question that Watch asks of a server. Default 250 ms. While one server of a cluster hangs, the guardian
	// notices so much later what becomes of the others.
	WatchTimeout time.Duration
	// PayloadMax is the largest payload in bytes. Default 1 MiB.
	PayloadMax int
	// PlaceholderTTL is how long a load may take before its fill is refused. Default 10 s.
	PlaceholderTTL time.Duration
	// BreakerFailures is how many failures in a row open the circuit breaker. Default 5. In a cluster one breaker
	// stands for all shards.
	BreakerFailures int
	// ProbeInterval is the pause between two probes while the breaker is open. Default 100 ms.
	ProbeInterval time.Duration
	// NearBytes is how much memory the process may use to keep entries of its own, as the library counts it, for each server. With it readers serve
	// from there what no lease must prove: see packages cache and reader. The server's user needs CLIENT TRACKING and CLIENT CACHING. Default
	// 0, which is none; else at least 64 KiB.
	NearBytes int
	// NearTTL is how long such an entry is kept at most, also when the server says nothing of a change. Default 5 s, at most a minute.
	NearTTL time.Duration
	// Log receives changes of the breaker's state. nil means no logs.
	Log *zap.Logger
}

func (c Config) timeout() time.Duration        { return orDefault(c.Timeout, 50*time.Millisecond) }
func (c Config) watchTimeout() time.Duration   { return orDefault(c.WatchTimeout, 250*time.Millisecond) }
func (c Config) payloadMax() int               { return orDefault(c.PayloadMax, 1<<20) }
func (c Config) placeholderTTL() time.Duration { return orDefault(c.PlaceholderTTL, 10*time.Second) }
func (c Config) breakerFailures() int          { return orDefault(c.BreakerFailures, 5) }
func (c Config) probeInterval() time.Duration {
	return orDefault(c.ProbeInterval, 100*time.Millisecond)
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (c Config) validate() error {
	switch {
	case c.URL == "":
		return errors.New("cache: URL is empty: give valkey://host:port")
	case c.Timeout < 0:
		return fmt.Errorf("cache: Timeout is %v: it must be positive", c.Timeout)
	case c.WatchTimeout < 0:
		return fmt.Errorf("cache: WatchTimeout is %v: it must be positive", c.WatchTimeout)
	case c.PayloadMax < 0:
		return fmt.Errorf("cache: PayloadMax is %d: it must be positive", c.PayloadMax)
	case c.PlaceholderTTL < 0 || c.PlaceholderTTL > 0 && c.PlaceholderTTL < time.Millisecond:
		return fmt.Errorf("cache: PlaceholderTTL is %v: it must be at least 1ms", c.PlaceholderTTL)
	case c.BreakerFailures < 0:
		return fmt.Errorf("cache: BreakerFailures is %d: it must be positive", c.BreakerFailures)
	case c.ProbeInterval < 0:
		return fmt.Errorf("cache: ProbeInterval is %v: it must be positive", c.ProbeInterval)
	}
	return c.validateNear()
}

// ErrUnavailable says that the cache did not answer: it is down, cut off, too slow, or the breaker is open. The call
// may or may not have taken effect in the server; versions make repeating it harmless.
var ErrUnavailable = errors.New("cache unavailable")

// Cache is a connection to Valkey, safe for any number of goroutines.
type Cache struct {
	places  *places
	cfg     Config
	option  valkey.ClientOption
	client  atomic.Pointer[valkey.Client] // nil until the first connection
	links   *links
	breaker *breaker
	format  atomic.Int32 // in which values are written
	log     *zap.Logger
	stop    context.CancelFunc // the probes
	let     context.CancelFunc // the calls under way
	done    sync.WaitGroup     // the probes
	over    sync.WaitGroup     // the watch over calls
}

// New connects to Valkey. With the server down it succeeds, with the breaker open, and goes on trying. It fails when
// the settings are wrong or the server refuses us (password, ACL).
func New(_ context.Context, cfg Config) (*Cache, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	option, err := options(cfg)
	if err != nil {
		return nil, err
	}
	l := newLinks()
	l.hook(&option)
	c := &Cache{places: newPlaces(cfg.timeout()), cfg: cfg, option: option, links: l, breaker: newBreaker(cfg.breakerFailures()), log: cfg.Log}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.format.Store(1)
	if err := c.connect(); err != nil {
		if refusal, ok := valkey.IsValkeyErr(err); ok && !transient(refusal.Error()) || errors.Is(err, valkey.ErrNoCache) {
			return nil, fmt.Errorf("connecting to valkey at %s: %w", strings.Join(option.InitAddress, ", "), err)
		}
		c.log.Warn("cache_down_at_start", zap.Strings("address", option.InitAddress), zap.Error(err))
		c.breaker.open()
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.done.Go(func() { c.watch(ctx) })
	watched, let := context.WithCancel(context.Background())
	c.let = let
	c.over.Go(func() { c.places.watch(watched) })
	return c, nil
}

// options turns the URL into the client's options, with the few settings that our promises need.
func options(cfg Config) (valkey.ClientOption, error) {
	option, err := parseURL(cfg.URL)
	if err != nil {
		return option, fmt.Errorf("cache: URL is not usable (want valkey://user:password@host:port/db): %w", err)
	}
	option.DisableRetry = true // the library retries reads until the context ends
	option.DisableCache = true
	option.Dialer.Timeout = orDefault(option.Dialer.Timeout, time.Second)
	option.ConnWriteTimeout = orDefault(option.ConnWriteTimeout, max(time.Second, 2*cfg.timeout()))
	if option.Sentinel.MasterSet != "" {
		option.Sentinel.TopologyRefreshInterval = time.Second // a failover that was announced while we were not listening
	}
	if cfg.Tune != nil {
		cfg.Tune(&option)
	}
	if option.DialFn != nil {
		return option, errors.New("cache: Tune sets DialFn: set DialCtxFn instead, which is asked for every connection")
	}
	if option.ConnLifetime != 0 {
		return option, errors.New("cache: Tune sets ConnLifetime: a pipeline that is continued on another connection may speak to two servers; leave it 0")
	}
	return option, nearOptions(cfg, &option)
}

// parseURL says what is wrong in words of its own. The errors of the parsers quote pieces of the text, and where a
// password was not escaped a piece of any part may be a piece of the password.
func parseURL(text string) (valkey.ClientOption, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Fragment != "":
		return valkey.ClientOption{}, errors.New("it is no URL; in a password each of :/?#[]@% must be escaped, / as %2F for example")
	case !slices.Contains([]string{"valkey", "valkeys", "redis", "rediss", "unix"}, u.Scheme):
		return valkey.ClientOption{}, errors.New("its scheme is none of valkey, valkeys, redis, rediss and unix")
	}
	option, err := valkey.ParseURL(text)
	if err != nil {
		return option, errors.New("its path is not a database number, or a parameter has a value that cannot be read")
	}
	return option, nil
}

// Close stops the probe and closes the connections. Calls after it fail.
func (c *Cache) Close() {
	c.stop()
	c.done.Wait()
	c.breaker.open()
	if client := c.client.Load(); client != nil {
		(*client).Close() // ends all calls
	}
	c.let()
	c.over.Wait()
}

// Breaker returns the state of the circuit breaker.
func (c *Cache) Breaker() BreakerState { return c.breaker.State() }

// Wait returns nil once the breaker is closed, or ctx's error.
func (c *Cache) Wait(ctx context.Context) error { return c.breaker.wait(ctx) }

func (c *Cache) connect() error {
	client, err := valkey.NewClient(c.option)
	if err != nil {
		if client != nil {
			client.Close()
		}
		return err
	}
	if c.cfg.Wrap != nil {
		client = c.cfg.Wrap(client)
	}
	c.client.Store(&client)
	return nil
}

// watch probes the server while the breaker is open.
func (c *Cache) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.breaker.opened:
		}
		c.log.Warn("cache_unavailable")
		if mutant.On("breaker-half-open") {
			continue
		}
		pause := backoff.WithContext(backoff.NewConstantBackOff(c.cfg.probeInterval()), ctx)
		if backoff.Retry(func() error { return c.breaker.probe(func() error { return c.ask(ctx) }) }, pause) == nil {
			c.log.Info("cache_available")
		}
	}
}

// ask tries a write, not a PING: a replica, a full disk or a server that is loading answers PING and is of no use.
func (c *Cache) ask(ctx context.Context) error {
	if c.client.Load() == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, max(c.cfg.timeout(), 250*time.Millisecond))
	defer cancel()
	client := *c.client.Load()
	err := client.Do(ctx, client.B().Set().Key("tidelock:probe").Value("1").PxMilliseconds(1000).Build()).Error()
	if v, _ := translate(err); v == healthy {
		return nil
	}
	return err
}

// verdict is what one result says of the server's health.
type verdict int

const (
	unclear verdict = iota // the caller gave up
	healthy
	failing
)

// translate turns the library's error into ours.
func translate(err error) (verdict, error) {
	if err == nil || valkey.IsValkeyNil(err) {
		return healthy, nil
	}
	if errors.Is(err, context.Canceled) {
		return unclear, err
	}
	if reply, ok := valkey.IsValkeyErr(err); ok && !transient(reply.Error()) && !barred(reply.Error()) {
		return healthy, err
	}
	return failing, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// transient reports whether an error reply speaks of the server's state rather than of the command.
func transient(reply string) bool {
	code, _, _ := strings.Cut(reply, " ")
	switch code {
	case "LOADING", "READONLY", "MISCONF", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MOVED", "ASK":
		return true
	}
	return false
}

// barred reports whether an error reply means that the server does not know us, whatever the command.
func barred(reply string) bool {
	code, _, _ := strings.Cut(reply, " ")
	return code == "WRONGPASS" || code == "NOAUTH"
}
