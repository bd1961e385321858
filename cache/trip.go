package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valkey-io/valkey-go"
)

// trip is one call to the server, from begin to end.
type trip struct {
	cache  *Cache
	client valkey.Client
	ctx    context.Context // the library's: the place, or the caller's own context where that ends sooner than we would
	place  *place
}

// begin finds the call a place and starts its time. The call must end the trip, unless there is an error.
func (c *Cache) begin(ctx context.Context) (trip, error) {
	if err := ctx.Err(); err != nil {
		return trip{}, err
	}
	client := c.client.Load()
	if client == nil || !c.breaker.allow() {
		return trip{}, c.notAllowed()
	}
	until := time.Since(start) + c.places.timeout
	p := c.places.take()
	if p == nil {
		var err error
		if p, err = c.await(ctx); err != nil {
			return trip{}, err
		}
	}
	t := trip{cache: c, client: *client, ctx: ctx, place: p}
	if asked, limited := ctx.Deadline(); !limited || time.Until(asked) > c.places.timeout || ctx.Done() == nil {
		t.ctx = p
		c.places.open(p, ctx, until)
	}
	return t, nil
}

// await waits for a place, and leaves it again where the breaker has opened meanwhile.
func (c *Cache) await(ctx context.Context) (*place, error) {
	p, err := c.places.await(ctx)
	if err != nil {
		return nil, err
	}
	if !c.breaker.allow() {
		c.places.give(p)
		return nil, c.notAllowed()
	}
	return p, nil
}

func (c *Cache) notAllowed() error {
	return fmt.Errorf("%w: circuit breaker is %v", ErrUnavailable, c.breaker.State())
}

// end gives the place back.
func (t trip) end() { t.cache.places.leave(t.place) }

// gaveUp reports whether the call ended because its caller's time was up. The error does not tell: depending on how the
// library had sent the command, it is the context's or the connection's.
func (t trip) gaveUp() bool {
	if t.ctx == t.place {
		return t.place.Err() != nil && t.place.left
	}
	deadline, _ := t.ctx.Deadline()
	return !time.Now().Before(deadline)
}

// translate turns the library's error into ours.
func (t trip) translate(err error) (verdict, error) {
	v, translated := translate(err)
	if errors.Is(err, context.Canceled) && t.ctx.Err() == nil { // somebody else's call, who made the connection that this one waited for
		return unclear, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if v == failing && t.gaveUp() {
		return unclear, fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return v, translated
}

// judge translates the error of a single call and tells the breaker.
func (t trip) judge(err error) error {
	v, err := t.translate(err)
	t.cache.breaker.record(v)
	return err
}
