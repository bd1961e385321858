package cache

import (
	"context"
	"time"
)

// Drop deletes the entry at key, as an eviction would: the next read loads it. It is always safe.
func (c *Cache) Drop(ctx context.Context, key string) error {
	trip, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer trip.end()
	return trip.judge(trip.client.Do(trip.ctx, trip.client.B().Unlink().Key(key).Build()).Error())
}

// TTL returns how long the entry at key has to live, 0 when there is none or it does not expire. It is for people who look
// at a key; no promise depends on it.
func (c *Cache) TTL(ctx context.Context, key string) (time.Duration, error) {
	trip, err := c.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer trip.end()
	ms, err := trip.client.Do(trip.ctx, trip.client.B().Pttl().Key(key).Build()).AsInt64()
	if err = trip.judge(err); err != nil {
		return 0, err
	}
	return time.Duration(max(ms, 0)) * time.Millisecond, nil
}
