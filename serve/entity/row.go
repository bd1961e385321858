package entity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Row is a body whose every field is a declared column that can be written, with a value that is one of its kind. The values are the client's own text.
type Row struct {
	columns []Column
	json    string
}

func (r Row) has(name string) bool {
	return slices.ContainsFunc(r.columns, func(c Column) bool { return c.Name == name })
}

// Row reads a body. A whole one must have every column that has no default and cannot be null; any may have the key's columns, with what the path says. An
// error is a FieldErrors.
func (e *Entity) Row(id []string, body []byte, whole bool) (Row, error) {
	names, values, err := fields(body)
	if err != nil {
		return Row{}, FieldErrors{{Reason: err.Error()}}
	}
	var row Row
	var wrong FieldErrors
	var text bytes.Buffer
	for _, name := range names {
		reason, write := e.field(id, name, values[name])
		if reason != "" {
			wrong = append(wrong, FieldError{name, reason})
			continue
		}
		if !write {
			continue
		}
		row.columns = append(row.columns, e.Columns[e.column(name)])
	}
	if whole {
		wrong = append(wrong, e.missing(values)...)
	} else if wrong == nil && row.columns == nil {
		wrong = FieldErrors{{Reason: "it names no column to write"}}
	}
	if wrong != nil {
		return Row{}, wrong
	}
	// In the order of the declaration, so that equal bodies make equal statements.
	slices.SortFunc(row.columns, func(a, b Column) int { return e.column(a.Name) - e.column(b.Name) })
	for i, c := range row.columns {
		quoted, _ := json.Marshal(c.Name)
		text.WriteByte("{,"[min(i, 1)])
		text.Write(quoted)
		text.WriteByte(':')
		text.Write(values[c.Name])
	}
	text.WriteByte('}')
	row.json = text.String()
	return row, nil
}

func (e *Entity) column(name string) int {
	return slices.IndexFunc(e.Columns, func(c Column) bool { return c.Name == name })
}

// field says what is wrong with a field, or whether it is to be written: those of the key are not, they are the path's.
func (e *Entity) field(id []string, name string, raw json.RawMessage) (reason string, write bool) {
	at := e.column(name)
	if at < 0 {
		return "there is no such column", false
	}
	if at < len(e.Key) {
		text := string(raw)
		if e.Key[at].Shape.Kind == String && json.Unmarshal(raw, &text) != nil {
			return "want a string", false
		}
		if value, _ := e.Key[at].canonical(text); value != id[at] {
			return "it is not what the path says", false
		}
		return "", false
	}
	if e.Columns[at].ReadOnly {
		return "it cannot be written", false
	}
	return e.Columns[at].accept(raw), true
}

// missing names the columns that a whole row must have.
func (e *Entity) missing(values map[string]json.RawMessage) (wrong FieldErrors) {
	for _, c := range e.Columns[len(e.Key):] {
		if _, given := values[c.Name]; !given && !c.ReadOnly && !c.Nullable && !c.Default {
			wrong = append(wrong, FieldError{c.Name, "it is missing"})
		}
	}
	return wrong
}

// fields takes an object apart, without a look at what its values are.
func fields(body []byte) (names []string, values map[string]json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, nil, errors.New("want a JSON object")
	}
	values = make(map[string]json.RawMessage)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("it is not JSON: %w", err)
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, nil, fmt.Errorf("it is not JSON: %w", err)
		}
		if _, twice := values[name]; twice {
			return nil, nil, fmt.Errorf("%q is given twice", name)
		}
		names = append(names, name)
		values[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is something after the object")
	}
	return names, values, nil
}
