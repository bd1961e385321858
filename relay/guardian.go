package relay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// guardTimeout bounds the guardian's calls to Postgres.
const guardTimeout = 2 * time.Second

// horizonTimeout bounds the reading of the horizon, during which nobody looks at the servers.
const horizonTimeout = 500 * time.Millisecond

// guardian watches which server the cache is and which history the database is of, and has repaired what either of them lost.
// Any number of relays try; one holds the office. Its term fences what it writes into Postgres; the canaries need no fence, for each
// names the server it speaks of, and what it says of that server was true when it was written.
type guardian struct {
	*Relay
	holder  string
	office  outbox.Office
	servers map[string]outbox.Server // on record, by shard
	repairs map[string]*repair       // under way, by shard
	judged  map[string]string        // strange canaries that were looked into, by shard
	// measured is when the horizon may be read again: with much pending that takes a while.
	measured time.Time
	mark     outbox.Mark // the horizon as it was read last
	kept     time.Time   // when the horizon was last remembered
	troubled bool        // the last beat failed: an outage is told of once
	trust    *trust
}

// guard is the guardian's life, until ctx ends.
func (r *Relay) guard(ctx context.Context) {
	g := &guardian{Relay: r, holder: rand.Text(), repairs: make(map[string]*repair), judged: make(map[string]string), trust: newTrust(r)}
	defer g.retireFromOffice(ctx)
	defer g.trust.close()
	r.guarding.Store(g.trust)
	defer r.guarding.Store(nil)
	var trusting sync.WaitGroup
	defer trusting.Wait()
	trusting.Go(func() { g.trust.run(ctx) })
	trusting.Go(func() { g.trust.follow(ctx) })
	for hurried := false; ctx.Err() == nil; {
		held, again, err := g.beat(ctx)
		g.tell(ctx, err)
		hurried = again && !hurried // servers that keep changing must not keep us from sleeping
		switch {
		case hurried:
		case held || err != nil:
			sleep(ctx, r.cfg.watch())
		default:
			g.stopRepairs()
			sleep(ctx, r.cfg.guardLease()/4)
		}
	}
}

func (g *guardian) retireFromOffice(ctx context.Context) {
	g.stopRepairs()
	ctx, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	if err := outbox.Resign(ctx, g.cfg.DB, g.holder); err != nil {
		g.log.Debug("resigning_failed", zap.Error(err))
	}
}

// tell logs the first of several errors in a row.
func (g *guardian) tell(ctx context.Context, err error) {
	failed := err != nil && ctx.Err() == nil
	if failed && !g.troubled {
		g.log.Warn("guarding_failed", zap.Error(err))
	}
	g.troubled = failed
}

// beat is one look at everything: Postgres, then the servers. It reports whether the office is held, and whether to look again at once.
func (g *guardian) beat(ctx context.Context) (held, again bool, err error) {
	if held, err = g.takeOffice(ctx); !held && err == nil {
		g.trust.lost()
	}
	if !held || err != nil {
		return held, false, err
	}
	if g.office.Origin != g.office.Here {
		return true, true, g.moved(ctx, "")
	}
	canaries, known, trouble := g.canaries(ctx)
	if !known {
		if err := g.readServers(ctx); err != nil {
			return true, false, err
		}
	}
	found, err := g.cfg.Cache.Watch(ctx, g.office.Database, canaries)
	if errors.Is(err, cache.ErrReplica) && !mutant.On("replica-distrusted") { // what it lacks of another's data its run id does not tell
		g.trust.distrust("the server on record is a replica")
	}
	for _, s := range found {
		changed, e := g.meet(ctx, s)
		if e != nil {
			return true, false, e
		}
		again = again || changed
	}
	if err == nil {
		err = g.unlist(ctx, found)
	}
	g.trust.found(g.well(found, again, err))
	return true, again, cmp.Or(err, trouble)
}

// well returns the servers if all of them are on record with nothing in doubt, else nil.
func (g *guardian) well(found []cache.Server, changed bool, err error) []cache.Server {
	if changed || err != nil || len(found) == 0 || len(found) != len(g.servers) {
		return nil
	}
	for _, s := range found {
		if known := g.servers[s.Shard]; known.RunID != s.RunID || known.ReplID != s.ReplID || known.Doubt() {
			return nil
		}
	}
	return found
}

func (g *guardian) takeOffice(ctx context.Context) (bool, error) {
	sent := lease.Now()
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	office, held, err := outbox.TakeOffice(bounded, g.cfg.DB, g.holder, g.cfg.guardLease())
	if err != nil || !held {
		return false, err
	}
	if office.Term != g.office.Term {
		g.log.Info("guardian_elected", zap.Int64("term", office.Term))
	}
	g.office = office
	g.trust.kept(sent, office)
	return true, nil
}

// moved takes note that Postgres is of another history by now.
func (g *guardian) moved(ctx context.Context, foreign string) error {
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	g.log.Warn("database_history_changed", zap.String("from", g.office.Origin), zap.String("to", g.office.Here))
	return outbox.Moved(bounded, g.cfg.DB, g.office, foreign)
}

// canaries reads the horizon and returns the canary that each server on record may have. While anything of any server is in doubt there is
// none: in a cluster, an entry in doubt may move to another shard. The servers on record are known from it too.
//
// With much pending the horizon takes a while, and then it is read seldom: an older one is true as well.
func (g *guardian) canaries(ctx context.Context) (canaries map[string]cache.Canary, known bool, err error) {
	start := time.Now()
	if start.Before(g.measured) {
		return nil, false, nil
	}
	bounded, cancel := bounded(ctx, horizonTimeout)
	defer cancel()
	mark, servers, err := outbox.Horizon(bounded, g.cfg.DB, g.mark)
	g.measured = start.Add(10 * time.Since(start))
	if err != nil {
		return nil, false, err
	}
	g.mark = mark
	g.know(servers)
	g.trust.waits(mark, servers)
	canaries = make(map[string]cache.Canary)
	for _, s := range servers {
		if s.Doubt() {
			return nil, true, nil
		}
		canaries[s.Shard] = cache.Canary{RunID: s.RunID, ReplID: s.ReplID, Text: canary(s.Shard, mark), Replaces: g.judged[s.Shard]}
	}
	return canaries, true, g.keepHorizon(ctx, mark)
}

