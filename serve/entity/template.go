package entity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// separators may stand after a column that another one follows: in its value they are escaped.
const separators = ":/|,;.-_#@ "

// reserved begins the keys that Tidelock keeps for itself.
const reserved = "tidelock:"

// template makes cache keys of the values of key columns, and takes them apart again. Two rows never share a key: what stands between two values is escaped in
// the first of them.
type template struct {
	literals []string // one more than columns: what stands before, between and after them
	columns  []int    // which of the entity's key columns
}

// parseTemplate reads a text such as seat:{flight}:{seat}. It must name each column of the key once.
func parseTemplate(text string, key []string) (t template, err error) {
	rest, before := text, ""
	for {
		literal, more, open := strings.Cut(rest, "{")
		if !open {
			t.literals = append(t.literals, before+literal)
			break
		}
		name, after, closed := strings.Cut(more, "}")
		column := slices.Index(key, name)
		switch {
		case !closed:
			return t, fmt.Errorf("the template %q has a { without a }", text)
		case column < 0:
			return t, fmt.Errorf("the template %q has {%s}, which is not a column of the key", text, name)
		case slices.Contains(t.columns, column):
			return t, fmt.Errorf("the template %q has {%s} twice", text, name)
		case literal == "" && len(t.columns) > 0:
			return t, fmt.Errorf("the template %q has nothing between two columns: seat:{flight}:{seat}", text)
		case len(t.columns) > 0 && !strings.Contains(separators, literal[:1]):
			return t, fmt.Errorf("the template %q has %q between two columns: let it begin with one of %s", text, literal, separators)
		}
		t.literals, t.columns, rest = append(t.literals, literal), append(t.columns, column), after
	}
	if len(t.columns) != len(key) {
		return t, fmt.Errorf("the template %q does not name every column of the key: two rows would share a cache key", text)
	}
	if t.overlaps(reserved) {
		return t, fmt.Errorf("the template %q may make keys that begin with %q, which are Tidelock's own", text, reserved)
	}
	return t, nil
}

// prefix is what all keys begin with.
func (t template) prefix() string { return t.literals[0] }

// overlaps reports whether a key of ours may begin with the prefix, or the other way round.
func (t template) overlaps(prefix string) bool {
	return strings.HasPrefix(prefix, t.prefix()) || strings.HasPrefix(t.prefix(), prefix)
}

// key returns the cache key of a row.
func (t template) key(id []string) string {
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, column := range t.columns {
		b.WriteString(t.escaper(i).Replace(id[column]))
		b.WriteString(t.literals[i+1])
	}
	return b.String()
}

// escaper replaces, in the value of a column that another one follows, the first byte of what ends it. The last value ends with the key, and stays as it is.
func (t template) escaper(i int) *strings.Replacer {
	if i == len(t.columns)-1 || mutant.On("one-key-a-row") {
		return strings.NewReplacer()
	}
	end := t.literals[i+1][:1]
	return strings.NewReplacer("%", "%25", end, fmt.Sprintf("%%%02X", end))
}

// sql is key as an expression over the columns of a row r, which have these names.
func (t template) sql(names []string) string {
	parts := []string{literal(t.literals[0])}
	for i, column := range t.columns {
		value := "CAST(r." + quote(names[column]) + " AS pg_catalog.text)"
		if i < len(t.columns)-1 {
			end := t.literals[i+1][:1]
			value = fmt.Sprintf("pg_catalog.replace(pg_catalog.replace(%s, '%%', '%%25'), %s, '%%%02X')", value, literal(end), end)
		}
		parts = append(parts, value, literal(t.literals[i+1]))
	}
	return strings.Join(parts, " || ")
}

// literal is a text in SQL, whatever the session's settings are, and without a $, so that it can stand in what is quoted by dollars.
func literal(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, "'", "''", "$", `\x24`).Replace(text) + "'"
}

// parse returns the values of a cache key that key has made.
func (t template) parse(key string) (id []string, ok bool) {
	rest, ok := strings.CutPrefix(key, t.literals[0])
	if !ok {
		return nil, false
	}
	id = make([]string, len(t.columns))
	for i, column := range t.columns {
		value, end := rest, t.literals[i+1]
		if i == len(t.columns)-1 {
			value, ok = strings.CutSuffix(rest, end)
		} else if value, rest, ok = strings.Cut(rest, end); ok {
			value = strings.NewReplacer("%25", "%", fmt.Sprintf("%%%02X", end[:1]), end[:1]).Replace(value)
		}
		if !ok {
			return nil, false
		}
		id[column] = value
	}
	return id, true
}
