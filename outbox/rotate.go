package outbox

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/parts.sql
	partsSQL string
	//go:embed sql/carry.sql
	carrySQL string
	//go:embed sql/clear.sql
	clearSQL string
)

const (
	// carryMost is how many records are carried over at once, and carryShare the share of a part that their payloads may be together. Where more are left somebody
	// is at work on them, or the next part would soon be full of them.
	carryMost, carryShare = 1000, 4
	// waitMost is how many records may wait in a part that is left behind. A backlog stays in one: each look for a version is made in every part that has any.
	waitMost = 10_000
	// lookMost is how many times larger than it should be a part may be that is looked through while nobody else can use it. A larger one is left to vacuum.
	lookMost = 16
)

// ErrNoPart says that new records go to a part that has grown large, for no other is free. What is deleted from it waits for vacuum.
var ErrNoPart = errors.New("no part of the outbox is free to go on to: records wait in all of them, or transactions that have used one go on")

// part is one of the tables that the outbox consists of.
type part struct {
	N       int
	Current bool  // new records go there
	Pages   int64 // bytes of the table by itself
	Bytes   int64 // and of the large payloads that are kept beside it
}

// Rotate empties the parts of the outbox that new records no longer go to, and has them go to the next once the present one is larger than most, in bytes without
// indexes, unless much waits in it. So what is deleted costs no vacuum, and does not stay while an old transaction is open, which a vacuum would have to wait for. The few records left in a
// part are carried over to the present one. A part that many wait in, or that somebody's transaction has used and may yet look at, is left as it is, and nobody
// waits for it. Call it about once a second; it may run in several processes and stop at any point. db must not be a transaction, and its role needs TRUNCATE on the
// parts and UPDATE on the sequence part. Its errors are ErrNoPart and Postgres's.
//
// The idea is PgQ's (Marko Kreen, Skype), which rotates three tables.
func Rotate(ctx context.Context, db DB, most int64) error {
	rows, err := db.Query(ctx, partsSQL, planned)
	if err != nil {
		return wrap("reading the outbox's parts", err)
	}
	parts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[part])
	if err != nil {
		return wrap("reading the outbox's parts", err)
	}
	full := false
	for _, p := range parts {
		switch {
		case p.Current:
			if p.Bytes <= most {
				continue
			}
			var waits int
			if err := db.QueryRow(ctx, `SELECT count(*) FROM (SELECT 1 FROM tidelock.outbox WHERE part = $1 LIMIT $2) w`, planned, p.N, waitMost).Scan(&waits); err != nil {
				return wrap("counting what waits in a part of the outbox", err)
			}
			full = waits < waitMost
		case p.Pages > 0 && p.Pages <= lookMost*most:
			if err := clearPart(ctx, db, p.N, most); err != nil {
				return wrap("emptying a part of the outbox", err)
			}
		}
	}
	if !full {
		return nil
	}
	next := slices.IndexFunc(parts, func(p part) bool { return !p.Current && p.Pages == 0 })
	if next < 0 {
		return ErrNoPart
	}
	_, err = db.Exec(ctx, `SELECT setval('tidelock.part', $1)`, parts[next].N)
	return wrap("going on to the next part of the outbox", err)
}

// clearPart empties a part if nothing is left in it, and carries over what is. It does not do both at once: a snapshot that was taken before the one and looks after
// the other would see the records nowhere, and there are some that are taken before their statement has a lock.
func clearPart(ctx context.Context, db DB, n int, most int64) error {
	carried, err := db.Exec(ctx, carrySQL, planned, n, carryMost, most/carryShare)
	if err != nil || carried.RowsAffected() > 0 {
		return err
	}
	var left bool
	if err := db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM tidelock.outbox WHERE part = $1)`, planned, n).Scan(&left); err != nil || left {
		return err
	}
	_, err = db.Exec(ctx, strings.ReplaceAll(clearText, "PART", strconv.Itoa(n)))
	return err
}
