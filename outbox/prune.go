package outbox

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/drawn.sql
	drawnSQL string
	//go:embed sql/epoch.sql
	epochSQL string
	//go:embed sql/floor.sql
	floorSQL string
	//go:embed sql/prune.sql
	pruneSQL string
	//go:embed sql/forget_epochs.sql
	forgetEpochsSQL string
)

// prunePage is how many keys one statement of Prune looks at.
const prunePage = 10_000

// Prune forgets the versions of keys whose last write is older than keep, the longest TTL in use, and returns how many it
// forgot. db must not be a transaction. It may stop at any point and run in several processes.
//
// A load of a forgotten key is labelled with the floor instead. That is right only if no transaction that could still
// commit holds a version at or below the floor, else its change would lose against the older value that was loaded. So the
// floor goes only to a mark (an epoch) whose every transaction has ended, by Postgres's own account of running transactions
// and by no clock; a transaction that stays open merely delays it.
func Prune(ctx context.Context, db DB, keep time.Duration) (int64, error) {
	if err := markEpoch(ctx, db); err != nil {
		return 0, err
	}
	var floor int64
	err := db.QueryRow(ctx, floorText, keep).Scan(&floor)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, wrap("raising the floor", err)
	}
	total, err := pruneTo(ctx, db, floor)
	if err != nil {
		return total, err
	}
	_, err = db.Exec(ctx, forgetEpochsSQL, floor, keep)
	return total, wrap("forgetting epochs", err)
}

// markEpoch reads the highest version drawn and only then takes an xid, so that every transaction which drew such a
// version, having had its xid before it drew, has a lower one.
func markEpoch(ctx context.Context, db DB) error {
	var drawn int64
	if err := db.QueryRow(ctx, drawnSQL).Scan(&drawn); err != nil {
		return wrap("reading the highest version", err)
	}
	_, err := db.Exec(ctx, epochSQL, drawn)
	return wrap("marking an epoch", err)
}

func pruneTo(ctx context.Context, db DB, floor int64) (int64, error) {
	var total int64
	after := ""
	for {
		var last *string
		var gone int64
		if err := db.QueryRow(ctx, pruneSQL, after, prunePage, floor).Scan(&last, &gone); err != nil {
			return total, wrap("pruning versions", err)
		}
		total += gone
		if last == nil {
			return total, nil
		}
		after = *last
	}
}
