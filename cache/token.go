package cache

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
)

// ErrToken says that a text is no token of ours. Ask the writer's caller to hand the token on unchanged.
var ErrToken = errors.New("not a tidelock token")

// tokenKeys bounds how many keys a token lists. A larger transaction gives a token that asks its highest version of
// every key: still right, but the keys it did not write go to Postgres too.
const tokenKeys = 16

// Token names a write and the versions it gave to its keys; a read that passes it sees that write. The zero Token asks
// for nothing. Its text is short, safe in an HTTP header or a cookie, and harmless when tampered with: it can only ask
// for newer or older data, both of which the holder may read anyway.
type Token struct {
	marks map[uint32]int64 // by hash of the key
	all   int64            // of every key, in place of marks
}

// NewToken returns the token of a transaction that gave these versions to these keys.
func NewToken(versions iter.Seq2[string, int64]) Token {
	t := Token{marks: make(map[uint32]int64)}
	var highest int64
	for key, version := range versions {
		highest = max(highest, version)
		t.marks[mark(key)] = max(t.marks[mark(key)], version)
	}
	if len(t.marks) > tokenKeys {
		return Token{all: highest}
	}
	return t
}

// Version returns the lowest version of key that a read with this token may return, 0 when any will do.
func (t Token) Version(key string) int64 {
	if t.marks == nil {
		return t.all
	}
	return t.marks[mark(key)]
}

// String returns the token's text, empty for the zero Token.
func (t Token) String() string {
	var b []byte
	if t.all > 0 {
		b = binary.AppendUvarint(append(b, 'a'), uint64(t.all))
	}
	if len(t.marks) > 0 {
		b = append(b, 'k')
	}
	for _, hash := range slices.Sorted(maps.Keys(t.marks)) {
		b = binary.AppendUvarint(binary.BigEndian.AppendUint32(b, hash), uint64(t.marks[hash]))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads the text of a token. It returns ErrToken for anything that String did not write.
func ParseToken(text string) (Token, error) {
	if text == "" {
		return Token{}, nil
	}
	t, err := parseToken(text)
	if err == nil && t.String() != text { // the same content in another spelling, or a key twice
		return Token{}, ErrToken
	}
	return t, err
}

func parseToken(text string) (Token, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return Token{}, ErrToken
	}
	form, b := b[0], b[1:]
	if form == 'a' {
		version, n := binary.Uvarint(b)
		if n <= 0 || n != len(b) || int64(version) <= 0 {
			return Token{}, ErrToken
		}
		return Token{all: int64(version)}, nil
	}
	if form != 'k' || len(b) == 0 {
		return Token{}, ErrToken
	}
	return parseMarks(b)
}

func parseMarks(b []byte) (Token, error) {
	t := Token{marks: make(map[uint32]int64)}
	for len(b) > 0 {
		if len(b) < 5 || len(t.marks) == tokenKeys {
			return Token{}, ErrToken
		}
		version, n := binary.Uvarint(b[4:])
		if n <= 0 || int64(version) <= 0 {
			return Token{}, ErrToken
		}
		t.marks[binary.BigEndian.Uint32(b)] = int64(version)
		b = b[4+n:]
	}
	return t, nil
}

func mark(key string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(key))
	return h.Sum32()
}
