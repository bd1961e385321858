package writer

import (
	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Outcome says what the cache holds for a key once its write is committed.
type Outcome string

const (
	// Applied: the cache holds the value.
	Applied Outcome = "applied"
	// Superseded: the cache holds a newer version, committed by somebody else in the meantime.
	Superseded Outcome = "superseded"
	// Settled: the cache holds no value, nothing older can come, the next read loads it.
	Settled Outcome = "settled"
	// Deferred: the cache did not answer. The write is safe; a relay brings it to the cache. Until then a read may
	// return the older value, unless it passes the Result's Token.
	Deferred Outcome = "deferred"
)

// KeyResult is what became of one key.
type KeyResult struct {
	Key     string
	Version int64
	Outcome Outcome
	// Err says why the key is deferred, or settled though it has a value. It is a warning: the write is committed.
	Err error
}

// Result is a committed write.
type Result struct {
	Keys []KeyResult // in the order in which they were first named
	// Payload is, for a Put that sets a value, what its statement returned: of several Puts of one key in one transaction, what the last one did.
	Payload []byte
}

// Token lets a read see this write, whatever the cache holds: reader.AtLeast.
func (r Result) Token() cache.Token {
	return cache.NewToken(func(yield func(string, int64) bool) {
		for _, k := range r.Keys {
			if !yield(k.Key, k.Version) {
				return
			}
		}
	})
}

// Version returns the highest version of the write, 0 when it changed no key.
func (r Result) Version() int64 {
	var v int64
	for _, k := range r.Keys {
		v = max(v, k.Version)
	}
	return v
}

// Deferred reports whether some key has not reached the cache yet.
func (r Result) Deferred() bool {
	for _, k := range r.Keys {
		if k.Outcome == Deferred {
			return true
		}
	}
	return false
}

// kinds says what a record makes of an entry.
var kinds = map[outbox.Kind]cache.Kind{
	outbox.Set:        cache.Value,
	outbox.Absent:     cache.Absent,
	outbox.Invalidate: cache.Placeholder,
}
