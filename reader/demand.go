package reader

import (
	"math"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Option asks for more than a read gives by default.
type Option func(*demand)

// demand is what a read asks for beyond the default.
type demand struct {
	tokens  []cache.Token
	above   int64         // this version will not do
	session *Session      // nil for none
	within  time.Duration // 0 for any age
	strict  bool
	began   int64 // when the read began, by the session's clock
}

// AtLeast asks for a value that includes the write which gave the token, whatever the cache holds; of several tokens, the
// writes of all. A miss or an older entry costs a read from Postgres, which refreshes the cache.
func AtLeast(token cache.Token) Option {
	return func(d *demand) { d.tokens = append(d.tokens, token) }
}

// In makes the read one of a session's: it returns nothing older than what the session has seen or written, and the session remembers what it
// returned. Of several sessions the last one counts; nil is none.
//
// A load then looks at the key's version again once it has the row, also with the cache down: the row may be newer than its label, and the session must
// know by how much. If that fails the read fails with a *LoadError, though it has the row: the next one could go back.
func In(session *Session) Option {
	return func(d *demand) { d.session = session }
}

func demands(options []Option) demand {
	if len(options) == 0 {
		return demand{} // the other one is on the heap, for its options get a pointer
	}
	var d demand
	for _, option := range options {
		option(&d)
	}
	if d.session != nil {
		d.began = d.session.now()
	}
	return d
}

// fresh is the same, for a read that the cache could not answer: what is not proven by a lease must come from Postgres, whatever the cache holds by
// then.
func (d demand) fresh() demand {
	if d.leased() {
		d.above = math.MaxInt64
	}
	return d
}

// leased reports whether the cache may answer only by a lease.
func (d demand) leased() bool { return d.within > 0 || d.strict }

// version is the lowest version of key that the read may return.
func (d *demand) version(key string) int64 {
	need := d.above
	for _, token := range d.tokens {
		need = max(need, token.Version(key))
	}
	if d.session != nil {
		need = max(need, d.session.version(key))
	}
	return need
}

// accept hands on what was found of a key, once the session knows of it. These are called for each key of a read, and pass on nothing that they need not copy.
func (d *demand) accept(key string, found *landing) (Payload, error) {
	if found.err != nil {
		return Payload{}, found.err
	}
	if d.session != nil {
		if found.unseen != nil {
			return Payload{}, &LoadError{Keys: []string{key}, Err: found.unseen}
		}
		version := found.seen
		if mutant.On("session-seen") {
			version = found.entry.Version
		}
		d.session.saw(key, version, d.began)
	}
	return found.payload()
}
