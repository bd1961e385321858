package relay_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
)

// TestAlarmIsNotForgotten has Postgres not answer when a strange canary has alarmed the guardian: the next look is alarmed again.
func TestAlarmIsNotForgotten(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteAt(t, server.Addr())
	db, gate := rig.Gated(t, s.db, rig.Before, movedSQL)
	s.run(func(cfg *relay.Config) { cfg.DB = db })
	s.marked(s.valkey, s.canaryKey())
	s.seed(s.key("phantom"), 1<<50, "lost")
	s.do(s.valkey.B().Set().Key(s.canaryKey()).Value("another 5").Build())
	await(t, gate.Reached(), "the guardian is alarmed")
	await(t, gate.Reached(), "the statement's deadline has ended it, and the guardian is alarmed again")
	gate.Open()
	stacktest.Eventually(t, patience, func() bool { return s.text("SELECT count(*)::text FROM tidelock.histories") == "2" }, "the alarm is noted")
	s.mended(server)
	if e := s.entry(s.key("phantom")); e.Hit() {
		t.Errorf("the cache serves %q of version %d", e.Payload, e.Version)
	}
}
