// Package dashboard serves a page that answers at a glance whether the cache can be trusted now, from what a relay can know: Postgres tells of the trust, the
// servers on record and the outbox, Valkey of its lookups, and the relays of one another over NATS. What is not known is left out, never guessed.
//
// Looking is free to whoever reaches the address; payloads and all that changes something are the administrator's, who has a token. The page loads nothing from
// elsewhere. With every server down it stays up and says so.
package dashboard

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/relay"
)

// every is the time between two looks at everything.
const every = time.Second

// TokenMin is the length of the shortest token for an administrator.
const TokenMin = 16

// Config says what a Dashboard shows. The zero value of a field means its default.
type Config struct {
	// DB is the primary, Cache and NATS are the relay's, which runs elsewhere. Required. A dashboard uses two connections of DB and closes nothing.
	DB    *pgxpool.Pool
	Cache *cache.Cache
	NATS  *nats.Conn
	Relay *relay.Relay
	// Name is the relay's, for people. Default: relay.
	Name string
	// Token is what an administrator must send: 16 bytes at least. Default none: then nobody may see a payload or change anything.
	Token string
	// Open makes everybody on this machine an administrator, without a token, and nobody else. It is for private servers.
	Open bool
	// Actions are further buttons for the administrator.
	Actions []Action
	// Row returns the row behind a key, for who looks at one: text, empty for no row. Default: rows are not shown, for a relay does not know them.
	Row func(ctx context.Context, key string) (string, error)
	// Log receives what an administrator does. nil means no logs.
	Log *zap.Logger
}

// Action is something that an administrator can do at a button.
type Action struct {
	Name  string // in URLs
	Label string
	// Usable reports whether it can be done now.
	Usable func() bool
	Do     func(ctx context.Context) error
}

func (c Config) validate() error {
	switch {
	case c.DB == nil || c.Cache == nil || c.NATS == nil || c.Relay == nil:
		return errors.New("dashboard: DB, Cache, NATS and Relay are required")
	case c.Token != "" && len(c.Token) < TokenMin:
		return fmt.Errorf("dashboard: Token has %d bytes: it must have %d at least", len(c.Token), TokenMin)
	}
	return nil
}

// Dashboard looks at everything once a second while it runs, and serves what it saw.
type Dashboard struct {
	cfg      Config
	log      *zap.Logger
	peers    *peers
	watcher  *watcher // of the goroutine of Run
	timeline timeline
	viewers  viewers

	mu      sync.Mutex // guards samples
	samples []Sample
}

// New makes a dashboard. It asks nobody anything yet.
func New(cfg Config) (*Dashboard, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Name = cmp.Or(cfg.Name, "relay")
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	d := &Dashboard{cfg: cfg, log: cfg.Log, peers: newPeers(rand.Text(), cfg.NATS), viewers: viewers{done: make(chan struct{})}}
	d.watcher = newWatcher(d)
	return d, nil
}

// Run looks once a second until ctx ends; then it ends all streams. It may be called once.
func (d *Dashboard) Run(ctx context.Context) {
	defer close(d.viewers.done)
	defer d.peers.close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes a sample and shows it to all who watch.
func (d *Dashboard) look(ctx context.Context) {
	sample, state := d.watcher.look(ctx)
	if ctx.Err() != nil {
		return
	}
	d.keep(sample)
	d.viewers.show(event("now", now{Sample: sample, State: state}))
	if events, changed := d.timeline.news(); changed {
		d.viewers.show(event("timeline", events))
	}
}

// samplesMost is how many samples are kept: those of 15 minutes.
const samplesMost = int(15 * time.Minute / every)

func (d *Dashboard) keep(s Sample) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.samples) == samplesMost {
		d.samples = append(d.samples[:0], d.samples[1:]...)
	}
	d.samples = append(d.samples, s)
}
