package relay

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	// repairPage is how many keys a repair looks at in one pipeline.
	repairPage = 1000
	// noteEvery is how often a repair writes down how far it is.
	noteEvery = 250 * time.Millisecond
)

// repair is a repair under way.
type repair struct {
	of   outbox.Server
	stop context.CancelFunc
	done chan struct{}
}

// over reports whether it has ended, well or not.
func (r *repair) over() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// repairIfNeeded sees to it that a server's doubt is being repaired, and not one that it had before. A repair that failed is begun
// again.
func (g *guardian) repairIfNeeded(ctx context.Context, s outbox.Server) {
	if r := g.repairs[s.Shard]; r != nil {
		if r.of.RunID == s.RunID && r.of.Doubts == s.Doubts && s.Doubt() && !r.over() {
			return
		}
		g.stopRepair(s.Shard)
	}
	if !s.Doubt() {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	r := &repair{of: s, stop: stop, done: make(chan struct{})}
	g.repairs[s.Shard] = r
	go func() {
		defer close(r.done)
		defer stop()
		if err := g.repair(ctx, s); err != nil && ctx.Err() == nil {
			g.log.Warn("repair_failed", zap.String("shard", s.Shard), zap.Error(err))
			sleep(ctx, g.cfg.watch()) // before it is begun again
		}
	}()
}

// stopRepair ends the shard's repair, if one is under way.
func (g *guardian) stopRepair(shard string) {
	if r := g.repairs[shard]; r != nil {
		r.stop()
		<-r.done
		delete(g.repairs, shard)
	}
}

func (g *guardian) stopRepairs() {
	for shard := range g.repairs {
		g.stopRepair(shard)
	}
}

// repair settles what is in doubt of one server, and then says so.
func (g *guardian) repair(ctx context.Context, s outbox.Server) error {
	start := time.Now()
	looked := &tally{g: g, of: s}
	var dropped int64
	visit, err := g.cfg.Cache.Visit(ctx, cache.Server{Shard: s.Shard, RunID: s.RunID, ReplID: s.ReplID})
	if err != nil {
		return err
	}
	defer visit.Close()
	if s.DropAbove != nil {
		if dropped, err = visit.DropAbove(ctx, *s.DropAbove, func(keys int64) { looked.at(ctx, keys) }); err != nil {
			return fmt.Errorf("dropping entries above version %d: %w", *s.DropAbove, err)
		}
	}
	if s.RepairFrom != nil {
		before := looked.keys
		if err := mend(ctx, g.cfg.DB, visit, *s.RepairFrom, g.log, func(keys int64) { looked.at(ctx, before+keys) }); err != nil {
			return err
		}
	}
	looked.note(ctx)
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	if err := outbox.Repaired(bounded, g.cfg.DB, s); err != nil {
		return err
	}
	g.repaired.Add(looked.keys)
	g.dropped.Add(dropped)
	g.log.Info("cache_repaired", zap.String("shard", s.Shard), zap.Int64("keys", looked.keys), zap.Int64("dropped", dropped), zap.Duration("took", time.Since(start)))
	return nil
}

// tally counts the keys that a repair has looked at, and writes the number down now and then.
type tally struct {
	g     *guardian
	of    outbox.Server
	keys  int64
	noted time.Time
}

func (t *tally) at(ctx context.Context, keys int64) {
	t.keys = keys
	if time.Since(t.noted) > noteEvery {
		t.note(ctx)
	}
}

func (t *tally) note(ctx context.Context) {
	t.noted = time.Now()
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	if err := outbox.Looked(bounded, t.g.cfg.DB, t.of, t.keys); err != nil {
		t.g.log.Debug("noting_progress_failed", zap.Error(err))
	}
}

// Repair invalidates the entry of every key whose latest change is of a transaction from xid on, if the entry is older than that
// change: 0 stands for all keys. What is not older stays, so the cache stays warm. It is always safe.
//
// progress hears how many keys have been looked at. Repair fails when Postgres or the cache do; what it has done stays done. Keys that the
// server does not let us touch are passed over, and logged if log is not nil.
func Repair(ctx context.Context, db outbox.DB, c *cache.Cache, xid int64, log *zap.Logger, progress func(keys int64)) error {
	if log == nil {
		log = zap.NewNop()
	}
	servers, err := c.Watch(ctx, "", nil)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if err := repairServer(ctx, db, c, s, xid, log, progress); err != nil {
			return err
		}
	}
	return nil
}

func repairServer(ctx context.Context, db outbox.DB, c *cache.Cache, s cache.Server, xid int64, log *zap.Logger, progress func(int64)) error {
	visit, err := c.Visit(ctx, s)
	if err != nil {
		return err
	}
	defer visit.Close()
	return mend(ctx, db, visit, xid, log, progress)
}

// mend invalidates, in one server, what was changed from a transaction on.
func mend(ctx context.Context, db outbox.DB, visit *cache.Visit, xid int64, log *zap.Logger, progress func(int64)) error {
	var looked int64
	return outbox.Changed(ctx, db, xid, repairPage, func(versions map[string]int64) error {
		refused, err := visit.Invalidate(ctx, versions)
		if err != nil {
			return fmt.Errorf("invalidating: %w", err)
		}
		for key, err := range refused {
			log.Warn("key_not_repaired", zap.String("key", key), zap.Error(err))
		}
		looked += int64(len(versions))
		progress(looked)
		return nil
	})
}
