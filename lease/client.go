package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/outbox"
)

// Config says what a Client works with.
type Config struct {
	// DB is the primary that holds the schema tidelock. It is asked once for the database's name, and while the guardian does not answer. Required.
	DB outbox.DB
	// NATS is the connection to the server that the relays use. Required. Make it with MaxReconnects(-1) and RetryOnFailedConnect(true).
	NATS *nats.Conn
	// Log receives when trust begins and ends. nil means no logs.
	Log *zap.Logger
}

const (
	// askTimeout bounds one question.
	askTimeout = RenewEvery
	// vouchTimeout bounds the guardian's answer to a call: it may have to wait for every lease to run out. For anything longer Postgres tells as well.
	vouchTimeout = 6 * Length / 5
	// lookAgain is the pause between two looks at the office's row, and lookMost how often it is looked at until the guardian is called again.
	lookAgain = 50 * time.Millisecond
	lookMost  = 40
	// callVersions bounds the versions in one message.
	callVersions = 500
)

// Client holds the lease of a process for one cache, and renews it in the background. While neither the guardian nor Postgres can be reached there
// is no lease, and whoever needs one goes to Postgres; it comes back by itself.
type Client struct {
	cfg     Config
	log     *zap.Logger
	held    atomic.Pointer[Held]
	silence Silence // of run alone
	hurry   chan struct{}
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	database string     // empty until it is known
	changed  chan struct{}
}

