package outbox

import (
	"context"
	_ "embed"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/page.sql
	pageSQL string
	//go:embed sql/look.sql
	lookSQL string
	//go:embed sql/late.sql
	lateSQL string
)

// KeyVersion is a key and its latest version.
type KeyVersion struct {
	Key     string
	Version int64
}

// Sample says which keys Page returns: the zero Sample all of them.
type Sample struct {
	// Since leaves out keys whose latest change is of a transaction below this xid.
	Since int64
	// Share is the share of the keys to take, from 0 to 1; 0 stands for 1. Seed picks them: one seed, one choice.
	Share float64
	Seed  int64
}

// Page returns up to limit keys in order, from the first one after a key: begin with "". It holds no snapshot from one page to the next.
func Page(ctx context.Context, db DB, after string, s Sample, limit int) ([]KeyVersion, error) {
	share := s.Share
	if share == 0 {
		share = 1
	}
	rows, err := db.Query(ctx, pageSQL, after, s.Since, share, s.Seed, limit)
	if err != nil {
		return nil, wrap("reading keys", err)
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[KeyVersion])
	return page, wrap("reading keys", err)
}

// State is how a key stands in Postgres.
type State struct {
	// Version is its latest, 0 for a key that has none: it was never written through Tidelock, or long ago.
	Version int64
	// Waits: the cache may be behind, and it is known: a record of the key waits or was set aside, or a server is being repaired.
	Waits bool
}

// Look returns the states of all these keys, of one snapshot.
func Look(ctx context.Context, db DB, keys []string) (map[string]State, error) {
	rows, err := db.Query(ctx, lookSQL, keys)
	if err != nil {
		return nil, wrap("reading keys' states", err)
	}
	states := make(map[string]State, len(keys))
	var key string
	var version *int64
	var waits bool
	_, err = pgx.ForEachRow(rows, []any{&key, &version, &waits}, func() error {
		s := State{Waits: waits}
		if version != nil {
			s.Version = *version
		}
		states[key] = s
		return nil
	})
	return states, wrap("reading keys' states", err)
}

// Late is what LateRecords finds.
type Late struct {
	At     time.Time // by Postgres's clock
	Drawn  int64     // the highest version drawn
	Counts []int64   // records, by age
}

// LateRecords counts the records that have come to each of these ages since a moment and still wait, of those with a version above one.
func LateRecords(ctx context.Context, db DB, ages []time.Duration, since time.Time, above int64) (l Late, err error) {
	seconds := make([]float64, len(ages))
	for i, age := range ages {
		seconds[i] = age.Seconds()
	}
	err = db.QueryRow(ctx, lateSQL, seconds, since, above).Scan(&l.At, &l.Drawn, &l.Counts)
	return l, wrap("counting late records", err)
}
