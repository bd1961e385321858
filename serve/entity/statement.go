package entity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/outbox"
)

// Statement is one statement that returns the row it has written as JSON, or nothing if it has met none.
type Statement struct {
	SQL  string
	Args []any
}

// Session is what a session of Postgres must be set to, so that one row is one text, whoever makes it.
var Session = map[string]string{
	"timezone": "UTC", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex",
	"default_transaction_isolation": "read committed",
}

// Tune has a pool's sessions set to what Session says.
func Tune(cfg *pgxpool.Config) {
	maps.Copy(cfg.ConnConfig.RuntimeParams, Session)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// json is the expression for the exposed columns of a row of t.
func (e *Entity) json() string {
	columns := make([]string, len(e.Columns))
	for i, c := range e.Columns {
		columns[i] = "t." + quote(c.Name)
	}
	return "(SELECT row_to_json(r.*) FROM (SELECT " + strings.Join(columns, ", ") + ") AS r)::text"
}

// is is the condition that t is the row whose key is the first parameters.
func (e *Entity) is() string {
	parts := make([]string, len(e.Key))
	for i, c := range e.Key {
		parts[i] = "t." + quote(c.Name) + " = " + c.cast(fmt.Sprintf("$%d", i+1))
	}
	return strings.Join(parts, " AND ")
}

// cast turns a parameter that is sent as text into a value of a key column. A cast to varchar(3) would cut the text, so it stays a text.
func (c Column) cast(parameter string) string {
	text := "CAST(" + parameter + " AS pg_catalog.text)"
	switch {
	case c.Shape.Kind == Integer:
		return fmt.Sprintf("CAST(%s AS pg_catalog.int%d)", text, c.Shape.Bits/8)
	case c.Shape.Format == "uuid":
		return "CAST(" + text + " AS pg_catalog.uuid)"
	default:
		return text
	}
}

// loadSQL reads rows by their keys. Its parameters are one array of texts for each column of the key; the first column returned counts them from 1.
func (e *Entity) loadSQL() string {
	var arrays, aliases, on []string
	for i, c := range e.Key {
		arrays = append(arrays, fmt.Sprintf("CAST($%d AS pg_catalog.text[])", i+1))
		aliases = append(aliases, fmt.Sprintf("k%d", i+1))
		on = append(on, "t."+quote(c.Name)+" = "+c.cast(fmt.Sprintf("k.k%d", i+1)))
	}
	return fmt.Sprintf("SELECT k.n, %s FROM unnest(%s) WITH ORDINALITY AS k (%s, n) JOIN %s AS t ON %s", e.json(), strings.Join(arrays, ", "),
		strings.Join(aliases, ", "), e.Table.Sanitize(), strings.Join(on, " AND "))
}

// Load reads the rows of these cache keys, as reader.Config.Load wants it.
func (e *Entity) Load(ctx context.Context, db outbox.DB, keys []string) (map[string][]byte, error) {
	columns := make([][]string, len(e.Key))
	for _, key := range keys {
		id, ok := e.template.parse(key)
		if !ok {
			return nil, fmt.Errorf("the key %q is none of %s", key, e.Name)
		}
		for i := range columns {
			columns[i] = append(columns[i], id[i])
		}
	}
	args := make([]any, len(columns))
	for i := range columns {
		args[i] = columns[i]
	}
	rows, err := db.Query(ctx, e.load, args...)
	if err != nil {
		return nil, fmt.Errorf("reading rows of %s: %w", e.Name, err)
	}
	found := make(map[string][]byte, len(keys))
	var n int
	var payload string
	if _, err = pgx.ForEachRow(rows, []any{&n, &payload}, func() error {
		found[keys[n-1]] = []byte(payload)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading rows of %s: %w", e.Name, err)
	}
	return found, nil
}

// Put makes the row, or replaces all that is exposed of it and can be written: what the body does not name gets its default.
func (e *Entity) Put(id []string, row Row) Statement {
	return e.insert(id, row, "DO UPDATE SET "+e.assignments(row, "EXCLUDED."))
}

// Create makes the row, and returns nothing if it is there.
func (e *Entity) Create(id []string, row Row) Statement { return e.insert(id, row, "DO NOTHING") }

func (e *Entity) insert(id []string, row Row, conflict string) Statement {
	var columns, values, key []string
	for i, c := range e.Key {
		key = append(key, quote(c.Name))
		values = append(values, c.cast(fmt.Sprintf("$%d", i+1)))
	}
	columns = slices.Clone(key)
	for _, c := range row.columns {
		columns, values = append(columns, quote(c.Name)), append(values, "v."+quote(c.Name))
	}
	sql := fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT %s", e.Table.Sanitize(), strings.Join(columns, ", "), strings.Join(values, ", "))
	if from := e.from(row); from != "" {
		sql += " FROM " + from
	}
	return e.statement(sql+" ON CONFLICT ("+strings.Join(key, ", ")+") "+conflict+" RETURNING "+e.json(), id, row)
}

// Replace is Put for a row that must be there.
func (e *Entity) Replace(id []string, row Row) Statement {
	return e.update(id, row, e.assignments(row, "v."))
}

// Patch writes the columns that the body names.
func (e *Entity) Patch(id []string, row Row) Statement {
	var set []string
	for _, c := range row.columns {
		set = append(set, quote(c.Name)+" = v."+quote(c.Name))
	}
	return e.update(id, row, strings.Join(set, ", "))
}

func (e *Entity) update(id []string, row Row, set string) Statement {
	sql := fmt.Sprintf("UPDATE %s AS t SET %s", e.Table.Sanitize(), set)
	if from := e.from(row); from != "" {
		sql += " FROM " + from
	}
	return e.statement(sql+" WHERE "+e.is()+" RETURNING "+e.json(), id, row)
}

// Delete deletes the row.
func (e *Entity) Delete(id []string) Statement {
	return e.statement(fmt.Sprintf("DELETE FROM %s AS t WHERE %s RETURNING ''", e.Table.Sanitize(), e.is()), id, Row{})
}

// assignments sets every column that can be written: those of the row to what source has, the others to their defaults.
func (e *Entity) assignments(row Row, source string) string {
	var set []string
	for _, c := range e.Columns[len(e.Key):] {
		switch {
		case row.has(c.Name):
			set = append(set, quote(c.Name)+" = "+source+quote(c.Name))
		case !c.ReadOnly:
			set = append(set, quote(c.Name)+" = DEFAULT")
		}
	}
	if set == nil { // there is nothing but the key, and nothing to change
		key := quote(e.Key[0].Name)
		return key + " = t." + key
	}
	return strings.Join(set, ", ")
}

// from makes the row's columns out of the parameter after the key's.
func (e *Entity) from(row Row) string {
	if len(row.columns) == 0 {
		return ""
	}
	types := make([]string, len(row.columns))
	for i, c := range row.columns {
		types[i] = quote(c.Name) + " " + c.Type
	}
	return fmt.Sprintf("json_to_record(CAST(CAST($%d AS pg_catalog.text) AS pg_catalog.json)) AS v (%s)", len(e.Key)+1, strings.Join(types, ", "))
}

func (e *Entity) statement(sql string, id []string, row Row) Statement {
	s := Statement{SQL: sql}
	for _, part := range id {
		s.Args = append(s.Args, part)
	}
	if len(row.columns) > 0 {
		s.Args = append(s.Args, row.json)
	}
	return s
}
