package cache

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// The forms of a token's text, before base64. Numbers are varints, hashes big-endian.
const (
	formOthers  = 'a' // a version of every key
	formShort   = 'k' // 32-bit hashes, in their order, each with a version: what is read of former texts, and written no more
	formSession = 's' // a version of every key that is not listed, which may be 0, and 64-bit hashes, each with a version
)

// shortKeys is how many keys a text of formShort may list.
const shortKeys = 16

// String returns the token's text, empty for the zero Token.
func (t Token) String() string {
	var b []byte
	switch {
	case t.short:
		b = append(b, formShort)
	case len(t.marks) > 0:
		b = binary.AppendUvarint(append(b, formSession), uint64(t.others))
	case t.others > 0:
		b = binary.AppendUvarint(append(b, formOthers), uint64(t.others))
	}
	for _, m := range t.marks {
		if t.short {
			b = binary.BigEndian.AppendUint32(b, uint32(m.Key>>32))
		} else {
			b = binary.BigEndian.AppendUint64(b, m.Key)
		}
		b = binary.AppendUvarint(b, uint64(m.Version))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads the text of a token. It returns ErrToken for anything that String did not write.
func ParseToken(text string) (Token, error) {
	if text == "" {
		return Token{}, nil
	}
	t, err := parseToken(text)
	if err == nil && t.String() != text { // the same content in another spelling
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
	var t Token
	ok := false
	switch form {
	case formOthers:
		t.others, b, ok = cutVersion(b)
		ok = ok && t.others > 0 && len(b) == 0
	case formShort:
		t.short = true
		t.marks, ok = cutMarks(b, 4, shortKeys)
		ok = ok && slices.IsSortedFunc(t.marks, func(a, b Mark) int { return int(a.Key>>32) - int(b.Key>>32) })
	case formSession:
		if t.others, b, ok = cutVersion(b); ok {
			t.marks, ok = cutMarks(b, 8, TokenKeys)
		}
	}
	if !ok {
		return Token{}, ErrToken
	}
	return t, nil
}

// cutMarks reads all of b as at least one mark, each of another key. A hash that is shorter than eight bytes is the upper part of a whole one.
func cutMarks(b []byte, hashLen, most int) (marks []Mark, ok bool) {
	for len(b) > hashLen && len(marks) < most {
		var m Mark
		for _, c := range b[:hashLen] {
			m.Key = m.Key<<8 | uint64(c)
		}
		m.Key <<= 64 - 8*hashLen
		if m.Version, b, ok = cutVersion(b[hashLen:]); !ok || m.Version == 0 || slices.ContainsFunc(marks, func(o Mark) bool { return o.Key == m.Key }) {
			return nil, false
		}
		marks = append(marks, m)
	}
	return marks, len(b) == 0 && len(marks) > 0
}

func cutVersion(b []byte) (version int64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || int64(v) < 0 {
		return 0, nil, false
	}
	return int64(v), b[n:], true
}
