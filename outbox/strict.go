package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// ErrStrictChanged says that the strict prefixes have changed since the writer has read them. The transaction is lost; read them again (ReadStrict) and
// run it again.
var ErrStrictChanged = errors.New("the strict prefixes have changed")

// Strict is which keys are strict, and whether any table is attached, as it stood when it was read. The zero Strict is that of a database where no prefix was
// ever declared and no table attached.
type Strict struct {
	generation int64
	prefixes   []string
	attached   bool
	format     int
}

// ReadStrict returns which keys are strict. db must not be a transaction: the generation is read first, and the prefixes must be at least as new.
func ReadStrict(ctx context.Context, db DB) (s Strict, err error) {
	if err := db.QueryRow(ctx, `SELECT last_value - 1 FROM tidelock.strict_generation`).Scan(&s.generation); err != nil {
		return s, wrap("reading the strict prefixes", err)
	}
	err = db.QueryRow(ctx, `SELECT ARRAY(SELECT prefix FROM tidelock.strict), EXISTS (SELECT 1 FROM tidelock.attached), (SELECT format FROM tidelock.format)`).
		Scan(&s.prefixes, &s.attached, &s.format)
	return s, wrap("reading the strict prefixes", err)
}

// Same reports whether nothing has changed between two readings.
func (s Strict) Same(o Strict) bool { return s.generation == o.generation }

// Has reports whether a key is strict.
func (s Strict) Has(key string) bool { return HasPrefix(s.prefixes, key) }

// Format is that of the entries (see Format).
func (s Strict) Format() int { return s.format }

// HasPrefix reports whether one of the prefixes begins the key.
func HasPrefix(prefixes []string, key string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

// StrictPrefix is a prefix whose keys are strict.
type StrictPrefix struct {
	// ID is that of the declaration.
	ID     int64
	Prefix string
	// Since is when it came into force, nil while it has not: writers see to it already, but strict reads are refused.
	Since *time.Time
	// Leaving: strict reads are refused by now, or within a lease's length.
	Leaving bool
	// Announced: every writer has been told. Ended: every transaction that may have overlooked it has ended.
	Announced, Ended bool
}

// StrictPrefixes lists the prefixes declared.
func StrictPrefixes(ctx context.Context, db DB) ([]StrictPrefix, error) {
	rows, err := db.Query(ctx, `SELECT id, prefix, since, leaving, ended_by IS NOT NULL, coalesce(ended_by <= pg_snapshot_xmin(pg_current_snapshot()), false)
		FROM tidelock.strict ORDER BY prefix`)
	if err != nil {
		return nil, wrap("listing the strict prefixes", err)
	}
	prefixes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StrictPrefix])
	return prefixes, wrap("listing the strict prefixes", err)
}

// DeclareStrict makes all keys that begin with prefix strict; an empty one means every key. Writers see to it from their next write on, and refuse it if they
// have no leases. It comes into force once every transaction that was under way has ended, and what those have written is settled: see StrictPrefix.Since.
func DeclareStrict(ctx context.Context, db DB, prefix string) error {
	_, err := db.Exec(ctx, `INSERT INTO tidelock.strict (prefix) VALUES ($1)
		ON CONFLICT (prefix) DO UPDATE SET id = DEFAULT, ended_by = NULL, since = NULL, leaving = false WHERE strict.leaving`, prefix)
	return wrap("declaring a strict prefix", err)
}

// RetractStrict takes a declaration back, and reports whether there was one. Strict reads of its keys are refused at once, or within a lease's length; after
// that writers forget it.
func RetractStrict(ctx context.Context, db DB, prefix string) (bool, error) {
	tag, err := db.Exec(ctx, `UPDATE tidelock.strict SET leaving = true WHERE prefix = $1`, prefix)
	return tag.RowsAffected() == 1, wrap("retracting a strict prefix", err)
}

// AnnounceStrict has every writer read the strict prefixes anew, and notes which transactions may still not have: those with a lower xid than its own second
// statement, for whoever has gone by the old ones had an xid before. db must not be a transaction.
func AnnounceStrict(ctx context.Context, db DB, declarations []int64) error {
	if err := nextGeneration(ctx, db); err != nil {
		return err
	}
	sql := `UPDATE tidelock.strict SET ended_by = pg_current_xact_id() WHERE id = ANY ($1) AND ended_by IS NULL`
	sql = mutant.Text("strict-ended", sql, "pg_current_xact_id()", "pg_snapshot_xmin(pg_current_snapshot())")
	_, err := db.Exec(ctx, sql, declarations)
	return wrap("announcing strict prefixes", err)
}

// nextGeneration draws by chance: after a failover of Postgres a number that follows on the last could be one that was in use.
func nextGeneration(ctx context.Context, db DB) error {
	_, err := db.Exec(ctx, `SELECT setval('tidelock.strict_generation', $1)`, 2+rand.Int64N(1<<62))
	return wrap("announcing strict prefixes", err)
}

// EnforceStrict notes that declarations are in force.
func EnforceStrict(ctx context.Context, db DB, declarations []int64) error {
	_, err := db.Exec(ctx, `UPDATE tidelock.strict SET since = clock_timestamp() WHERE id = ANY ($1) AND since IS NULL AND NOT leaving`, declarations)
	return wrap("enforcing strict prefixes", err)
}

// ForgetStrict deletes declarations that are leaving, once no lease names their prefixes.
func ForgetStrict(ctx context.Context, db DB, declarations []int64) error {
	tag, err := db.Exec(ctx, `DELETE FROM tidelock.strict WHERE id = ANY ($1) AND leaving`, declarations)
	if err != nil || tag.RowsAffected() == 0 {
		return wrap("forgetting strict prefixes", err)
	}
	return nextGeneration(ctx, db)
}
