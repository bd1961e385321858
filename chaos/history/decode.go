package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// decoder reads lines. The texts of a history are few, so it keeps one copy of each.
type decoder struct {
	texts map[string]string
}

// decode reads a line into op. It takes the fast way for what appendOp writes, and leaves everything else to encoding/json.
func (d *decoder) decode(line []byte, op *Op) error {
	if *op = (Op{}); d.fast(line, op) {
		return nil
	}
	*op = Op{}
	if err := json.Unmarshal(line, op); err != nil {
		return fmt.Errorf("reading an operation: %w", err)
	}
	op.Process, op.Key, op.Err = d.text([]byte(op.Process)), d.text([]byte(op.Key)), d.text([]byte(op.Err))
	return nil
}

func (d *decoder) text(b []byte) string {
	if s, known := d.texts[string(b)]; known {
		return s
	}
	s := string(b)
	d.texts[s] = s
	return s
}

// fast reports false for a line that it does not understand, which may be good JSON all the same.
func (d *decoder) fast(line []byte, op *Op) bool {
	rest, ok := bytes.CutPrefix(line, []byte("{"))
	for ok {
		var name, value []byte
		if name, rest, ok = quoted(rest); !ok {
			return false
		}
		if rest, ok = bytes.CutPrefix(rest, []byte(":")); !ok || len(rest) == 0 {
			return false
		}
		if rest[0] == '"' {
			if value, rest, ok = quoted(rest); !ok || !d.setText(op, name, value) {
				return false
			}
		} else if end := bare(rest); !setBare(op, name, rest[:end]) {
			return false
		} else {
			rest = rest[end:]
		}
		if string(rest) == "}" {
			return true
		}
		rest, ok = bytes.CutPrefix(rest, []byte(","))
	}
	return false
}

// quoted cuts a string off that has nothing escaped.
func quoted(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 || !plain(b[1:1+end]) {
		return nil, nil, false
	}
	return b[1 : 1+end], b[2+end:], true
}

// bare is the length of a value that is not quoted.
func bare(b []byte) int {
	for i, c := range b {
		if c == ',' || c == '}' {
			return i
		}
	}
	return len(b)
}

func (d *decoder) setText(op *Op, name, value []byte) bool {
	switch text := d.text(value); string(name) {
	case "p":
		op.Process = text
	case "k":
		op.Kind = Kind(text)
	case "key":
		op.Key = text
	case "lvl":
		op.Level = Level(text)
	case "out":
		op.Outcome = Outcome(text)
	case "err":
		op.Err = text
	default:
		return false
	}
	return true
}

// setBare sets a number or a boolean.
func setBare(op *Op, name, value []byte) bool {
	switch string(name) {
	case "hit":
		op.Hit = true
		return string(value) == "true"
	case "defer":
		op.Deferred = true
		return string(value) == "true"
	}
	n, ok := number(value)
	switch string(name) {
	case "c":
		op.Client = int(n)
	case "id":
		op.ID = n
	case "n":
		op.N = n
	case "ver":
		op.Version = n
	case "need":
		op.Need = n
	case "within":
		op.Within = n
	case "b":
		op.Begin = n
	case "e":
		op.End = n
	default:
		return false
	}
	return ok
}

// number reads what JSON takes for a whole number: no plus sign, no leading zero.
func number(b []byte) (int64, bool) {
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) == 0 || digits[0] < '0' || digits[0] > '9' || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
