package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/outbox"
)

// Config says what a Client works with.
type Config struct {
	// DB is the primary that holds the schema tidelock. It is asked once, for the database's name. Required.
	DB outbox.DB
	// NATS is the connection to the server that the relays use. Required. Make it with MaxReconnects(-1) and RetryOnFailedConnect(true).
	NATS *nats.Conn
	// Log receives when trust begins and ends. nil means no logs.
	Log *zap.Logger
}

// askTimeout bounds one question.
const askTimeout = RenewEvery

// Client holds the lease of a process for one cache, and renews it in the background. With the guardian, NATS or, at the start, Postgres away
// there is no lease, and whoever needs one goes to Postgres; it comes back by itself.
type Client struct {
	cfg  Config
	log  *zap.Logger
	held atomic.Pointer[Held]
	stop context.CancelFunc
	done sync.WaitGroup
}

// NewClient makes a client and begins to ask. It does not wait for the first lease.
func NewClient(cfg Config) (*Client, error) {
	switch {
	case cfg.DB == nil:
		return nil, errors.New("lease: DB is nil: give the pool of the primary")
	case cfg.NATS == nil:
		return nil, errors.New("lease: NATS is nil: give a connection, it may be down")
	}
	c := &Client{cfg: cfg, log: cfg.Log}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	c.held.Store(&Held{})
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.done.Go(func() { c.run(ctx) })
	return c, nil
}

// Close ends the asking. What is held runs out.
func (c *Client) Close() {
	c.stop()
	c.done.Wait()
}

// Held returns what may be believed.
func (c *Client) Held() Held { return *c.held.Load() }

func (c *Client) run(ctx context.Context) {
	tick := time.NewTicker(RenewEvery)
	defer tick.Stop()
	subject, trusted := "", false
	for {
		var err error
		if subject == "" {
			subject, err = c.subject(ctx)
		}
		if subject != "" {
			err = c.renew(ctx, subject)
		}
		if now := Now() < c.Held().TrustedUntil; now != trusted {
			trusted = now
			c.log.Info("cache_trust", zap.Bool("trusted", trusted), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// subject asks Postgres for the database's name.
func (c *Client) subject(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, Length)
	defer cancel()
	office, _, err := outbox.Guardian(ctx, c.cfg.DB)
	if err != nil {
		return "", err
	}
	return outbox.LeaseSubject + office.Database, nil
}

// renew asks for a lease. It is counted from before the question was sent.
func (c *Client) renew(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := Now()
	answer, err := c.cfg.NATS.RequestWithContext(ctx, subject, nil)
	if err != nil {
		return fmt.Errorf("asking the guardian for a lease: %w", err)
	}
	var r Reply
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return fmt.Errorf("reading the guardian's answer: %w", err)
	}
	if r.Behind < 0 {
		return fmt.Errorf("reading the guardian's answer: it is ahead of the present by %v", -r.Behind)
	}
	held := c.Held().Granted(asked, r)
	c.held.Store(&held)
	return nil
}
