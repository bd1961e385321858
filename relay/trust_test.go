package relay_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// leases returns a client of the site's guardian.
func (s *site) leases() *lease.Client {
	s.t.Helper()
	c, err := lease.NewClient(lease.Config{DB: s.db, NATS: s.nats, Log: rig.Log(s.t)})
	must(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// TestTrust grants leases once the cache is known to be well, ends them when it is another server, and grants again after the repair.
func TestTrust(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	c := s.leases()
	s.run()
	trusts := func() bool { return c.Held().Trusts(lease.Now(), s.cache.Links().Runs) }
	stacktest.Eventually(t, patience, trusts, "the cache is trusted")
	first := s.cache.Links().Runs
	before, err := outbox.ReadRow(t.Context(), s.db)
	must(t, err)
	stacktest.Eventually(t, patience, func() bool { return c.Held().Within(lease.Now(), first, lease.Length) }, "what was committed a second ago is visible")

	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	stacktest.Eventually(t, patience, func() bool { return !c.Held().Trusts(lease.Now(), first) }, "the trust ends")
	stacktest.Eventually(t, patience, func() bool {
		row, err := outbox.ReadRow(t.Context(), s.db)
		return err == nil && row.Suspensions > before.Suspensions
	}, "it is written down that the cache is suspended")
	stacktest.Eventually(t, patience, trusts, "the cache is trusted again")
	if runs := s.cache.Links().Runs; len(runs) != 1 || runs[0] == first[0] {
		t.Errorf("the connections lead to %v, before to %v", runs, first)
	}
}

// TestDemotedServerIsNotTrusted makes the trusted server a replica of another: its run id stays the same, and it will be given the other's data.
func TestDemotedServerIsNotTrusted(t *testing.T) {
	t.Parallel()
	server, other := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	c := s.leases()
	s.run()
	trusts := func() bool { return c.Held().Trusts(lease.Now(), s.cache.Links().Runs) }
	stacktest.Eventually(t, patience, trusts, "the cache is trusted")
	before, err := outbox.ReadRow(t.Context(), s.db)
	must(t, err)
	host, port, err := net.SplitHostPort(other.Addr())
	must(t, err)
	must(t, s.valkey.Do(t.Context(), s.valkey.B().Replicaof().Host(host).Port(number(t, port)).Build()).Error())
	stacktest.Eventually(t, patience, func() bool {
		row, err := outbox.ReadRow(t.Context(), s.db)
		return err == nil && row.Suspensions > before.Suspensions
	}, "it is written down that the cache is suspended")
	must(t, s.valkey.Do(t.Context(), s.valkey.B().Replicaof().No().One().Build()).Error())
	stacktest.Eventually(t, patience, trusts, "promoted again and repaired, the cache is trusted")
}

func number(t testing.TB, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	must(t, err)
	return n
}

// TestWhatWaitsHoldsTheProof leaves a record that cannot be settled: the cache is trusted, and shows what was committed before that only.
func TestWhatWaitsHoldsTheProof(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.leases()
	s.run()
	runs := func() []string { return s.cache.Links().Runs }
	stacktest.Eventually(t, patience, func() bool { return c.Held().Within(lease.Now(), runs(), lease.Length) }, "the cache is trusted")
	before := lease.Now()
	s.recordWithin(time.Hour, set(s.key("a"), "one"))
	written := lease.Now()
	stacktest.Eventually(t, patience, func() bool { return lease.Now() > written+2*lease.Length && c.Held().Trusts(lease.Now(), runs()) }, "leases are renewed")
	if h := c.Held(); h.Settled > written || h.Within(lease.Now(), runs(), lease.Length) {
		t.Errorf("a record waits since %v, and all is said to be settled up to %v", written, h.Settled)
	}
	if h := c.Held(); h.Settled < before-lease.Length {
		t.Errorf("nothing waited before %v, and all is settled up to %v only", before, h.Settled)
	}
	s.exec("DELETE FROM tidelock.outbox")
	stacktest.Eventually(t, patience, func() bool { return c.Held().Within(lease.Now(), runs(), lease.Length) }, "the proof goes on")
}

// TestCallByPostgres has a process that cannot reach NATS call the guardian through Postgres: what it asks to be settled is, for nobody trusts the cache then.
func TestCallByPostgres(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	near := s.leases()
	s.run()
	trusted := func() bool { return near.Held().Trusts(lease.Now(), s.cache.Links().Runs) }
	stacktest.Eventually(t, patience, trusted, "the cache is trusted")
	way := rig.Proxy(t, strings.TrimPrefix(stacktest.NATS(t).URL(), "nats://"))
	far, err := lease.NewClient(lease.Config{DB: s.db, NATS: rig.NATS(t, "nats://"+way.Addr()), Log: rig.Log(t)})
	must(t, err)
	t.Cleanup(far.Close)
	for name, fault := range map[string]func() error{"cut": way.Cut, "silent": way.Blackhole} {
		must(t, fault())
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			began := time.Now()
			err := far.Settle(ctx, []lease.Version{{Key: s.key("k"), Version: 1}})
			cancel()
			must(t, err)
			t.Logf("%s: vouched for after %v", name, time.Since(began).Round(time.Millisecond))
		}
		must(t, way.Heal())
	}
	stacktest.Eventually(t, patience, trusted, "the cache is trusted again")
}
