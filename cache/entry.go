package cache

import (
	"bytes"
	"strconv"
)

// Kind says what an entry holds, or what a change makes of it.
type Kind byte

const (
	// None is the kind of no entry at all, or of bytes that Tidelock did not write: a miss.
	None Kind = 0
	// Value is a payload.
	Value Kind = 'V'
	// Absent says that there is no row.
	Absent Kind = 'A'
	// Placeholder is an entry that nobody may serve. As the kind of a change it means: the value is unknown, load it.
	Placeholder Kind = 'P'
)

// Entry is what the cache holds at a key.
type Entry struct {
	Kind    Kind
	Version int64  // for a placeholder: the lowest version that may replace it
	Ticket  string // placeholders alone have one
	Payload []byte // values alone have one; it is the caller's to keep
}

// Hit reports whether the entry may be served.
func (e Entry) Hit() bool { return e.Kind == Value || e.Kind == Absent }

// The header is `tl1 V 42\n`. The digit is the version of the format: an unknown one reads as None, so a build that does not know it takes the entry for
// a miss, never for a value. Placeholders and absences have format 1.
const (
	tag = "tl1 "
	// headerMax holds any header: tag, kind, 19 digits, 26 characters of token, two spaces and the line's end.
	headerMax = 64
)

// encode returns the bytes of an entry that holds a value, in this format, or an absence.
func encode(format int, kind Kind, version int64, payload []byte) []byte {
	b := make([]byte, 0, len(tag)+23+len(payload))
	b = append(b, tag...)
	if kind == Value {
		b[2] = '0' + byte(format)
	}
	b = append(b, byte(kind), ' ')
	b = strconv.AppendInt(b, version, 10)
	b = append(b, '\n')
	return append(b, payload...)
}

// decode reads an entry. Bytes without a header of ours give the zero Entry. lua/entry.lua says the same.
func decode(raw []byte) Entry {
	if len(raw) < len(tag)+4 || string(raw[:2]) != tag[:2] || raw[2] < '1' || raw[2] > '0'+FormatMax || raw[3] != ' ' || raw[len(tag)+1] != ' ' {
		return Entry{}
	}
	kind, header := Kind(raw[len(tag)]), raw[:min(len(raw), headerMax)]
	end := len(tag) + 2
	for end < len(header) && '0' <= header[end] && header[end] <= '9' {
		end++
	}
	version, ok := parseVersion(header[len(tag)+2 : end])
	if !ok || end == len(header) {
		return Entry{}
	}
	switch more := header[end+1:]; {
	case kind == Value && header[end] == '\n':
		return Entry{Kind: kind, Version: version, Payload: raw[end+1:]}
	case kind == Absent && header[end] == '\n':
		return Entry{Kind: kind, Version: version}
	case kind == Placeholder && header[end] == ' ':
		if ticket, _, whole := bytes.Cut(more, []byte{'\n'}); whole && isToken(ticket) {
			return Entry{Kind: kind, Version: version, Ticket: string(ticket)}
		}
	}
	return Entry{}
}

func isToken(text []byte) bool {
	for _, b := range text {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') {
			return false
		}
	}
	return len(text) > 0
}

// parseVersion reads digits without allocating; it refuses what an int64 cannot hold and what strconv would not write.
func parseVersion(digits []byte) (int64, bool) {
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	var v int64
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		v = v*10 + int64(d-'0')
	}
	return v, v >= 0
}
