package cache_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestLinksNameTheServer restarts a server. The links name each of its lives, and are others as soon as a connection was lost or made.
func TestLinksNameTheServer(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL(), quick)
	runID := func() string {
		servers, err := b.Cache.Watch(t.Context(), "", nil)
		if err != nil {
			return ""
		}
		return servers[0].RunID
	}
	before := b.Cache.Links()
	if len(before.Runs) != 1 || before.Runs[0] != runID() {
		t.Fatalf("the links are %v, and the server is %s", before.Runs, runID())
	}
	if _, err := b.Cache.Get(t.Context(), "k"); err != nil || b.Cache.Links() != before {
		t.Errorf("after a read the links are others, %v (%v)", b.Cache.Links().Runs, err)
	}
	must(t, errors.Join(server.Kill(), server.Start(t.Context())))
	recovers(t, b.Cache)
	after := b.Cache.Links()
	if len(after.Runs) != 1 || after.Runs[0] != runID() || after.Runs[0] == before.Runs[0] {
		t.Errorf("the links are %v, before the restart %v, and the server is %s", after.Runs, before.Runs, runID())
	}
}

// TestLinksOfUsers asks with a password, and as somebody who may not ask.
func TestLinksOfUsers(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	b := on(t, server.URL())
	b.cmd(t, "ACL", "SETUSER", "asks", "on", ">secret", "~*", "+@all")
	b.cmd(t, "ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "-info")
	servers, err := b.Cache.Watch(t.Context(), "", nil)
	must(t, err)
	for user, want := range map[string]string{"asks": servers[0].RunID, "mute": ""} {
		u, err := url.Parse(server.URL())
		must(t, err)
		u.User = url.UserPassword(user, "secret")
		c := rig.Cache(t, u.String())
		if _, err := c.Get(t.Context(), "k"); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		if runs := c.Links().Runs; len(runs) != 1 || runs[0] != want {
			t.Errorf("%s: the links are %q, want %q", user, runs, want)
		}
	}
}

// TestLinksThroughSentinel does not take a sentinel for a server that holds data.
func TestLinksThroughSentinel(t *testing.T) {
	t.Parallel()
	primary := stacktest.OwnValkey(t)
	c := rig.Cache(t, "valkey://"+sentinel(t, primary.Addr())+"?master_set=tides", quick, func(c *cache.Config) { c.Timeout = 2 * time.Second })
	must(t, c.Wait(within(t, patience)))
	recovers(t, c)
	servers, err := c.Watch(t.Context(), "", nil)
	must(t, err)
	if runs := c.Links().Runs; len(runs) != 1 || runs[0] != servers[0].RunID {
		t.Errorf("the links are %q, want %s alone", runs, servers[0].RunID)
	}
}
