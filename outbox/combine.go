package outbox

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

//go:embed sql/put.sql
var putSQL string

// Combined is a statement that changes a row, together with the one that records it: one round trip less. Make it with Combine.
type Combined struct {
	// SQL has the parameters of the statement, and those of Args after them.
	SQL  string
	kind Kind
}

// Combine returns the two in one, for a statement with so many parameters whose first column has the type payload, the oid of which is 0 for a kind other than Set. It
// returns nothing for a type that is not text, varchar, json, jsonb or bytea. Not every statement can be a part of another one: Postgres refuses to prepare those.
func Combine(statement string, parameters int, kind Kind, payload uint32) (Combined, bool) {
	bytes, least := "convert_to(payload::text, 'UTF8')", "{limit}::int + 1" // no payload is one that must be looked at
	switch {
	case kind != Set:
		bytes, least = "NULL::bytea", "0"
	case payload == pgtype.ByteaOID:
		bytes = "payload"
	case payload != pgtype.TextOID && payload != pgtype.VarcharOID && payload != pgtype.JSONOID && payload != pgtype.JSONBOID:
		return Combined{}, false
	}
	names := []string{"{payload}", bytes, "{least}", least, "{kind}", "'" + string(kind) + "'"}
	for i, name := range []string{"{key}", "{ttl}", "{allocate}", "{grace}", "{generation}", "{limit}", "{trace}"} {
		names = append(names, name, fmt.Sprintf("$%d", parameters+i+1))
	}
	before, after, _ := strings.Cut(putText, "{put}")
	fill := strings.NewReplacer(names...)
	return Combined{SQL: before + statement + fill.Replace(fill.Replace(after)), kind: kind}, true
}

// Queue queues the statement with its own arguments, and those of the record, whose Version and Payload are there once its result has been read with Take. limit is the most
// bytes that a payload may have. The batch fails with ErrStrictChanged as with Append, and with any other error of a statement where that, by itself, would say why.
func (c Combined) Queue(b *pgx.Batch, args []any, r Record, limit int, grace time.Duration, strict Strict) {
	all := append(append(make([]any, 0, len(args)+7), args...), r.Key, r.ttl(), r.Allocate, grace, strict.generation, limit, r.Trace)
	b.Queue(c.SQL, all...)
}

// Take reads the result.
func (c Combined) Take(row pgx.Row, r *Record) error {
	return row.Scan(&r.Version, &r.Payload)
}
