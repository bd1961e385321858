package outbox_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

// TestPruneRacesWithWriters forgets versions as soon as it may while writers go on. Each key has one writer, which knows its
// latest version: a load may not bear an older one, nor may a write get a version that a load has borne before it.
func TestPruneRacesWithWriters(t *testing.T) {
	t.Parallel()
	const writers, pruners = 6, 2
	db := wide(t, rig.DB(t), writers+pruners)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var pruned atomic.Int64
	var work sync.WaitGroup
	repeat := func(step func(context.Context) error) {
		work.Go(func() {
			for ctx.Err() == nil {
				if err := step(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range pruners {
		repeat(func(ctx context.Context) error {
			n, err := outbox.Prune(ctx, db, 0)
			pruned.Add(n)
			return err
		})
	}
	for i := range writers {
		repeat((&racer{db: db, key: fmt.Sprint("k", i), labelSQL: labelSQL(t)}).step)
	}
	work.Wait()
	if pruned.Load() == 0 {
		t.Error("nothing was pruned, so nothing was raced with")
	}
}

// racer is the only writer of its key.
type racer struct {
	db       *pgxpool.Pool
	key      string
	labelSQL string
	seen     int64 // the highest version that a write or a load of the key has had
}

func (r *racer) step(ctx context.Context) error {
	var label int64
	if err := r.db.QueryRow(ctx, r.labelSQL, []string{r.key}).Scan(nil, &label, nil); err != nil {
		return fmt.Errorf("reading the label: %w", err)
	}
	if label < r.seen {
		return fmt.Errorf("a load of %s bears version %d, it has had %d", r.key, label, r.seen)
	}
	records := []outbox.Record{set(r.key, "x")}
	var b pgx.Batch
	outbox.Append(&b, records, time.Hour, outbox.Strict{})
	if err := r.db.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	version := records[0].Version
	if version <= label {
		return fmt.Errorf("a write of %s got version %d, a load before it had %d", r.key, version, label)
	}
	r.seen = version
	_, err := outbox.Retire(ctx, r.db, []outbox.Settled{{Key: r.key, Version: version}})
	return err
}
