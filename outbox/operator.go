package outbox

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/stats.sql
	statsSQL string
	//go:embed sql/list.sql
	listSQL string
	//go:embed sql/retry.sql
	retrySQL string
)

// Stats is how much waits in the outbox.
type Stats struct {
	Pending int64         // committed, not yet known to be settled
	Oldest  time.Duration // the age of the oldest pending record, by Postgres's clock
	Aside   int64         // set aside for the operator
}

// Count returns the outbox's Stats. It reads the whole table, which is small unless the cache is down.
func Count(ctx context.Context, db DB) (Stats, error) {
	var s Stats
	var oldest float64
	err := db.QueryRow(ctx, statsSQL).Scan(&s.Pending, &oldest, &s.Aside)
	s.Oldest = time.Duration(oldest * float64(time.Second))
	return s, wrap("counting records", err)
}

// Item is a record as an operator sees it.
type Item struct {
	Version  int64
	Key      string
	Kind     Kind
	Size     int // of the payload, bytes
	Created  time.Time
	Due      time.Time
	Attempts int
	Aside    string // why it was set aside; empty while it is pending
}

// Filter narrows List. The zero Filter lists everything.
type Filter struct {
	Key   string
	Aside *bool
}

// List returns up to limit records, oldest first.
func List(ctx context.Context, db DB, f Filter, limit int) ([]Item, error) {
	var key *string
	if f.Key != "" {
		key = &f.Key
	}
	rows, err := db.Query(ctx, listSQL, key, f.Aside, limit)
	if err != nil {
		return nil, wrap("listing records", err)
	}
	items, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Item])
	return items, wrap("listing records", err)
}

// Retry puts records that were set aside back in line, all of them when no version is named, and returns how many.
func Retry(ctx context.Context, db DB, versions ...int64) (int64, error) {
	tag, err := db.Exec(ctx, retrySQL, versions)
	return tag.RowsAffected(), wrap("retrying records", err)
}
