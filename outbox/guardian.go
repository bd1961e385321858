package outbox

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/office.sql
	officeSQL string
	//go:embed sql/resign.sql
	resignSQL string
	//go:embed sql/horizon.sql
	horizonSQL string
	//go:embed sql/servers.sql
	serversSQL string
	//go:embed sql/register.sql
	registerSQL string
	//go:embed sql/repaired.sql
	repairedSQL string
	//go:embed sql/looked_at.sql
	lookedAtSQL string
	//go:embed sql/unlist.sql
	unlistSQL string
	//go:embed sql/moved.sql
	movedSQL string
	//go:embed sql/left_at.sql
	leftAtSQL string
	//go:embed sql/changed.sql
	changedSQL string
	//go:embed sql/keep_horizon.sql
	keepHorizonSQL string
	//go:embed sql/since.sql
	sinceSQL string
	//go:embed sql/office_status.sql
	officeStatusSQL string
)

// Office is the guardian's: one relay holds it at a time, for a term. What a holder writes down is refused once its term is over.
type Office struct {
	Term   int64
	Holder string
	// Origin is where the history began that the guardian's row belongs to, and Here where the one did that the database is of. They
	// differ after the promotion of a standby, or a restore. History is the name of the former.
	Origin, Here, History string
	// NextXid is above every xid that has ended, and Drawn the highest version that was drawn; both of the moment.
	NextXid, Drawn int64
	// Database is unlike that of any other database.
	Database string
	// Calls counts the calls for help: see CallGuardian.
	Calls int64
	// Former is how long its last holder had taken the office for, and may count it as its own.
	Former time.Duration
	// TrustNo is the number of the last statement about the trust: see WriteTrust.
	TrustNo int64
}

// Server is the server that the cache is, or one shard of it, as it stands on record.
type Server struct {
	Shard, RunID, ReplID string
	Since                time.Time
	// RepairFrom and DropAbove say what of its entries is in doubt: those of keys changed by a transaction from RepairFrom on, and
	// those with a version above DropAbove. Both nil: nothing.
	RepairFrom, DropAbove *int64
	// Doubts tells one doubt from the next: it rises whenever something comes to be in doubt.
	Doubts   int64
	Looked   int64      // keys looked at by the repair under way, or the last one
	Repaired *time.Time // when the last repair ended
}

// Doubt reports whether some of the server's entries may be wrong.
func (s Server) Doubt() bool { return s.RepairFrom != nil || s.DropAbove != nil }

// TakeOffice takes or keeps the guardian's office for holder, for the length of lease by Postgres's clock. held is false while somebody
// else holds it.
func TakeOffice(ctx context.Context, db DB, holder string, lease time.Duration) (o Office, held bool, err error) {
	if err := db.QueryRow(ctx, drawnSQL).Scan(&o.Drawn); err != nil {
		return o, false, wrap("reading the highest version", err)
	}
	o.Holder = holder
	err = db.QueryRow(ctx, officeText, holder, lease, o.Drawn).Scan(&o.Term, &o.Origin, &o.Here, &o.History, &o.NextXid, &o.Database, &o.Calls, &o.Former, &o.TrustNo)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	return o, err == nil, wrap("taking the guardian's office", err)
}

// Resign gives the office up, so that the next guardian need not wait for the lease to end.
func Resign(ctx context.Context, db DB, holder string) error {
	_, err := db.Exec(ctx, resignSQL, holder)
	return wrap("resigning", err)
}

// Mark is how far everything is settled: every transaction of this history below the xid has ended, and is.
type Mark struct {
	History string
	Xid     int64
	// Lowest is the lowest version of a record that waits, nil when none does.
	Lowest *int64
}

// Horizon returns how far everything is settled, and the servers on record, both of one snapshot. With much pending it takes a while, unless that is as far as last,
// which was read before; the zero Mark stands for none.
func Horizon(ctx context.Context, db DB, last Mark) (Mark, []Server, error) {
	rows, err := db.Query(ctx, horizonText, planned, last.History, last.Xid)
	if err != nil {
		return Mark{}, nil, wrap("reading the horizon", err)
	}
	var m Mark
	var servers []Server
	var shard, run, repl *string
	var since *time.Time
	var doubts, looked *int64
	s := new(Server)
	_, err = pgx.ForEachRow(rows, []any{&m.Xid, &m.History, &m.Lowest, &shard, &run, &repl, &since, &s.RepairFrom, &s.DropAbove, &doubts, &looked, &s.Repaired}, func() error {
		if shard != nil {
			s.Shard, s.RunID, s.ReplID, s.Since, s.Doubts, s.Looked = *shard, *run, *repl, *since, *doubts, *looked
			servers = append(servers, *s)
		}
		*s = Server{}
		return nil
	})
	return m, servers, wrap("reading the horizon", err)
}

