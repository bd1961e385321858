package relay_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

// TestPoisonIsSetAside has records that can never be stored among records that can. Neither blocks the other, readers
// are sent to Postgres, and the operator brings the record back when the cause is mended.
func TestPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	const limit = 100
	for name, c := range map[string]struct {
		payload string
		spoil   func(s *site, key string)
		reason  string
	}{
		"a list at its key": {"fits", func(s *site, key string) {
			s.do(s.valkey.B().Lpush().Key(key).Element("x").Build())
		}, "another type"},
		"over the limit": {strings.Repeat("x", limit+1), func(s *site, key string) { s.seed(key, 0, "older") }, "the limit is 100"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := siteOn(t, rig.DB(t), stacktest.Valkey(t).URL(), stacktest.NATS(t).URL(), func(cfg *cache.Config) { cfg.PayloadMax = limit })
			key := s.key("poison")
			c.spoil(s, key)
			version := s.record(set(key, c.payload))[0]
			s.recordMany(20)
			r, stop := s.run()
			s.drained()
			s.holdsMany(20)
			if e := s.entry(key); e.Hit() {
				t.Errorf("the cache holds %q for the poisoned key", e.Payload)
			}
			if item := s.pending()[version]; !strings.Contains(item.Aside, c.reason) || r.Stats().Aside != 1 {
				t.Errorf("the record is %+v, set aside %d; want it set aside because %q", item, r.Stats().Aside, c.reason)
			}
			stop()

			s.cache = rig.Cache(t, s.url) // with the usual limit
			if n, err := outbox.Retry(t.Context(), s.db, version); n != 1 || err != nil {
				t.Fatalf("retried %d records, %v", n, err)
			}
			s.run()
			s.drained()
			s.holds(key, c.payload)
			if len(s.pending()) != 0 {
				t.Errorf("the outbox still holds %+v", s.pending())
			}
		})
	}
}

// TestNonsenseInvalidates: a record that somebody else has written, and that says nothing that can be understood, takes the older value away and is settled.
func TestNonsenseInvalidates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, columns := range map[string]string{"kind": "kind = 'nonsense'", "payload": "payload = NULL", "ttl": "ttl_ms = -1, kind = 'nonsense', payload = NULL"} {
		key := s.key(name)
		s.seed(key, 0, "older")
		version := s.record(set(key, "new"))[0]
		if tag, err := s.db.Exec(t.Context(), "UPDATE tidelock.outbox SET "+columns+" WHERE version = $1", version); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("spoiling the record: %v, %v", tag, err)
		}
	}
	ttl := s.record(set(s.key("no time"), "new"))[0]
	if _, err := s.db.Exec(t.Context(), "UPDATE tidelock.outbox SET ttl_ms = 0 WHERE version = $1", ttl); err != nil {
		t.Fatal(err)
	}
	r, _ := s.run()
	s.drained()
	for _, name := range []string{"kind", "payload", "ttl"} {
		if e := s.entry(s.key(name)); e.Kind != cache.Placeholder {
			t.Errorf("%s: the cache holds %+v, want a placeholder", name, e)
		}
	}
	if left := s.pending(); len(left) != 0 || r.Stats().Aside != 0 {
		t.Errorf("the outbox holds %+v", left)
	}
}

// TestForbiddenKey has the server refuse one key to the relay. Its record is kept, tried again after growing pauses, and in nobody's way.
func TestForbiddenKey(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	s := siteOn(t, rig.DB(t), server.URL(), stacktest.NATS(t).URL())
	acl := func(keys ...string) {
		t.Helper()
		s.do(s.valkey.B().AclSetuser().Username("relay").Rule(append([]string{"reset", "on", ">secret", "+@all"}, keys...)...).Build())
	}
	acl("~"+s.prefix+":*", "~tidelock:probe")
	s.cache = rig.Cache(t, "valkey://relay:secret@"+server.Addr())
	version := s.record(set("forbidden", "one"))[0]
	s.recordMany(20)
	s.run(func(cfg *relay.Config) { cfg.Lease = time.Minute })
	var last time.Duration
	for attempts := 1; attempts <= 3; attempts++ {
		var item outbox.Item
		stacktest.Eventually(t, patience, func() bool {
			left := s.pending()
			item = left[version]
			if item.Version == 0 {
				t.Fatal("the record was retired")
			}
			return item.Attempts == attempts && time.Until(item.Due) < 30*time.Second && len(left) == 1 // no longer leased
		}, "the record is put off, the others settled")
		pause := time.Until(item.Due)
		if pause <= last {
			t.Errorf("after %d attempts the pause is %v, before that it was %v", attempts, pause, last)
		}
		last = pause
		if attempts == 3 {
			acl("~*")
		}
		if err := hasten(t.Context(), s.db, []int64{version}); err != nil {
			t.Fatal(err)
		}
	}
	if s.cache.Breaker() != cache.Closed {
		t.Error("one key's refusal opened the breaker")
	}
	s.holdsMany(20)
	s.drained()
	plain := rig.Cache(t, server.URL())
	if e, err := plain.Get(t.Context(), "forbidden"); err != nil || string(e.Payload) != "one" {
		t.Errorf("the cache holds %+v, %v", e, err)
	}
}

// TestMalformedMessage puts into the stream what no relay has written.
func TestMalformedMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(func(cfg *relay.Config) { cfg.Consumers = 1 })
	for _, text := range []string{"", "hello", "\x01\x00"} {
		s.publish([]byte(text))
	}
	s.recordMany(3)
	s.drained()
	s.holdsMany(3)
	stacktest.Eventually(t, patience, func() bool { return s.messages() == 0 }, "the stream is empty")
}
