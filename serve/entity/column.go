package entity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Column is one exposed column.
type Column struct {
	Name string
	// Type is Postgres's text for its type.
	Type string
	// Shape is what its values are in JSON.
	Shape Shape
	// About is the comment on it.
	About string
	// Nullable: it may be null. Default: it may be left out. ReadOnly: it cannot be written.
	Nullable, Default, ReadOnly bool
}

// Kind is a kind of JSON value.
type Kind string

// The kinds of JSON values that columns have. Numbers are exact: they are text from the socket to Postgres, and back.
const (
	Integer Kind = "integer"
	Number  Kind = "number"
	Boolean Kind = "boolean"
	String  Kind = "string"
	Array   Kind = "array"
	Object  Kind = "object"
	Any     Kind = "any"
)

// Shape is what a column's values are in JSON.
type Shape struct {
	Kind   Kind
	Bits   int      // of an integer
	Format string   // of a string, as in OpenAPI
	Form   string   // of a string: a pattern
	Enum   []string // of a string
	Max    int      // of a string: how many characters
	Elem   *Shape   // of an array
}

// special are the values of numeric and float columns that JSON has no numbers for.
var special = []string{`"NaN"`, `"Infinity"`, `"-Infinity"`}

var (
	uuidForm    = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	integerForm = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
)

// shapeOf returns the shape of a type of schema pg_catalog, of kind t, with these labels if it is an enum.
func shapeOf(name, typtype string, enum []string, limit int) Shape {
	switch {
	case typtype == "e":
		return Shape{Kind: String, Enum: enum}
	case typtype == "c":
		return Shape{Kind: Object}
	}
	switch name {
	case "int2":
		return Shape{Kind: Integer, Bits: 16}
	case "int4":
		return Shape{Kind: Integer, Bits: 32}
	case "int8":
		return Shape{Kind: Integer, Bits: 64}
	case "numeric", "float4", "float8":
		return Shape{Kind: Number}
	case "bool":
		return Shape{Kind: Boolean}
	case "json", "jsonb":
		return Shape{Kind: Any}
	case "uuid":
		return Shape{Kind: String, Format: "uuid"}
	case "timestamptz":
		return Shape{Kind: String, Format: "date-time"}
	case "date":
		return Shape{Kind: String, Format: "date"}
	case "bytea":
		return Shape{Kind: String, Form: `^\\x([0-9A-Fa-f]{2})*$`}
	case "varchar":
		return Shape{Kind: String, Max: limit}
	default:
		return Shape{Kind: String}
	}
}

// accept returns why a JSON value cannot be one of the column, empty if it may be. Postgres has the last word.
func (c Column) accept(raw json.RawMessage) string {
	if string(raw) == "null" {
		if !c.Nullable {
			return "it cannot be null"
		}
		return ""
	}
	return c.Shape.accept(raw)
}

func (s Shape) accept(raw json.RawMessage) string {
	ok := true
	switch s.Kind {
	case Integer:
		ok = integerForm.Match(raw)
	case Number:
		ok = raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' || slices.Contains(special, string(raw))
	case Boolean:
		ok = raw[0] == 't' || raw[0] == 'f'
	case String:
		return s.acceptString(raw)
	case Array:
		return s.acceptArray(raw)
	case Object:
		ok = raw[0] == '{'
	}
	if !ok {
		return fmt.Sprintf("want %s, not %s", s.Kind.article(), brief(raw))
	}
	return ""
}

func (s Shape) acceptString(raw json.RawMessage) string {
	var text string
	if raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return fmt.Sprintf("want a string, not %s", brief(raw))
	}
	if s.Enum != nil && !slices.Contains(s.Enum, text) {
		return fmt.Sprintf("want one of %s", strings.Join(s.Enum, ", "))
	}
	if s.Form != "" && !regexp.MustCompile(s.Form).MatchString(text) {
		return `want bytes in hexadecimal after \x`
	}
	if s.Format == "uuid" && !uuidForm.MatchString(text) {
		return "want a UUID"
	}
	return ""
}

func (s Shape) acceptArray(raw json.RawMessage) string {
	if raw[0] != '[' {
		return fmt.Sprintf("want an array, not %s", brief(raw))
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return "it is not an array"
	}
	for _, element := range elements {
		element = bytes.TrimSpace(element)
		reason := ""
		switch {
		case string(element) == "null":
		case element[0] == '[' && s.Elem.Kind != Any: // another dimension
			reason = s.acceptArray(element)
		default:
			reason = s.Elem.accept(element)
		}
		if reason != "" {
			return "an element: " + reason
		}
	}
	return ""
}

func (k Kind) article() string {
	if k == Integer || k == Array || k == Object {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// brief names the kind of a value, for it may be long, or nobody's business.
func brief(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "such a number"
	}
}
