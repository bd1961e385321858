package relay

import (
	"context"
	"fmt"
	"slices"
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

// repairIfNeeded sees to it that a server's doubts are being repaired: these, and no longer those of its predecessor. One that failed
// is begun again.
func (g *guardian) repairIfNeeded(ctx context.Context, s outbox.Server) {
	if current := g.repairs[s.Shard]; current != nil {
		if same(current.of, s) && !current.over() {
			return
		}
		current.stop()
		<-current.done
		delete(g.repairs, s.Shard)
	}
	if !s.Doubt() {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	r := &repair{of: s, stop: stop, done: make(chan struct{})}
	g.repairs[s.Shard] = r
	office, onRecord := g.office, g.runIDs()
	go func() {
		defer close(r.done)
		defer stop()
		if err := g.repair(ctx, office, s, onRecord); err != nil && ctx.Err() == nil {
			g.log.Warn("repair_failed", zap.String("shard", s.Shard), zap.Error(err))
			sleep(ctx, g.cfg.watch()) // before it is begun again
		}
	}()
}

func same(a, b outbox.Server) bool {
	return a.RunID == b.RunID && a.ReplID == b.ReplID && equal(a.RepairFrom, b.RepairFrom) && equal(a.DropAbove, b.DropAbove)
}

func equal(a, b *int64) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func (g *guardian) runIDs() []string {
	var ids []string
	for _, s := range g.servers {
		ids = append(ids, s.RunID)
	}
	return ids
}

func (g *guardian) stopRepairs() {
	for shard, r := range g.repairs {
		r.stop()
		<-r.done
		delete(g.repairs, shard)
	}
}

// repair settles what is in doubt of one server, and then says so.
func (g *guardian) repair(ctx context.Context, office outbox.Office, s outbox.Server, onRecord []string) error {
	start := time.Now()
	looked := &tally{g: g, of: s}
	var dropped int64
	if s.DropAbove != nil {
		var err error
		dropped, err = g.cfg.Cache.DropAbove(ctx, cache.Server{Shard: s.Shard, RunID: s.RunID, ReplID: s.ReplID}, *s.DropAbove, func(keys int64) { looked.at(ctx, keys) })
		if err != nil {
			return fmt.Errorf("dropping entries above version %d: %w", *s.DropAbove, err)
		}
	}
	if s.RepairFrom != nil {
		before := looked.keys
		err := Repair(ctx, g.cfg.DB, g.cfg.Cache, *s.RepairFrom, onRecord, func(keys int64) { looked.at(ctx, before+keys) })
		if err != nil {
			return err
		}
	}
	looked.note(ctx)
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	if err := outbox.Repaired(bounded, g.cfg.DB, office, s); err != nil {
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
// With onRecord, the run ids of the servers that are meant, an answer of any other server is an error. progress hears how many keys
// have been looked at. Repair fails when Postgres or the cache do; what it has done stays done.
func Repair(ctx context.Context, db outbox.DB, c *cache.Cache, xid int64, onRecord []string, progress func(keys int64)) error {
	var looked int64
	err := outbox.Changed(ctx, db, xid, repairPage, func(versions map[string]int64) error {
		if err := invalidate(ctx, c, versions, onRecord); err != nil {
			return err
		}
		looked += int64(len(versions))
		progress(looked)
		return nil
	})
	if err != nil {
		return fmt.Errorf("repairing from transaction %d: %w", xid, err)
	}
	return nil
}

func invalidate(ctx context.Context, c *cache.Cache, versions map[string]int64, onRecord []string) error {
	changes := make([]cache.Change, 0, len(versions))
	for key, version := range versions {
		changes = append(changes, cache.Change{Key: key, Version: version, Kind: cache.Placeholder})
	}
	for i, reply := range c.Apply(ctx, changes...) {
		if !reply.Outcome.Done() {
			return fmt.Errorf("invalidating %s: %w", changes[i].Key, reply.Err)
		}
		if onRecord != nil && !slices.Contains(onRecord, reply.Server) {
			return fmt.Errorf("invalidating %s: %w: another server answered than the one on record", changes[i].Key, cache.ErrUnavailable)
		}
	}
	return nil
}
