package chaos

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

const (
	inlineWrites = 300
	inlinePause  = 10 * ms
	outageKeys   = 50_000
	outageRounds = 4 // writes of each key during the outage
	bulk         = 1000
	// giveUp is how long a key may stay stale before the measurement ends without it.
	giveUp = 60 * time.Second
	// giveUpFailover is the same after a failover.
	giveUpFailover = 15 * time.Second
)

// measureInline cuts the writer's connection to Valkey, not the relay's, and watches its writes arrive.
func (b *bench) measureInline(ctx context.Context, r *Recovery) error {
	if err := b.toWriter.Cut(); err != nil {
		return err
	}
	var took []time.Duration
	for i := range inlineWrites {
		d, err := b.timePut(ctx, fmt.Sprintf("inline:%d", i%50))
		if err != nil {
			return err
		}
		took = append(took, d)
		if err := sleep(ctx, inlinePause); err != nil {
			return err
		}
	}
	slices.Sort(took)
	r.InlineWrites, r.InlineP50, r.InlineP99 = len(took), millis(quantile(took, 0.5)), millis(quantile(took, 0.99))
	return b.toWriter.Heal()
}

// timePut writes once, and measures from the writer's return until an observer sees it.
func (b *bench) timePut(ctx context.Context, key string) (time.Duration, error) {
	res, err := b.writer.Put(ctx, writer.Put{Key: key, SQL: putRow, Args: []any{key}})
	if err != nil {
		return 0, fmt.Errorf("writing: %w", err)
	}
	start := time.Now()
	for {
		e, err := b.observer.Get(ctx, key)
		if err == nil && e.Hit() && e.Version >= res.Version() {
			return time.Since(start), nil
		}
		if time.Since(start) > giveUp {
			return giveUp, nil
		}
		if err := sleep(ctx, 200*time.Microsecond); err != nil {
			return 0, err
		}
	}
}

// measureOutage stops Valkey where it stands, with old values in it, writes a lot, and lets it go on.
func (b *bench) measureOutage(ctx context.Context, r *Recovery) error {
	keys := make([]string, outageKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("outage:%d", i)
	}
	if err := b.writeAll(ctx, keys, 0); err != nil {
		return err
	}
	if _, err := b.settle(ctx, b.observer, keys, giveUp); err != nil {
		return err
	}
	if err := b.stack.Valkey.Pause(); err != nil {
		return err
	}
	for round := range outageRounds {
		if err := b.writeAll(ctx, keys, round+1); err != nil {
			return err
		}
	}
	r.OutageKeys, r.OutageRecords = len(keys), len(keys)*outageRounds
	start := time.Now()
	if err := b.stack.Valkey.Resume(); err != nil {
		return err
	}
	left, err := b.settle(ctx, b.observer, keys, giveUp)
	r.OutageSeconds = time.Since(start).Seconds()
	if left > 0 {
		r.OutageSeconds = -1
	}
	return err
}

// writeAll gives each key a new value, many in one transaction.
func (b *bench) writeAll(ctx context.Context, keys []string, n int) error {
	for part := range slices.Chunk(keys, bulk) {
		changes := make([]writer.Change, len(part))
		for i, key := range part {
			changes[i] = writer.Set(key, payload(n))
		}
		if _, err := b.writer.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, changes...); err != nil {
			return fmt.Errorf("writing in bulk: %w", err)
		}
	}
	return nil
}

// measureFailover loses a second of writes to a replica that lags, and watches the cache through the new primary.
func (b *bench) measureFailover(ctx context.Context, r *Recovery) error {
	keys := make([]string, outageKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("outage:%d", i)
	}
	if err := b.replica.ReplicaThrough(ctx, b.stack.Valkey, b.lag); err != nil {
		return err
	}
	if err := b.lag.Blackhole(); err != nil {
		return err
	}
	for start, n := time.Now(), 0; time.Since(start) < time.Second; n++ {
		if err := b.writeAll(ctx, keys[:bulk], 100+n); err != nil {
			return err
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return err
		}
	}
	return b.failOver(ctx, r, keys)
}

func (b *bench) failOver(ctx context.Context, r *Recovery, keys []string) error {
	observer, err := cache.New(ctx, cache.Config{URL: b.replica.URL(), Timeout: 2 * time.Second})
	if err != nil {
		return err
	}
	defer observer.Close()
	start := time.Now()
	if err := b.stack.Valkey.Kill(); err != nil {
		return err
	}
	if err := b.replica.Promote(ctx); err != nil {
		return err
	}
	for _, p := range []*stack.Proxy{b.toWriter, b.toRelay} {
		if err := p.Retarget(b.replica.Addr(), false); err != nil {
			return err
		}
	}
	if r.FailoverStale, _, err = b.stale(ctx, observer, keys); err != nil {
		return err
	}
	if r.FailoverLeft, err = b.settle(ctx, observer, keys, giveUpFailover); err != nil {
		return err
	}
	r.FailoverSeconds = time.Since(start).Seconds()
	if r.FailoverLeft > 0 {
		r.FailoverSeconds = -1
	}
	_, hits, err := b.stale(ctx, observer, keys)
	r.FailoverKept = float64(hits) / float64(len(keys))
	return err
}

// settle waits until no key is stale, and returns how many are when it gives up.
func (b *bench) settle(ctx context.Context, through *cache.Cache, keys []string, within time.Duration) (int, error) {
	for start := time.Now(); ; {
		left, _, err := b.stale(ctx, through, keys)
		if err != nil || left == 0 || time.Since(start) > within {
			return left, err
		}
		if err := sleep(ctx, 10*ms); err != nil {
			return left, err
		}
	}
}

// stale counts the keys whose entry is older than Postgres says, and those that can be read from the cache.
func (b *bench) stale(ctx context.Context, through *cache.Cache, keys []string) (stale, hits int, err error) {
	for part := range slices.Chunk(keys, bulk) {
		latest, err := outbox.Latest(ctx, b.db, part)
		if err != nil {
			return 0, 0, err
		}
		entries, err := through.GetMany(ctx, part)
		if err != nil {
			return len(keys), 0, nil // it is not back yet
		}
		for i, e := range entries {
			if e.Hit() {
				hits++
			}
			if e.Hit() && e.Version < latest[part[i]] {
				stale++
			}
		}
	}
	return stale, hits, nil
}