// NewClient makes a client and begins to ask. It does not wait for the first lease.
func NewClient(cfg Config) (*Client, error) {
	switch {
	case cfg.DB == nil:
		return nil, errors.New("lease: DB is nil: give the pool of the primary")
	case cfg.NATS == nil:
		return nil, errors.New("lease: NATS is nil: give a connection, it may be down")
	}
	c := &Client{cfg: cfg, log: cfg.Log, hurry: make(chan struct{}, 1), changed: make(chan struct{})}
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
func (c *Client) Held() *Held { return c.held.Load() }

func (c *Client) run(ctx context.Context) {
	tick := time.NewTicker(RenewEvery)
	defer tick.Stop()
	told := ""
	for {
		held, err := c.renew(ctx)
		if err != nil {
			held, err = c.renewByPostgres(ctx, err)
		}
		if err == nil {
			c.hold(held)
		}
		c.Held().log(c.log, &told, err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.hurry:
		}
	}
}

// log tells of what is believed, when it is something else than before.
func (h *Held) log(log *zap.Logger, told *string, err error) {
	now, is := Now(), "nothing"
	switch {
	case now < h.TrustedUntil:
		is = "trusted"
	case h.Suspended(now):
		is = "suspended"
	}
	if is != *told {
		*told = is
		log.Info("cache_trust", zap.String("is", is), zap.Error(err))
	}
}

// hold changes what may be believed.
func (c *Client) hold(held Held) {
	c.held.Store(&held)
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

// next is closed when what may be believed changes.
func (c *Client) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// name returns the database's name, which ends the subjects.
func (c *Client) name(ctx context.Context) (string, error) {
	c.mu.Lock()
	name := c.database
	c.mu.Unlock()
	if name != "" {
		return name, nil
	}
	ctx, cancel := context.WithTimeout(ctx, Length)
	defer cancel()
	office, _, err := outbox.Guardian(ctx, c.cfg.DB)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.database = office.Database
	return c.database, nil
}

// renew asks for a lease. It is counted from before the question was sent.
func (c *Client) renew(ctx context.Context) (Held, error) {
	name, err := c.name(ctx)
	if err != nil {
		return Held{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := Now()
	r, err := Ask(ctx, c.cfg.NATS, name)
	if err != nil {
		return Held{}, err
	}
	return c.Held().Granted(asked, r), nil
}

// Ask asks the guardian of a database (outbox.Office.Database) for a lease. While it grants none there is no answer until ctx ends.
func Ask(ctx context.Context, conn *nats.Conn, database string) (r Reply, err error) {
	answer, err := conn.RequestWithContext(ctx, outbox.LeaseSubject+database, nil)
	if err != nil {
		return r, fmt.Errorf("asking the guardian for a lease: %w", err)
	}
	if err := json.Unmarshal(answer.Data, &r); err != nil {
		return r, fmt.Errorf("reading the guardian's answer: %w", err)
	}
	if !r.Trusted && !r.Suspended {
		return r, errors.New("reading the guardian's answer: it grants nothing")
	}
	if r.Behind < 0 {
		return r, fmt.Errorf("reading the guardian's answer: it is ahead of the present by %v", -r.Behind)
	}
	return r, nil
}

// renewByPostgres finds out whether the cache is suspended, after the guardian has not answered for a reason.
func (c *Client) renewByPostgres(ctx context.Context, reason error) (Held, error) {
	ctx, cancel := context.WithTimeout(ctx, Length)
	defer cancel()
	asked := Now()
	row, err := outbox.ReadRow(ctx, c.cfg.DB)
	if err != nil {
		return Held{}, errors.Join(reason, err)
	}
	if !c.silence.Read(asked, Now(), row) {
		return Held{}, reason
	}
	return c.Held().Silent(asked), nil
}

// Settle returns once nobody who trusts the cache can be served values older than these versions: the guardian has settled them, or nobody trusts the cache.
// The versions must be committed. It is for those who could not settle them on servers that their own lease names.
//
// With Valkey down it takes until every lease has run out, a little more than Length, and from then on no time at all. With the guardian or NATS
// away it goes by Postgres, and takes up to three times the length of the guardian's term. With Postgres away as well it returns an error at the
// end of ctx.
func (c *Client) Settle(ctx context.Context, versions []Version) error {
	for chunk := range slices.Chunk(versions, callVersions) {
		if err := c.settle(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) settle(ctx context.Context, versions []Version) error {
	text, err := json.Marshal(versions)
	if err != nil {
		return fmt.Errorf("writing the call to the guardian: %w", err)
	}
	for {
		err := c.untilSuspended(ctx, text)
		if err == nil {
			return nil
		}
		e := c.settleByPostgres(ctx)
		if e == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("making sure that nobody reads an older value: %w", errors.Join(err, e))
		}
	}
}

// untilSuspended calls the guardian, and waits no longer for its answer than until it is known that the cache is suspended.
func (c *Client) untilSuspended(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, vouchTimeout)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- c.call(ctx, text) }()
	for {
		changed := c.next()
		if c.Held().Suspended(Now()) {
			return nil
		}
		select {
		case err := <-answer:
			return err
		case <-changed:
		}
	}
}

// call has the guardian settle versions. No error means that it vouches for them.
func (c *Client) call(ctx context.Context, text []byte) error {
	name, err := c.name(ctx)
	if err != nil {
		return err
	}
	if !c.cfg.NATS.IsConnected() {
		return fmt.Errorf("calling the guardian: %w", nats.ErrDisconnected)
	}
	if _, err := c.cfg.NATS.RequestWithContext(ctx, outbox.SettleSubject+name, text); err != nil {
		return fmt.Errorf("calling the guardian: %w", err)
	}
	select {
	case c.hurry <- struct{}{}: // if the cache is suspended now, the next one need not call
	default:
	}
	return nil
}

// settleByPostgres leaves word for the guardian, which then distrusts the cache, and looks at the row of its office until that has happened: once the cache
// was suspended after our versions were committed, they are settled before it is trusted again.
func (c *Client) settleByPostgres(ctx context.Context) error {
	before, err := outbox.ReadRow(ctx, c.cfg.DB)
	if err != nil {
		return pausing(ctx, err)
	}
	if err := outbox.CallGuardian(ctx, c.cfg.DB); err != nil {
		return pausing(ctx, err)
	}
	for range lookMost {
		if err := pausing(ctx, nil); err != nil {
			return err
		}
		row, err := outbox.ReadRow(ctx, c.cfg.DB)
		switch {
		case err != nil:
			return err
		case row.Suspensions > before.Suspensions || c.Held().Suspended(Now()):
			return nil
		}
	}
	return errNotSuspended
}

// errNotSuspended says that no guardian has heard the call.
var errNotSuspended = errors.New("no guardian has suspended the cache")

// pausing waits before another look, and returns the error that led to it, or why it was cut short.
func pausing(ctx context.Context, err error) error {
	pause := time.NewTimer(lookAgain)
	defer pause.Stop()
	select {
	case <-pause.C:
		return err
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	}
}
