package relay_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
)

func (s *site) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.db.Exec(s.t.Context(), sql, args...)
	must(s.t, err)
}

// TestForbiddenKeyHoldsUpNoRepair has the server refuse one key to the relay. The others are repaired, and the doubt ends.
func TestForbiddenKeyHoldsUpNoRepair(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]string{
		"repair":          "SELECT",
		"drop and repair": "INSERT INTO tidelock.histories (history, safe_version) VALUES ('left', 0)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many = 20
			server := stacktest.OwnValkey(t)
			s := siteAt(t, server.Addr())
			s.do(s.valkey.B().AclSetuser().Username("relay").Rule("reset", "on", ">secret", "+@all", "~"+s.prefix+":*", "~tidelock:*").Build())
			s.recordMany(many)
			s.record(set("forbidden", "new"))
			s.exec("DELETE FROM tidelock.outbox") // all was settled on the server before
			s.exec(left)
			s.seed("forbidden", 1, "old")
			for i := range many {
				s.seed(s.key(i), 1, "old")
			}
			s.exec("UPDATE tidelock.servers SET run_id = 'before', repl_id = 'before'")
			s.cache = rig.Cache(t, "valkey://relay:secret@"+server.Addr())
			s.run()
			s.mended(server)
			for i := range many {
				if e := s.entry(s.key(i)); e.Hit() {
					t.Errorf("%d: the cache serves %q of version %d", i, e.Payload, e.Version)
				}
			}
			if got := s.get(s.valkey, "forbidden"); got != "tl1 V 1\nold" {
				t.Errorf("what nobody may touch is %q", got)
			}
		})
	}
}

// TestStrangeCanary has the server on record, or a new one, bear a canary that the guardian cannot have left. Then Postgres was put back by a copy of
// its files, or another one was in its place for a while: what is of no known history goes, versions begin beyond it, and all is calm again.
func TestStrangeCanary(t *testing.T) {
	t.Parallel()
	const ahead, jump = int64(1) << 50, int64(1) << 32
	another := func(*site) string { return "another 5" }
	toCome := func(s *site) string { return fmt.Sprint(s.text("SELECT history FROM tidelock.guardian"), " ", ahead) }
	for name, c := range map[string]struct {
		canary    func(s *site) string
		histories string // left in the end
		keeps     bool   // what is known to be safe
		fresh     bool   // the server is not on record
	}{
		"of another history":                 {another, "2", false, false},
		"of an xid to come":                  {toCome, "1", true, false},
		"of an xid to come, in a new server": {toCome, "1", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.OwnValkey(t)
			s := siteAt(t, server.Addr())
			s.run()
			w, safe, phantom, loading := s.writer(s.cache), s.key("safe"), s.key("phantom"), s.key("loading")
			s.seed(safe, 0, "old")
			version := s.put(w, safe, "safe").Version()
			stacktest.Eventually(t, patience, func() bool { return s.number("SELECT safe_version FROM tidelock.guardian") >= version }, "the version is safe")
			s.drained()
			s.seed(phantom, ahead, "lost")
			ticket := s.cache.Ticket(t.Context(), []string{loading})[0].Ticket
			strange, key := c.canary(s), s.canaryKey()

			stacktest.Eventually(t, patience, func() bool {
				if s.text("SELECT count(*)::text FROM tidelock.histories") != "0" {
					return true
				}
				s.do(s.valkey.B().Set().Key(key).Value(strange).Build())
				if c.fresh {
					s.exec("UPDATE tidelock.servers SET run_id = 'before'")
				}
				return false
			}, "the guardian is alarmed")
			calm := s.mended(server)
			if e := s.entry(phantom); e.Hit() {
				t.Errorf("the cache serves %q of version %d", e.Payload, e.Version)
			}
			if e := s.entry(safe); e.Hit() != c.keeps {
				t.Errorf("what was safe is %q of version %d", string(e.Kind), e.Version)
			}
			late := cache.Change{Key: loading, Version: ahead, Kind: cache.Value, Payload: []byte("lost"), TTL: time.Hour, Ticket: ticket}
			if r := s.cache.Fill(t.Context(), late)[0]; r.Outcome != cache.Refused {
				t.Errorf("a late fill was %v, %v", r.Outcome, r.Err)
			}
			if next := s.put(w, s.key("next"), "v").Version(); next < version+jump || next > version+2*jump {
				t.Errorf("version %d came after %d", next, version)
			}
			s.marked(s.valkey, key) // more beats
			if now := s.mended(server); now.Doubts != calm.Doubts || s.text("SELECT count(*)::text FROM tidelock.histories") != c.histories {
				t.Errorf("the guardian was alarmed again: %+v became %+v, and %s histories were left", calm, now, s.text("SELECT count(*)::text FROM tidelock.histories"))
			}
		})
	}
}

// TestRelayRecalls has Postgres lose a change that a relay has read and brings to the cache. It takes it away again, also when Postgres does not answer
// at first; another change of the chunk, whose record its writer has retired meanwhile, stays.
func TestRelayRecalls(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(postgres *stack.Proxy) error{
		"at once":       func(*stack.Proxy) error { return nil },
		"Postgres away": func(postgres *stack.Proxy) error { return postgres.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			addr := stacktest.Postgres(t).Addr()
			postgres := rig.Proxy(t, addr)
			through := rig.Pool(t, strings.Replace(s.db.Config().ConnString(), addr, postgres.Addr(), 1))
			db, gate := rig.Gated(t, through, rig.After, readSQL)
			lost, kept := s.key("lost"), s.key("kept")
			s.seed(lost, 0, "old")
			s.seed(kept, 0, "old")
			s.record(set(lost, "new"), set(kept, "new"))
			s.run(func(cfg *relay.Config) { cfg.DB = db })
			await(t, gate.Reached(), "the relay has read the records")
			s.exec("DELETE FROM tidelock.outbox")
			s.exec("DELETE FROM tidelock.versions WHERE key = $1", lost)
			must(t, begin(postgres))
			gate.Open()
			if name != "at once" {
				stacktest.Eventually(t, patience, func() bool { return string(s.entry(lost).Payload) == "new" }, "what is lost is in the cache, and nobody can know yet")
				must(t, postgres.Heal())
			}
			stacktest.Eventually(t, patience, func() bool { return s.entry(lost).Kind == cache.None }, "the relay takes away what is lost")
			s.holds(kept, "new")
		})
	}
}
