package serve_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// schema is a JSON Schema as our OpenAPI document has them, and root what its references are in.
type schema map[string]any

type spec struct {
	t    testing.TB
	root schema
}

func (s spec) resolve(of any) schema {
	m, _ := of.(map[string]any)
	name, _ := m["$ref"].(string)
	if name == "" {
		return m
	}
	at := any(map[string]any(s.root))
	for part := range strings.SplitSeq(strings.TrimPrefix(name, "#/"), "/") {
		at = at.(map[string]any)[part]
	}
	return s.resolve(at)
}

func number(v any) *big.Float {
	f, _, err := big.ParseFloat(fmt.Sprint(v), 10, 200, big.ToNearestEven)
	if err != nil {
		return new(big.Float)
	}
	return f
}

// against says why a value is not of a schema, empty if it is.
func (s spec) against(of, value any) string {
	m := s.resolve(of)
	if choices, ok := m["anyOf"].([]any); ok {
		return s.againstAny(choices, value)
	}
	if enum, ok := m["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Sprintf("%v is none of %v", value, enum)
	}
	switch m["type"] {
	case "object":
		return s.againstObject(m, value)
	case "array":
		return s.againstArray(m, value)
	case "string":
		return againstString(m, value)
	case "boolean":
		if _, ok := value.(bool); !ok {
			return fmt.Sprintf("%v is no boolean", value)
		}
	case "integer", "number":
		n, ok := value.(json.Number)
		low, bounded := m["minimum"]
		if !ok || m["type"] == "integer" && strings.ContainsAny(n.String(), ".eE") ||
			bounded && (number(n).Cmp(number(low)) < 0 || number(n).Cmp(number(m["maximum"])) > 0) {
			return fmt.Sprintf("%v is no %v", value, m)
		}
	case "null":
		if value != nil {
			return fmt.Sprintf("%v is not null", value)
		}
	}
	return ""
}

func (s spec) againstAny(choices []any, value any) string {
	for _, choice := range choices {
		if s.against(choice, value) == "" {
			return ""
		}
	}
	return fmt.Sprintf("%v is none of the choices", value)
}

func (s spec) againstObject(m schema, value any) string {
	o, ok := value.(map[string]any)
	if !ok {
		return fmt.Sprintf("%v is no object", value)
	}
	required, _ := m["required"].([]any)
	for _, name := range required {
		if _, there := o[name.(string)]; !there {
			return fmt.Sprintf("%v is missing", name)
		}
	}
	properties, _ := m["properties"].(map[string]any)
	for name, v := range o {
		p, known := properties[name]
		if !known && m["additionalProperties"] == false {
			return fmt.Sprintf("%q is too much", name)
		}
		if reason := s.against(p, v); reason != "" {
			return name + ": " + reason
		}
	}
	return ""
}

func (s spec) againstArray(m schema, value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprintf("%v is no array", value)
	}
	for _, v := range list {
		if reason := s.against(m["items"], v); reason != "" {
			return reason
		}
	}
	return ""
}

func againstString(m schema, value any) string {
	text, ok := value.(string)
	limit, limited := m["maxLength"]
	pattern, formed := m["pattern"].(string)
	switch {
	case !ok:
		return fmt.Sprintf("%v is no string", value)
	case limited && number(utf8.RuneCountInString(text)).Cmp(number(limit)) > 0:
		return fmt.Sprintf("%q is too long", text)
	case formed && !regexp.MustCompile(pattern).MatchString(text):
		return fmt.Sprintf("%q is not of the form %s", text, pattern)
	}
	return ""
}

// make returns the JSON of a random value of a schema; without leaves out some names of objects.
func (s spec) make(r *rand.Rand, of any, without ...string) string {
	m := s.resolve(of)
	if choices, ok := m["anyOf"].([]any); ok {
		return s.make(r, choices[r.IntN(len(choices))])
	}
	if enum, ok := m["enum"].([]any); ok {
		text, _ := json.Marshal(enum[r.IntN(len(enum))])
		return string(text)
	}
	switch m["type"] {
	case "object":
		return s.makeObject(r, m, without)
	case "array":
		return s.makeArray(r, m)
	case "string":
		return makeString(r, m)
	case "boolean":
		return []string{"true", "false"}[r.IntN(2)]
	case "integer":
		return makeInteger(r, m)
	case "number":
		return fmt.Sprintf("%d.%0*d", r.Int64()-r.Int64(), 1+r.IntN(20), r.IntN(1000))
	case "null":
		return "null"
	}
	return []string{`{"a": [1.10, null]}`, `"x"`, "1", "[]", "null"}[r.IntN(5)]
}

func (s spec) makeObject(r *rand.Rand, m schema, without []string) string {
	var parts []string
	required, _ := m["required"].([]any)
	properties, _ := m["properties"].(map[string]any)
	names := make([]string, 0, len(properties))
	for name := range properties {
		if !slices.Contains(without, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		if !slices.Contains(required, any(name)) && r.IntN(2) == 0 && (m["minProperties"] == nil || parts != nil || i < len(names)-1) {
			continue
		}
		quoted, _ := json.Marshal(name)
		parts = append(parts, string(quoted)+": "+s.make(r, properties[name]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (s spec) makeArray(r *rand.Rand, m schema) string {
	var parts []string
	if fixed, ok := m["prefixItems"].([]any); ok {
		for _, of := range fixed {
			parts = append(parts, s.make(r, of))
		}
	} else {
		for range 1 + r.IntN(3) {
			parts = append(parts, s.make(r, m["items"]))
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func makeInteger(r *rand.Rand, m schema) string {
	if r.IntN(4) == 0 {
		return fmt.Sprint(m[[]string{"minimum", "maximum"}[r.IntN(2)]])
	}
	return fmt.Sprint(r.IntN(20))
}

func makeString(r *rand.Rand, m schema) string {
	switch m["format"] {
	case "uuid":
		return fmt.Sprintf(`"%08x-0000-7000-8000-%012x"`, r.IntN(4), r.IntN(4))
	case "date-time":
		return fmt.Sprintf(`"20%02d-0%d-1%dT0%d:00:00.%06d+0%d:00"`, r.IntN(100), 1+r.IntN(9), r.IntN(10), r.IntN(10), r.IntN(1e6), r.IntN(10))
	case "date":
		return fmt.Sprintf(`"20%02d-02-2%d"`, r.IntN(100), r.IntN(9))
	}
	if m["pattern"] != nil {
		return `"\\x00ff"`
	}
	const alphabet = `aZ 0"'\/%:,;{}$-éß…日😀<>&?#+.~` + "\t"
	letters := []rune(alphabet)
	text := make([]rune, 1+r.IntN(6))
	for i := range text {
		text[i] = letters[r.IntN(len(letters))]
	}
	quoted, _ := json.Marshal(string(text))
	return string(quoted)
}
