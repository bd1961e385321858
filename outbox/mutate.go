package outbox

import "github.com/tidelock-cache/tidelock/internal/mutant"

// The statements that run: those of the files, less a rule in a mutants build.
var (
	lockText   = mutate(lockSQL, `ORDER BY k.key COLLATE "C"`)
	recordText = mutate(recordSQL, `ORDER BY change.key COLLATE "C"`)
	floorText  = mutateFloor(floorSQL)
)

func mutate(sql, order string) string {
	sql = mutant.Text("version-after-lock", sql, "SET version = nextval('tidelock.version_seq')", "SET version = excluded.version")
	sql = mutant.Text("durable-commit", sql, "= 'off'", "= 'never'")
	return mutant.Text("sorted-locks", sql, order, "")
}

func mutateFloor(sql string) string {
	sql = mutant.Text("floor-by-xid", sql, "WHERE at < clock_timestamp() - $1::interval AND xid <= pg_snapshot_xmin(pg_current_snapshot())),", "WHERE at < clock_timestamp() - $1::interval),")
	return mutant.Text("floor-below-pending", sql, "(SELECT min(version) - 1 FROM tidelock.outbox WHERE aside IS NULL)", "NULL")
}