// Servers returns the servers on record.
func Servers(ctx context.Context, db DB) ([]Server, error) {
	rows, err := db.Query(ctx, serversSQL)
	if err != nil {
		return nil, wrap("reading the servers on record", err)
	}
	servers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Server])
	return servers, wrap("reading the servers on record", err)
}

// Register puts a server on record, with what of its entries is in doubt. It does nothing once the office's term is over.
func Register(ctx context.Context, db DB, o Office, s Server) error {
	_, err := db.Exec(ctx, registerSQL, s.Shard, s.RunID, s.ReplID, s.RepairFrom, s.DropAbove, o.Term, o.Holder)
	return wrap("putting a server on record", err)
}

// Repaired says that what was in doubt of a server is in doubt no more. It does nothing when the server on record is another one by
// now, or when something has come to be in doubt since.
func Repaired(ctx context.Context, db DB, s Server) error {
	_, err := db.Exec(ctx, repairedText, s.Shard, s.RunID, s.Doubts)
	return wrap("ending a repair", err)
}

// Looked tells whoever watches how many keys a repair has looked at.
func Looked(ctx context.Context, db DB, s Server, keys int64) error {
	_, err := db.Exec(ctx, lookedAtSQL, s.Shard, s.RunID, keys)
	return wrap("noting a repair's progress", err)
}

// Unlist forgets the servers of shards other than these.
func Unlist(ctx context.Context, db DB, o Office, shards []string) error {
	_, err := db.Exec(ctx, unlistSQL, shards, o.Term, o.Holder)
	return wrap("forgetting servers", err)
}

// Moved takes note that the database is of another history than the guardian's row says: the versions that the lost history may have drawn
// are in doubt in every server, and the sequence jumps past them. With the name of a foreign history, which was never this database's, all
// versions are. It does nothing once the office's term is over, or when it was noted already.
func Moved(ctx context.Context, db DB, o Office, foreign string) error {
	_, err := db.Exec(ctx, movedText, o.Term, o.Holder, o.History, o.Here, foreign)
	return wrap("noting the database's new history", err)
}

// Left reports whether the database was once of this history.
func Left(ctx context.Context, db DB, history string) (left bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM tidelock.histories WHERE history = $1)`, history).Scan(&left)
	return left, wrap("reading the database's histories", err)
}

// LeftAt returns the lowest version in doubt of a server that was last marked while the database was of this history, empty
// for no mark: nil when no version is.
func LeftAt(ctx context.Context, db DB, history string) (*int64, error) {
	var version *int64
	err := db.QueryRow(ctx, leftAtSQL, history).Scan(&version)
	return version, wrap("reading the database's histories", err)
}

// Changed calls each with the keys, and their versions, whose latest change is of a transaction from xid on, in pages. It holds a
// snapshot while it runs.
func Changed(ctx context.Context, db DB, xid int64, page int, each func(map[string]int64) error) error {
	rows, err := db.Query(ctx, changedSQL, xid)
	if err != nil {
		return wrap("reading changed keys", err)
	}
	versions := make(map[string]int64, page)
	var key string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&key, &version}, func() error {
		versions[key] = version
		if len(versions) < page {
			return nil
		}
		full := versions
		versions = make(map[string]int64, page)
		return each(full)
	})
	if err != nil {
		return wrap("reading changed keys", err)
	}
	if len(versions) == 0 {
		return nil
	}
	return each(versions)
}

// KeepHorizon remembers where the horizon stood, at most once a minute, for the length of keep.
func KeepHorizon(ctx context.Context, db DB, m Mark, keep time.Duration) error {
	_, err := db.Exec(ctx, keepHorizonSQL, m.Xid, m.History, keep)
	return wrap("keeping the horizon", err)
}

// Since returns the xid below which every transaction was settled by the time at, and false when that is not known.
func Since(ctx context.Context, db DB, at time.Time) (int64, bool, error) {
	var xid *int64
	if err := db.QueryRow(ctx, sinceSQL, at).Scan(&xid); err != nil || xid == nil {
		return 0, false, wrap("reading past horizons", err)
	}
	return *xid, true, nil
}

// Guardian returns the office as it stands, and whether somebody holds it at the moment.
func Guardian(ctx context.Context, db DB) (o Office, held bool, err error) {
	err = db.QueryRow(ctx, officeStatusSQL).Scan(&o.Term, &o.Holder, &held, &o.Origin, &o.History, &o.Database)
	return o, held, wrap("reading the guardian's office", err)
}
