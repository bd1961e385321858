package reader

import (
	"fmt"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

func (s *Session) expect(t *testing.T, key string, version int64) {
	t.Helper()
	if got := s.version(key); got != version {
		t.Errorf("of %s it asks %d, want %d", key, got, version)
	}
}

// TestSessionDropsKeys holds that a key which was dropped counts with the others, until it is read again.
func TestSessionDropsKeys(t *testing.T) {
	t.Parallel()
	s := NewSession(cache.Token{})
	for i := range sessionKeys + 10 {
		s.saw(fmt.Sprint(i), int64(1000+i), s.now())
	}
	if len(s.marks) != sessionKeys || s.used.Len() != sessionKeys {
		t.Errorf("it remembers %d keys, %d in order", len(s.marks), s.used.Len())
	}
	s.expect(t, "3", 1009)
	s.expect(t, "10", 1010)
	s.saw("3", 1003, s.now())
	s.expect(t, "3", 1003)
	s.expect(t, "10", 1010) // dropped for it, and the highest of the others
	s.expect(t, "stranger", 1010)
	token := s.Token()
	if token.Version("3") != 1003 || token.Version("stranger") < 1010+sessionKeys-cache.TokenKeys {
		t.Errorf("the token asks %d of the key used last, %d of others", token.Version("3"), token.Version("stranger"))
	}
}

// TestSessionOverlaps holds that a slow read does not take back what was learnt while it was under way.
func TestSessionOverlaps(t *testing.T) {
	t.Parallel()
	key := "key"
	bulk := cache.SessionToken(nil, 50)
	for name, c := range map[string]struct {
		meanwhile func(s *Session)
		want      int64
	}{
		"nothing":       {func(*Session) {}, 7},
		"a newer read":  {func(s *Session) { s.saw(key, 9, s.now()) }, 9},
		"an older read": {func(s *Session) { s.saw(key, 5, s.now()) }, 7},
		"a write":       {func(s *Session) { s.Wrote(cache.SessionToken([]cache.Mark{{Key: cache.KeyHash(key), Version: 8}}, 0)) }, 30},
		"a bulk write":  {func(s *Session) { s.Wrote(bulk) }, 50},
		"a newer read, which is dropped": {func(s *Session) {
			s.saw(key, 9, s.now())
			for i := range sessionKeys {
				s.saw(fmt.Sprint(i), 1, s.now())
			}
		}, 30},
	} {
		s := NewSession(cache.SessionToken(nil, 30))
		began := s.now()
		c.meanwhile(s)
		s.saw(key, 7, began)
		if got := s.version(key); got != c.want {
			t.Errorf("%s: it asks %d, want %d", name, got, c.want)
		}
	}
}

// TestSessionMerges holds that after Wrote a session asks of each key what it asked before or what the token does, whichever is more.
func TestSessionMerges(t *testing.T) {
	t.Parallel()
	former, err := cache.ParseToken("awAhJGvnJAEhJf4q") // flight:1 of version 42, flight:2 of version 4711
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]cache.Token{
		"none": {}, "bulk": cache.SessionToken(nil, 100), "former": former,
		"session": cache.SessionToken([]cache.Mark{{Key: cache.KeyHash("flight:1"), Version: 7}, {Key: cache.KeyHash("x"), Version: 200}}, 50),
		"write":   cache.SessionToken([]cache.Mark{{Key: cache.KeyHash("flight:2"), Version: 60}}, 0),
	}
	for nameA, a := range tokens {
		for nameB, b := range tokens {
			s := NewSession(a)
			before := make(map[string]int64)
			keys := []string{"flight:1", "flight:2", "x", "stranger"}
			for _, key := range keys {
				before[key] = s.version(key)
				if before[key] < a.Version(key) {
					t.Errorf("%s: of %s the session asks %d, its token %d", nameA, key, before[key], a.Version(key))
				}
			}
			s.Wrote(b)
			for _, key := range keys {
				exact := nameB != "former" // whose keys it may not know
				if got, most := s.version(key), max(before[key], b.Version(key)); got < most || exact && got > most {
					t.Errorf("%s and then %s: of %s it asks %d, want %d", nameA, nameB, key, got, most)
				}
			}
		}
	}
}
