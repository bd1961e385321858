package relay_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// pair is a server of the cache and a replica of it, with a network between them.
type pair struct {
	t                testing.TB
	primary, replica *stack.Valkey
	between          *stack.Proxy
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, primary: stacktest.OwnValkey(t), replica: stacktest.OwnValkey(t)}
	p.between = rig.Proxy(t, p.primary.Addr())
	must(t, p.replica.ReplicaThrough(t.Context(), p.primary, p.between))
	return p
}

// part waits until the replica has the canary that is in the primary now, or a later one, and has it hear nothing from then on.
func (p *pair) part(s *site) {
	p.t.Helper()
	key := s.canaryKey()
	replica, horizon := rig.Valkey(p.t, p.replica.URL()), s.marked(rig.Valkey(p.t, p.primary.URL()), key)
	stacktest.Eventually(p.t, patience, func() bool {
		canary := s.get(replica, key)
		return canary != "" && horizonIn(p.t, canary) >= horizon
	}, "the replica has the canary")
	must(p.t, p.between.Blackhole())
}

// TestFailover loses a primary with writes that its replica has not heard of. Everybody goes by a proxy, as by a service or a virtual
// address.
func TestFailover(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	front := rig.Proxy(t, p.primary.Addr())
	s := siteAt(t, front.Addr())
	s.run()
	l := s.newLoss()
	p.part(s)
	l.change()
	must(t, p.primary.Kill())
	must(t, p.replica.Promote(t.Context()))
	must(t, front.Retarget(p.replica.Addr(), false))
	back := time.Now()
	mended := s.mended(p.replica)
	s.told(mended, back)
	l.repaired(mended.Looked)
}

// TestSentinelFailover is TestFailover with a sentinel that promotes the replica. It is started late: within eight seconds it would
// have the replica go by the primary's own address.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	s := siteAt(t, p.primary.Addr())
	l := s.newLoss()
	sentinel, err := stack.StartSentinel(t.Context(), stack.SentinelConfig{Primary: p.primary, Name: "tides"})
	must(t, err)
	t.Cleanup(func() { must(t, sentinel.Close()) })
	must(t, sentinel.AwaitReplicas(t.Context(), 1))
	s.cache = rig.Cache(t, "valkey://"+sentinel.Addr()+"?master_set=tides")
	l.w = s.writer(s.cache)
	s.run()
	p.part(s)
	l.change()
	must(t, p.primary.Kill())
	stacktest.Eventually(t, patience, func() bool {
		primary, err := sentinel.Primary(t.Context())
		return err == nil && primary == p.replica.Addr()
	}, "the sentinel promotes the replica")
	l.repaired(s.mended(p.replica).Looked)
}

// TestOldPrimary has a writer that still talks to the old primary after a failover: once the new one is on record, and before.
func TestOldPrimary(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	front := rig.Proxy(t, p.primary.Addr())
	s := siteAt(t, front.Addr())
	db, gate := rig.Gated(t, s.db, rig.Before, registerSQL)
	s.run(func(cfg *relay.Config) { cfg.DB = db })
	left := s.writer(rig.Cache(t, p.primary.URL()))
	before, after := s.key("before"), s.key("after")
	s.put(left, before, "old")
	s.put(left, after, "old")
	s.drained()
	p.part(s)
	must(t, p.replica.Promote(t.Context()))
	must(t, front.Retarget(p.replica.Addr(), false))
	await(t, gate.Reached(), "the guardian puts the new primary on record")
	s.toldToOldPrimary(left, before)
	s.drained() // it is settled, by what is on record
	gate.Open()
	s.mended(p.replica)
	if s.hasOld(before, "new") {
		t.Errorf("the new primary serves what the old one had before the failover")
	}
	s.toldToOldPrimary(left, after)
	s.drained()
	s.holds(after, "new")
}

func (s *site) toldToOldPrimary(w *writer.Writer, key string) {
	s.t.Helper()
	if result := s.put(w, key, "new"); result.Keys[0].Outcome != writer.Applied {
		s.t.Fatalf("the write is %+v", result)
	}
}
