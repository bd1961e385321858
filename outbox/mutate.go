package outbox

import "github.com/tidelock-cache/tidelock/internal/mutant"

// The statements that run: those of the files, less a rule in a mutants build.
var (
	lockText           = mutateOrder(mutate(lockSQL), `ORDER BY k.key COLLATE "C"`)
	recordAllText      = mutateOrder(mutate(recordAllSQL), `ORDER BY change.key COLLATE "C"`)
	recordText         = recordSQL + recordAllText
	recordAttachedText = mutateAttached(recordAttachedSQL) + recordAllText
	oneText            = mutate(oneSQL)
	floorText          = mutateFloor(floorSQL)
	// Those of the guardian.
	officeText     = mutant.Text("safe-version-by-xid", officeSQL, "pg_snapshot_xmin(pg_current_snapshot()) AS xmin", "'9223372036854775807'::xid8 AS xmin")
	repairedText   = mutant.Text("repair-of-one-doubt", repairedSQL, "AND doubts = $3", "AND $3 > 0")
	horizonText    = mutateHorizon(horizonSQL)
	movedText      = mutateMoved(movedSQL)
	claimDueText   = claimDueSQL + mutateClaim(claimSQL)
	claimNamedText = claimNamedSQL + mutateClaim(claimSQL)
	trustText      = mutant.Text("trust-in-order", trustSQL, "AND trust_no < $5", "AND $5 > 0")
	attachText     = mutateAttach(attachSQL)
	clearText      = mutateClear(clearSQL)
	retireText     = mutateOnRecord(retireSQL)
	setAsideText   = mutateOnRecord(setAsideSQL)
)

func mutate(sql string) string {
	sql = mutant.Text("version-after-lock", sql, "SET version = nextval('tidelock.version_seq')", "SET version = excluded.version")
	sql = mutant.Text("durable-commit", sql, "= 'off'", "= 'never'")
	return mutant.Text("strict-declared", sql, "THEN tidelock.strict_changed() END", "THEN NULL END")
}

func mutateOrder(sql, order string) string { return mutant.Text("sorted-locks", sql, order, "") }

func mutateAttached(sql string) string {
	return mutant.Text("attached-again", sql, "ON b.key = c.key", "ON false")
}

func mutateAttach(sql string) string {
	sql = mutant.Text("attached-old-keys", sql, `"old_rows r UNION " $key `, "")
	return mutant.Text("attached-truncate-sees-all", sql, "NOT IN ('read committed', 'read uncommitted')", "= ''")
}

// mutateClear looks before the part is ours: TRUNCATE waits for whoever has written to it.
func mutateClear(sql string) string {
	const lock = "LOCK TABLE tidelock.outbox_PART IN ACCESS EXCLUSIVE MODE NOWAIT;"
	return mutant.Text("part-looked-at-when-ours", mutant.Text("part-looked-at-when-ours", sql, lock, ""), "lock_timeout = '5ms'", "lock_timeout = 0")
}

func mutateFloor(sql string) string {
	sql = mutant.Text("floor-by-xid", sql, "WHERE at < clock_timestamp() - $1::interval AND xid <= pg_snapshot_xmin(pg_current_snapshot())),", "WHERE at < clock_timestamp() - $1::interval),")
	return mutant.Text("floor-below-pending", sql, "(SELECT min(version) - 1 FROM tidelock.outbox WHERE aside IS NULL)", "NULL")
}

func mutateClaim(sql string) string {
	return mutant.Text("superseded-waits", sql, "(latest NOT IN (SELECT version FROM waits)) IS NOT FALSE", "true")
}

func mutateHorizon(sql string) string {
	sql = mutant.Text("horizon-by-xmin", sql, "pg_snapshot_xmin(pg_current_snapshot())", "pg_snapshot_xmax(pg_current_snapshot())")
	sql = mutant.Text("horizon-below-mark", sql, "g.mark_xid,", "")
	sql = mutant.Text("horizon-still-least", sql, "first.xid = $2::bigint::text::xid8", "$2::bigint >= 0")
	return mutant.Text("horizon-below-pending", sql, "WHERE o.aside IS NULL", "WHERE false")
}

func mutateMoved(sql string) string {
	sql = mutant.Text("sequence-jump", sql, "s.last_value + 4294967296", "s.last_value")
	return mutant.Text("drop-newer", sql, "least(s.drop_above, office.safe_version)", "s.drop_above")
}

// mutateOnRecord also gives way to the mutants that retire what no server has settled: they would be refused here.
func mutateOnRecord(sql string) string {
	sql = mutant.Text("retire-by-key", sql, " AND o.key = r.key", "")
	const check = "AND (r.server IN (SELECT run_id FROM tidelock.servers) OR NOT EXISTS (SELECT 1 FROM tidelock.servers))"
	for _, rule := range []string{"retire-after-settled", "relay-retire-after-settled", "settle-on-replica"} {
		if mutant.On(rule) {
			return mutant.Text(rule, sql, check, "")
		}
	}
	return mutant.Text("retire-on-record", sql, check, "")
}
