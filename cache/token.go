package cache

import (
	"cmp"
	"errors"
	"hash/crc32"
	"hash/fnv"
	"iter"
	"slices"
)

// ErrToken says that a text is no token of ours. Ask the writer's caller to hand the token on unchanged.
var ErrToken = errors.New("not a tidelock token")

// TokenKeys bounds how many keys a token lists: a text of some 550 bytes with versions of ten digits. A larger transaction gives a token
// that asks its highest version of every key: still right, but the keys it did not write go to Postgres too.
const TokenKeys = 32

// Token names a write, or all that a session has seen, by versions of keys; a read that passes it gets nothing older. The zero Token asks
// for nothing. Its text is short, safe in an HTTP header or a cookie, and harmless when tampered with: it can only ask
// for newer or older data, both of which the holder may read anyway.
type Token struct {
	marks  []Mark // each key once
	others int64  // of every key that is not among them
	short  bool   // read from a text of the first kind: only the upper half of the hashes is known
}

// Mark is the version that a token asks of one key.
type Mark struct {
	Key     uint64 // KeyHash of the key
	Version int64
}

// KeyHash is what tokens know a key by. Two keys of one hash are asked the higher version of both; with 64 bits nobody need expect to meet
// such a pair.
func KeyHash(key string) uint64 {
	h := fnv.New32a()
	h.Write([]byte(key))
	return uint64(h.Sum32())<<32 | uint64(crc32.Checksum([]byte(key), castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewToken returns the token of a transaction that gave these versions to these keys.
func NewToken(versions iter.Seq2[string, int64]) Token {
	highest := make(map[uint64]int64)
	for key, version := range versions {
		hash := KeyHash(key)
		highest[hash] = max(highest[hash], version)
	}
	var t Token
	for hash, version := range highest {
		t.marks = append(t.marks, Mark{hash, version})
		t.others = max(t.others, version)
	}
	if len(t.marks) > TokenKeys {
		return Token{others: t.others}
	}
	slices.SortFunc(t.marks, func(a, b Mark) int { return cmp.Compare(a.Key, b.Key) })
	return Token{marks: t.marks}
}

// SessionToken returns the token of what a session has seen: these versions of these keys, each named once, and at most others of every other
// key. It lists the first TokenKeys of the marks; the rest count with the others.
func SessionToken(marks []Mark, others int64) Token {
	t := Token{others: others}
	for i, m := range marks {
		if i < TokenKeys && m.Version > 0 {
			t.marks = append(t.marks, m)
		} else {
			t.others = max(t.others, m.Version)
		}
	}
	return t
}

// Version returns the lowest version of key that a read with this token may return, 0 when any will do.
func (t Token) Version(key string) int64 {
	if t.marks == nil {
		return t.others // spares the hash
	}
	return t.Of(KeyHash(key))
}

// Of is Version by the key's hash.
func (t Token) Of(hash uint64) int64 {
	for _, m := range t.marks {
		if m.Key == hash || t.short && m.Key>>32 == hash>>32 {
			return m.Version
		}
	}
	return t.others
}

// Marks returns the keys that the token lists and the version that it asks of every other one. Of a text of the first kind, which
// knows its keys by half of their hashes, it lists none, and asks its highest version of all.
func (t Token) Marks() (marks []Mark, others int64) {
	if !t.short {
		return slices.Clone(t.marks), t.others
	}
	for _, m := range t.marks {
		others = max(others, m.Version)
	}
	return nil, others
}