// readServers reads which servers are on record.
func (g *guardian) readServers(ctx context.Context) error {
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	servers, err := outbox.Servers(bounded, g.cfg.DB)
	if err != nil {
		return err
	}
	g.know(servers)
	return nil
}

func (g *guardian) know(servers []outbox.Server) {
	g.servers = make(map[string]outbox.Server, len(servers))
	for _, s := range servers {
		g.servers[s.Shard] = s
	}
}

// keepHorizon remembers the horizon now and then, for repairs by hand.
func (g *guardian) keepHorizon(ctx context.Context, mark outbox.Mark) error {
	if time.Since(g.kept) < 10*time.Second {
		return nil
	}
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	g.kept = time.Now()
	return outbox.KeepHorizon(bounded, g.cfg.DB, mark, g.cfg.keepVersions())
}

// meet compares a server with the one on record. Another one is put on record, with what its canary leaves in doubt; and what is in
// doubt is repaired.
func (g *guardian) meet(ctx context.Context, found cache.Server) (changed bool, err error) {
	known, listed := g.servers[found.Shard]
	if listed && known.RunID == found.RunID && known.ReplID == found.ReplID {
		if known.Doubt() || !g.strange(found.Canary, found.Shard) {
			g.repairIfNeeded(ctx, known)
			return false, nil
		}
		return g.alarm(ctx, found)
	}
	g.stopRepair(found.Shard)
	g.trust.distrust("the cache is another server, or has lost data")
	if g.ahead(found.Canary, found.Shard) {
		return true, g.moved(ctx, "")
	}
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	s := outbox.Server{Shard: found.Shard, RunID: found.RunID, ReplID: found.ReplID}
	if s.RepairFrom, s.DropAbove, err = g.doubt(bounded, found); err != nil {
		return false, err
	}
	if mutant.On("repair-after-loss") {
		s.RepairFrom, s.DropAbove = nil, nil
	}
	g.log.Warn("cache_server_changed", zap.String("shard", s.Shard), zap.String("from", known.RunID), zap.String("to", s.RunID),
		zap.String("canary", found.Canary), zap.Int64p("repair_from", s.RepairFrom), zap.Int64p("drop_above", s.DropAbove))
	return true, outbox.Register(bounded, g.cfg.DB, g.office, s)
}

// canary is what a server bears: the database's history, the horizon, and the shard, for in a cluster it may move to another.
func canary(shard string, mark outbox.Mark) string {
	return strings.TrimSpace(fmt.Sprintf("%s %d %s", mark.History, mark.Xid, shard))
}

// parseCanary reads a canary of this shard; history is empty for anything else.
func parseCanary(text, shard string) (history string, xid int64) {
	fields := strings.Fields(text)
	if len(fields) < 2 || strings.Join(fields[2:], " ") != shard {
		return "", 0
	}
	xid, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return "", 0
	}
	return fields[0], xid
}

// doubt says what is in doubt of a server that has this canary. All of the transactions below its horizon are in the server's data; with no canary,
// or one of another history, that cannot be said of any.
func (g *guardian) doubt(ctx context.Context, found cache.Server) (repairFrom, dropAbove *int64, err error) {
	history, xid := parseCanary(found.Canary, found.Shard)
	if history == g.office.History {
		return &xid, nil, nil
	}
	dropAbove, err = outbox.LeftAt(ctx, g.cfg.DB, history)
	return new(int64), dropAbove, err
}

// strange reports whether a canary that was found in a server on record says what ours cannot have said.
func (g *guardian) strange(text, shard string) bool {
	history, _ := parseCanary(text, shard)
	return history != "" && history != g.office.History || g.ahead(text, shard)
}

// ahead reports whether a canary speaks of an xid that the database has not reached: then it was put back by a copy of its files, and what it gives out
// from here on is another history.
func (g *guardian) ahead(text, shard string) bool {
	history, xid := parseCanary(text, shard)
	return history == g.office.History && xid > g.office.NextXid && !mutant.On("canary-ahead")
}

// alarm looks into a strange canary in a server on record. It may be of a history that the database has left, and was not replaced yet.
// Else the database was put back by a copy of its files, or another one was in its place meanwhile, an old primary that is back perhaps; and
// there is a history that no timeline tells of.
func (g *guardian) alarm(ctx context.Context, found cache.Server) (changed bool, err error) {
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	history, _ := parseCanary(found.Canary, found.Shard)
	if history == g.office.History {
		return true, g.moved(ctx, "")
	}
	left, err := outbox.Left(bounded, g.cfg.DB, history)
	if err != nil {
		return false, err
	}
	if left {
		g.judged[found.Shard] = found.Canary
		return false, nil
	}
	return true, g.moved(ctx, history)
}

// unlist forgets shards that the cluster has no more.
func (g *guardian) unlist(ctx context.Context, found []cache.Server) error {
	gone := false
	shards := make([]string, len(found))
	for i, s := range found {
		shards[i] = s.Shard
	}
	for shard := range g.servers {
		gone = gone || !slices.Contains(shards, shard)
	}
	if !gone || len(found) == 0 {
		return nil
	}
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	return outbox.Unlist(bounded, g.cfg.DB, g.office, shards)
}
