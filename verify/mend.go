package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// grace is how long the records of mend wait for mend itself, before a relay takes them.
const grace = 500 * time.Millisecond

// mend invalidates entries that bear the version of their key. To invalidate them at that version would do nothing, so the keys get another one, with a record
// that says that their values are unknown, as any write that Tidelock knows of. Then the cache is told; what it does not take is left to a relay.
func (v *values) mend(ctx context.Context, found []Difference) error {
	records := make([]outbox.Record, len(found))
	for i, d := range found {
		records[i] = outbox.Record{Key: d.Key, Kind: outbox.Invalidate}
	}
	if err := v.record(ctx, records); err != nil {
		return fmt.Errorf("invalidating: %w", err)
	}
	changes := make([]cache.Change, len(records))
	for i, r := range records {
		changes[i] = cache.Change{Key: r.Key, Version: r.Version, Kind: cache.Placeholder}
	}
	var settled []outbox.Settled
	for i, reply := range v.cfg.Cache.Apply(ctx, changes...) {
		if reply.Outcome.Done() {
			settled = append(settled, outbox.Settled{Key: records[i].Key, Version: records[i].Version, Server: reply.Server})
		}
	}
	_, err := outbox.Retire(ctx, v.cfg.DB, settled)
	return err
}

// record writes records in a transaction of their own.
func (v *values) record(ctx context.Context, records []outbox.Record) error {
	strict, err := outbox.ReadStrict(ctx, v.cfg.DB)
	if err != nil {
		return err
	}
	return pgx.BeginTxFunc(ctx, v.cfg.DB, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		var b pgx.Batch
		outbox.Append(&b, records, grace, strict)
		return outbox.Explain(tx.SendBatch(ctx, &b).Close())
	})
}
