package relay

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/outbox"
)

// loadAtOnce is how many rows are asked for at once.
const loadAtOnce = 100

// loadTimeout bounds the loads of a chunk, or a quarter of the lease if that is shorter: the rest of the time is for what needs none.
const loadTimeout = 2 * time.Second

// wanted forgets that a change without a value is to be stored where the cache holds none, if nobody here can load it.
func (r *Relay) wanted(claims []outbox.Claim) []outbox.Claim {
	for i, c := range claims {
		claims[i].Allocate = c.Allocate && !(c.Unknown && r.cfg.Load == nil)
	}
	return claims
}

// load gives records without a value for which there are tickets the one that the row has now, which is at least as new as the version that it gets, for that is committed. What cannot be
// loaded, or would not fit in a chunk, stays an invalidation: the next reader loads it.
func (r *Relay) load(ctx context.Context, tickets map[string]string, records []outbox.Record) {
	if r.cfg.Load == nil {
		return
	}
	var without []*outbox.Record
	for i, record := range records {
		if _, asked := tickets[record.Key]; asked && record.Kind == outbox.Invalidate && !record.Superseded {
			without = append(without, &records[i])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, min(loadTimeout, r.cfg.lease()/4))
	defer cancel()
	for size := 0; len(without) > 0 && size < r.cfg.chunkBytes(); {
		some := without[:min(loadAtOnce, len(without))]
		without = without[len(some):]
		n, err := r.loadSome(ctx, some)
		if err != nil {
			r.log.Warn("load_failed", zap.Int("records", len(some)), zap.Error(err))
			return
		}
		size += n
	}
}

// loadSome returns how many bytes it has loaded.
func (r *Relay) loadSome(ctx context.Context, records []*outbox.Record) (size int, err error) {
	keys := make([]string, len(records))
	for i, record := range records {
		keys[i] = record.Key
	}
	rows, err := r.cfg.Load(ctx, keys)
	for _, record := range records {
		payload, found := rows[record.Key]
		if !found || r.cfg.Cache.CheckPayload(record.Key, payload) != nil {
			continue
		}
		record.Kind, record.Payload = outbox.Set, payload
		size += len(payload)
	}
	return size, err
}
