package outbox

import (
	"context"
	_ "embed"
	"time"
)

// LeaseSubject begins the NATS subject on which the guardian of a database is asked for leases; the database's name (Office.Database) follows.
const LeaseSubject = "tidelock.lease."

// SettleSubject begins the NATS subject on which the guardian of a database is asked to settle versions; the database's name follows.
const SettleSubject = "tidelock.settle."

//go:embed sql/trust.sql
var trustSQL string

// Trust is whether the cache may be believed, as the guardian has written it down: the phase is one of package lease.
type Trust struct {
	Phase  string
	Since  time.Time
	Reason string // why it could not the last time
}

// WriteTrust writes down whether the cache may be believed, and reports whether it stands: it does not once the office's term is over, nor if a statement with
// this number or a higher one has come before. A guardian gives each the next number, also when it tries one again: the first may still be under way.
func WriteTrust(ctx context.Context, db DB, o Office, number int64, phase, reason string) (bool, error) {
	tag, err := db.Exec(ctx, trustText, phase, reason, o.Term, o.Holder, number)
	return tag.RowsAffected() == 1, wrap("writing down the trust in the cache", err)
}

// ReadTrust returns what the last guardian has written down. It says nothing of the present unless a guardian holds the office.
func ReadTrust(ctx context.Context, db DB) (t Trust, err error) {
	err = db.QueryRow(ctx, `SELECT trust, trust_since, trust_reason FROM tidelock.guardian`).Scan(&t.Phase, &t.Since, &t.Reason)
	return t, wrap("reading the trust in the cache", err)
}

// Row is the guardian's office as its row shows it, for those who cannot reach the guardian.
type Row struct {
	Term  int64
	Until string        // by Postgres's clock: another one whenever the office was kept
	Lasts time.Duration // how long it was taken for
	// Suspended: whoever reads it may count on nobody's trusting the cache for the length of a lease.
	Suspended bool
	// Suspensions counts how often it was written down that the cache is suspended. Who has seen it rise knows that nobody trusted it in between, and that
	// everything that was committed before will be settled before anybody does.
	Suspensions int64
}

// ReadRow returns the office's row.
func ReadRow(ctx context.Context, db DB) (r Row, err error) {
	err = db.QueryRow(ctx, `SELECT term, until::text, lasts, trust = 'suspended', suspensions FROM tidelock.guardian`).
		Scan(&r.Term, &r.Until, &r.Lasts, &r.Suspended, &r.Suspensions)
	return r, wrap("reading the guardian's office", err)
}

// CallGuardian asks the guardian, by way of Postgres, to distrust the cache: for somebody who can settle nothing and cannot reach it otherwise.
func CallGuardian(ctx context.Context, db DB) error {
	_, err := db.Exec(ctx, `SELECT nextval('tidelock.calls')`)
	return wrap("calling the guardian", err)
}
