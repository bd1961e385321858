package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valkey-io/valkey-go"
)

const (
	nearLeast   = 64 << 10    // of memory
	nearLongest = time.Minute // that an entry may be kept
)

// Near reports whether the process keeps entries of its own (Config.NearBytes).
func (c *Cache) Near() bool { return c.cfg.NearBytes > 0 }

// GetNear is Get from the process's own memory where that holds the key, and else from the server, which will say when the entry changes. Without
// Config.NearBytes it is Get. The payload must not be written to: others read it too.
func (c *Cache) GetNear(ctx context.Context, key string) (Entry, error) {
	trip, err := c.begin(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer trip.end()
	reply := trip.client.DoCache(trip.ctx, trip.client.B().Get().Key(key).Cache(), c.cfg.nearTTL())
	if trip.others(reply.NonValkeyError()) {
		reply = trip.client.Do(trip.ctx, trip.client.B().Get().Key(key).Build())
	}
	raw, err := reply.AsBytes()
	if reply.IsCacheHit() { // it says nothing of the server
		return decode(raw), nil
	}
	if err = trip.judge(err); err != nil {
		return Entry{}, err
	}
	return decode(raw), nil
}

// GetManyNear is GetMany in the way of GetNear.
func (c *Cache) GetManyNear(ctx context.Context, keys []string) ([]Entry, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	trip, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer trip.end()
	entries := make([]Entry, len(keys))
	asked, err := trip.getNear(keys, entries)
	if trip.others(err) {
		asked, err = true, trip.getMany(keys, entries)
	}
	if err == nil && !asked {
		return entries, nil
	}
	if err = trip.judge(err); err != nil {
		return nil, err
	}
	return entries, nil
}

// getNear reports whether the server was asked at all: what is near says nothing of it.
func (t trip) getNear(keys []string, entries []Entry) (asked bool, err error) {
	if t.client.Mode() == valkey.ClientModeCluster {
		return t.getNearEach(keys, entries)
	}
	held, err := t.client.DoCache(t.ctx, t.client.B().Mget().Key(keys...).Cache(), t.cache.cfg.nearTTL()).ToArray()
	if err != nil {
		return true, err
	}
	for i := range held {
		asked = asked || !held[i].IsCacheHit()
	}
	return asked, readAll(held, entries)
}

// getNearEach asks the servers of a cluster. A key that is not kept costs more than in an MGET.
func (t trip) getNearEach(keys []string, entries []Entry) (asked bool, err error) {
	gets := make([]valkey.CacheableTTL, len(keys))
	for i, key := range keys {
		gets[i] = valkey.CT(t.client.B().Get().Key(key).Cache(), t.cache.cfg.nearTTL())
	}
	for i, reply := range t.client.DoMultiCache(t.ctx, gets...) {
		if err := reply.NonValkeyError(); err != nil {
			return true, err
		}
		asked = asked || !reply.IsCacheHit()
		if raw, err := reply.AsBytes(); err == nil {
			entries[i] = decode(raw)
		}
	}
	return asked, nil
}

// others reports whether a call has ended with an error that is not its own: it had joined somebody else's, who gave up or whose connection was lost.
func (t trip) others(err error) bool {
	return err != nil && t.ctx.Err() == nil &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, valkey.ErrDoCacheAborted))
}

// nearOptions has the library keep entries, and the server say when they change.
func nearOptions(cfg Config, option *valkey.ClientOption) error {
	if cfg.NearBytes == 0 {
		return nil
	}
	if option.ClientTrackingOptions != nil || option.NewCacheStoreFn != nil {
		return errors.New("cache: Tune sets ClientTrackingOptions or NewCacheStoreFn: with NearBytes both are the cache's own")
	}
	option.DisableCache = false
	option.PipelineMultiplex = -1 // one connection: each keeps entries of its own, and would keep the same ones again
	option.CacheSizeEachConn = cfg.NearBytes
	return nil
}

func (c Config) nearTTL() time.Duration { return orDefault(c.NearTTL, 5*time.Second) }

func (c Config) validateNear() error {
	switch {
	case c.NearBytes != 0 && c.NearBytes < nearLeast:
		return fmt.Errorf("cache: NearBytes is %d: it must be at least %d, or 0 for none", c.NearBytes, nearLeast)
	case c.NearTTL != 0 && c.NearBytes == 0:
		return errors.New("cache: NearTTL is set, but NearBytes is 0: nothing is kept")
	case c.NearTTL < 0 || c.NearTTL > nearLongest || c.NearTTL > 0 && c.NearTTL < time.Millisecond:
		return fmt.Errorf("cache: NearTTL is %v: it must be from 1ms to %v", c.NearTTL, nearLongest)
	}
	return nil
}
