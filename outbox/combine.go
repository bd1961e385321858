package outbox

import (
	_ "embed"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/one.sql
var oneSQL string

// appendText records what is given as its parameter $9.
var appendText = oneOf("VALUES ($9::bytea)", "put.tidelock_payload")

func oneOf(statement, payload string) string {
	return strings.NewReplacer("%statement%", statement, "%payload%", payload).Replace(oneText)
}

// appendOne is Append of one record.
func appendOne(b *pgx.Batch, r *Record, grace time.Duration, strict Strict) {
	args := []any{r.Key, string(r.Kind), math.MaxInt32, r.ttl(), r.Allocate, grace, strict.generation, nil, r.payload()}
	b.Queue(appendText, args...).QueryRow(func(row pgx.Row) error {
		return wrap("recording changes", row.Scan(&r.Version))
	})
}
