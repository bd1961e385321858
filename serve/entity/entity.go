package entity

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// Entity is the rows of one table, as far as they can be reached.
type Entity struct {
	// Name is the entity's place in paths.
	Name string
	// About describes it to people.
	About string
	// Table is its schema and name.
	Table pgx.Identifier
	// Key is the columns that identify a row, in the order of paths.
	Key []Column
	// Columns are all that are exposed, those of the key first.
	Columns []Column
	// TTL and AbsentTTL are how long the cache keeps a row, and that there is none. 0 means the reader's and the writer's default.
	TTL, AbsentTTL time.Duration
	// OnRead leaves a row that is written to its first reader, if the cache does not hold it.
	OnRead bool
	// Strict says that its keys have linearizable reads.
	Strict bool
	// Insert says that PUT makes rows that are not there.
	Insert bool
	// AfterTriggers is how many triggers of the table run after its statements, and might change rows again.
	AfterTriggers int

	methods  []string
	template template
	load     string
}

// Allows reports whether the entity has a method: get, put, patch or delete.
func (e *Entity) Allows(method string) bool { return slices.Contains(e.methods, method) }

// Methods lists what Allows allows.
func (e *Entity) Methods() []string { return e.methods }

// Prefix is what all cache keys of the entity begin with.
func (e *Entity) Prefix() string { return e.template.prefix() }

// CacheKey returns the key of a row. The id must come from ID.
func (e *Entity) CacheKey(id []string) string { return e.template.key(id) }

// KeySQL is CacheKey in SQL, as an expression over a row r of the table.
func (e *Entity) KeySQL() string { return e.template.sql(names(e.Key)) }

// Has reports whether a cache key is that of a row, which may not exist.
func (e *Entity) Has(key string) bool {
	id, ok := e.template.parse(key)
	if !ok {
		return false
	}
	_, err := e.ID(id)
	return err == nil && e.CacheKey(id) == key
}

// ID checks the values of the key columns and returns them in the one spelling that Postgres has for them, an *IDError for what names no row. To take several
// spellings would be to give one row several cache keys, of which a write would set one.
func (e *Entity) ID(parts []string) ([]string, error) {
	if len(parts) != len(e.Key) {
		return nil, &IDError{fmt.Sprintf("the key of %s has %d columns (%s), not %d", e.Name, len(e.Key), strings.Join(names(e.Key), ", "), len(parts))}
	}
	id := make([]string, len(parts))
	for i, part := range parts {
		value, reason := e.Key[i].canonical(part)
		if reason != "" {
			return nil, &IDError{fmt.Sprintf("%s: %s", e.Key[i].Name, reason)}
		}
		id[i] = value
	}
	if err := cache.CheckKey(e.CacheKey(id)); err != nil {
		wrong, _ := errors.AsType[*cache.KeyError](err)
		return nil, &IDError{wrong.Reason}
	}
	return id, nil
}

// canonical returns the spelling of a key column's value, or why it is none.
func (c Column) canonical(text string) (value, reason string) {
	switch {
	case mutant.On("one-spelling"):
		return text, ""
	case c.Shape.Kind == Integer:
		n, err := strconv.ParseInt(text, 10, c.Shape.Bits)
		if err != nil || strconv.FormatInt(n, 10) != text {
			return "", fmt.Sprintf("want a whole number of %d bits, without leading zeros or a plus", c.Shape.Bits)
		}
		return text, ""
	case c.Shape.Format == "uuid":
		if !uuidForm.MatchString(text) {
			return "", "want a UUID such as 0191d1f2-7a5c-7c3e-8000-2f6d3a0b9c11"
		}
		return strings.ToLower(text), ""
	case text == "":
		return "", "it is empty"
	default:
		return text, ""
	}
}

func names(columns []Column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return list
}
