package reader

import (
	"container/list"
	"sync"

	"github.com/tidelock-cache/tidelock/cache"
)

// sessionKeys is how many keys a session remembers one by one, at some hundred bytes each.
const sessionKeys = 4096

// Session is what somebody has seen and written, so that the reads which bear it (In) never go back: each returns, of its key, at least what an
// earlier read of the session returned and what the session wrote. Reads that overlap owe each other nothing. It serves readers of any type, as long as they
// read of one database, and is safe for any number of goroutines.
//
// It talks to nothing, so nothing that is down keeps it from its promise. With Valkey down its reads go to Postgres, as all do. With Postgres down they are
// served from the cache where that holds what the session needs, and else return a *LoadError.
//
// It remembers the 4096 keys that were used last one by one, and of all others the highest version among them. The first read of one of those
// may have to go to Postgres; then it is remembered again.
type Session struct {
	mu     sync.Mutex // guards what follows
	marks  map[uint64]*list.Element
	used   list.List // of *seen, the one used last first
	others int64     // of every key that is not in marks
	clock  int64     // counts what happens
	raised int64     // when others may have risen
}

// seen is what is remembered of a key.
type seen struct {
	cache.Mark
	at int64 // when it was changed
}

// NewSession makes a session that goes on from a token: that of an earlier session, of this process or another, or a write's. The zero
// token begins a new one.
func NewSession(token cache.Token) *Session {
	s := &Session{marks: make(map[uint64]*list.Element)}
	s.Wrote(token)
	return s
}

// Wrote has the session's reads from now on see the write that gave the token, or all that another session had seen.
func (s *Session) Wrote(token cache.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	former := s.others
	listed, others := token.Marks()
	if others > 0 {
		for at := s.used.Front(); at != nil; at = at.Next() {
			m := at.Value.(*seen)
			m.Version, m.at = max(m.Version, token.Of(m.Key)), s.clock
		}
		s.others, s.raised = max(s.others, others), s.clock
	}
	for i := len(listed) - 1; i >= 0; i-- { // the first is the one used last
		version := max(listed[i].Version, former)
		if at := s.marks[listed[i].Key]; at != nil {
			version = max(listed[i].Version, at.Value.(*seen).Version)
		}
		s.setLocked(listed[i].Key, version)
	}
}

// Token returns what the session has seen, for a cookie or a header. It lists the keys that were used last, cache.TokenKeys of them, and what it asks of every
// other key is the highest version among those.
func (s *Session) Token() cache.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks := make([]cache.Mark, 0, len(s.marks))
	for at := s.used.Front(); at != nil; at = at.Next() {
		marks = append(marks, at.Value.(*seen).Mark)
	}
	return cache.SessionToken(marks, s.others)
}

// now is the time by the session's own clock.
func (s *Session) now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

// version is the lowest version of key that a read may return.
func (s *Session) version(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.marks[cache.KeyHash(key)]; at != nil {
		return at.Value.(*seen).Version
	}
	return s.others
}

// saw notes what a read that began at that time has found. That may be less than what was asked: a token's version of all other keys, or one that
// Postgres has lost. Then the read comes from Postgres, and so is no older than all that the session had seen when it began. But what was seen since counts.
func (s *Session) saw(key string, version, began int64) {
	hash := cache.KeyHash(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	at := s.marks[hash]
	switch {
	case at != nil && at.Value.(*seen).at > began:
		version = max(version, at.Value.(*seen).Version)
	case at == nil && s.raised > began:
		version = max(version, s.others)
	}
	s.setLocked(hash, version)
}

// setLocked makes the key the one used last, and drops the one not used for longest if there are too many.
func (s *Session) setLocked(hash uint64, version int64) {
	if at := s.marks[hash]; at != nil {
		m := at.Value.(*seen)
		m.Version, m.at = version, s.clock
		s.used.MoveToFront(at)
		return
	}
	s.marks[hash] = s.used.PushFront(&seen{Mark: cache.Mark{Key: hash, Version: version}, at: s.clock})
	if len(s.marks) <= sessionKeys {
		return
	}
	dropped := s.used.Remove(s.used.Back()).(*seen)
	delete(s.marks, dropped.Key)
	s.others, s.raised = max(s.others, dropped.Version), s.clock
}
