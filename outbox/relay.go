package outbox

import (
	"context"
	_ "embed"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/hasten.sql
	hastenSQL string
	//go:embed sql/read.sql
	readSQL string
	//go:embed sql/retire.sql
	retireSQL string
	//go:embed sql/release.sql
	releaseSQL string
	//go:embed sql/set_aside.sql
	setAsideSQL string
)

// NudgeSubject is where writers tell relays of records that wait: a JSON array of versions.
const NudgeSubject = "tidelock.nudge"

// Claim is a record that a relay has taken.
type Claim struct {
	Version int64
	Key     string
	// Allocate: its value is to be stored also where the cache holds none, which needs a ticket.
	Allocate bool
	Size     int // of the payload, bytes
}

// Take claims up to limit due records for the length of lease: nobody else gets them until then. Of each key it keeps
// the latest and retires the rest. It returns the claims, and how many records it looked at: limit means there may be more.
func Take(ctx context.Context, db DB, limit int, lease time.Duration) ([]Claim, int, error) {
	rows, err := db.Query(ctx, claimSQL, limit, lease)
	if err != nil {
		return nil, 0, wrap("claiming records", err)
	}
	var claims []Claim
	var c Claim
	var superseded bool
	seen := 0
	_, err = pgx.ForEachRow(rows, []any{&c.Version, &c.Key, &c.Allocate, &c.Size, &superseded}, func() error {
		seen++
		if !superseded {
			claims = append(claims, c)
		}
		return nil
	})
	return claims, seen, wrap("claiming records", err)
}

// Hasten makes records due now: their writer knows that its own try has failed.
func Hasten(ctx context.Context, db DB, versions []int64) error {
	_, err := db.Exec(ctx, hastenSQL, sorted(versions))
	return wrap("hastening records", err)
}

// Read returns those of the records that are still there, each with the word whether it is superseded. A consumer calls it
// after it has taken its tickets: this read is what makes the fill of an empty entry safe.
func Read(ctx context.Context, db DB, versions []int64) ([]Record, error) {
	rows, err := db.Query(ctx, readSQL, versions)
	if err != nil {
		return nil, wrap("reading records", err)
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Record, error) {
		var r Record
		var ttl int64
		err := row.Scan(&r.Version, &r.Key, &r.Kind, &r.Payload, &ttl, &r.Allocate, &r.Attempts, &r.Superseded)
		r.TTL = time.Duration(ttl) * time.Millisecond
		return r, err
	})
	return records, wrap("reading records", err)
}

// Retire deletes records. Call it only for what is settled in the cache, or superseded by a committed version.
func Retire(ctx context.Context, db DB, versions []int64) error {
	_, err := db.Exec(ctx, retireSQL, sorted(versions))
	return wrap("retiring records", err)
}

// Release gives claimed records back; they are due again after the delay.
func Release(ctx context.Context, db DB, versions []int64, after time.Duration) error {
	_, err := db.Exec(ctx, releaseSQL, sorted(versions), after)
	return wrap("releasing records", err)
}

// SetAside keeps records, by version with the reason for each, out of the relays' way until an operator retries them. Call it only for
// what is settled in the cache.
func SetAside(ctx context.Context, db DB, reasons map[int64]string) error {
	var versions []int64
	var texts []string
	for _, version := range slices.Sorted(maps.Keys(reasons)) {
		versions, texts = append(versions, version), append(texts, reasons[version])
	}
	_, err := db.Exec(ctx, setAsideSQL, versions, texts)
	return wrap("setting records aside", err)
}
