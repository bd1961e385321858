package outbox

import (
	"context"
	_ "embed"
	"time"
)

// LeaseSubject begins the NATS subject on which the guardian of a database is asked for leases; the database's name (Office.Database) follows.
const LeaseSubject = "tidelock.lease."

//go:embed sql/trust.sql
var trustSQL string

// Trust is whether the cache may be believed, as the guardian has written it down: the phase is one of package lease.
type Trust struct {
	Phase  string
	Since  time.Time
	Reason string // why it could not the last time
}

// WriteTrust writes down whether the cache may be believed, and reports whether it stands: it does not once the office's term is over.
func WriteTrust(ctx context.Context, db DB, o Office, phase, reason string) (bool, error) {
	tag, err := db.Exec(ctx, trustSQL, phase, reason, o.Term, o.Holder)
	return tag.RowsAffected() == 1, wrap("writing down the trust in the cache", err)
}

// ReadTrust returns what the last guardian has written down. It says nothing of the present unless a guardian holds the office.
func ReadTrust(ctx context.Context, db DB) (t Trust, err error) {
	err = db.QueryRow(ctx, `SELECT trust, trust_since, trust_reason FROM tidelock.guardian`).Scan(&t.Phase, &t.Since, &t.Reason)
	return t, wrap("reading the trust in the cache", err)
}
