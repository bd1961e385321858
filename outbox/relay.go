package outbox

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

var (
	//go:embed sql/claim_due.sql
	claimDueSQL string
	//go:embed sql/claim_named.sql
	claimNamedSQL string
	//go:embed sql/claim.sql
	claimSQL string
	//go:embed sql/read.sql
	readSQL string
	//go:embed sql/retire.sql
	retireSQL string
	//go:embed sql/lost.sql
	lostSQL string
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
	// Unknown: it has no value, which is to be loaded.
	Unknown bool
	Size    int // of the payload, bytes
}

// Place is how far a walk through what is due has come. The zero Place is its beginning.
type Place struct {
	due     time.Time
	version int64
}

// Taken is what a claim found.
type Taken struct {
	// Claims are the records that are their key's latest. Nobody else gets them until their lease ends.
	Claims []Claim
	// Seen is how many records were looked at. The rest of them is superseded; it is deleted once the key's latest is settled.
	Seen int
	// Deleted is how many of them were.
	Deleted int
	// Drawn is the latest version that anybody had drawn by then, committed or not; 0 if nothing was looked at.
	Drawn int64
	// Next is where the walk goes on.
	Next Place
}

// Take claims for the length of lease what is their key's latest of up to limit due records, from a place of a walk on that goes from
// the newest to the oldest, or, with a window, to those that have been due for as long as that. Seen is limit if there may be more.
func Take(ctx context.Context, db DB, from Place, window time.Duration, limit int, lease time.Duration) (Taken, error) {
	due := pgtype.Timestamptz{Time: from.due, Valid: true}
	if from == (Place{}) {
		due.InfinityModifier = pgtype.Infinity
	}
	var most *time.Duration
	if window > 0 {
		most = &window
	}
	rows, err := db.Query(ctx, claimDueText, planned, limit, lease, due, from.version, most)
	return collectClaims(rows, err)
}

// TakeNamed claims these records, whether they are due or not: their writer knows that its own try has failed. Those that a relay has
// already are left to it.
func TakeNamed(ctx context.Context, db DB, versions []int64, lease time.Duration) (Taken, error) {
	rows, err := db.Query(ctx, claimNamedText, planned, sorted(versions), lease)
	return collectClaims(rows, err)
}

// planned has Postgres plan a statement each time for the tables as they are. A plan that was kept from when the outbox was empty would read
// all of it once it has a million records.
const planned = pgx.QueryExecModeCacheDescribe

// steadily runs a statement that looks each row up by an index, with a plan that is kept: to make one costs more than to run it. It must not be one for an outbox that
// was empty when it was made. In a transaction it would be those of the rest, too, so db must be none.
func steadily(ctx context.Context, db DB, sql string, args []any, each func(pgx.Rows) error) error {
	var b pgx.Batch
	b.Queue(`SELECT set_config(name, 'off', true) FROM unnest('{enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,jit}'::text[]) name`)
	b.Queue(sql, args...).Query(each)
	return db.SendBatch(ctx, &b).Close()
}

func collectClaims(rows pgx.Rows, err error) (t Taken, _ error) {
	if err != nil {
		return t, wrap("claiming records", err)
	}
	var c Claim
	var key *string
	var due *time.Time
	var deleted int
	var drawn int64
	_, err = pgx.ForEachRow(rows, []any{&c.Version, &key, &c.Allocate, &c.Unknown, &c.Size, &due, &deleted, &drawn}, func() error {
		if key == nil {
			t.Deleted, t.Drawn = deleted, drawn
			t.Seen, t.Next = c.Size, Place{due: *due, version: c.Version}
			return nil
		}
		c.Key = *key
		t.Claims = append(t.Claims, c)
		return nil
	})
	return t, wrap("claiming records", err)
}

// Read returns those of the records that are still there, each with the word whether it is superseded. A consumer calls it
// after it has taken its tickets: this read is what makes the fill of an empty entry safe.
func Read(ctx context.Context, db DB, versions []int64) ([]Record, error) {
	records := make([]Record, 0, len(versions))
	err := steadily(ctx, db, readSQL, []any{versions}, func(rows pgx.Rows) error {
		var err error
		records, err = pgx.AppendRows(records, rows, func(row pgx.CollectableRow) (Record, error) {
			var r Record
			var ttl int64
			err := row.Scan(&r.Version, &r.Key, &r.Kind, &r.Payload, &ttl, &r.Allocate, &r.Attempts, &r.Superseded, &r.Trace)
			r.TTL = time.Duration(ttl) * time.Millisecond
			return r, err
		})
		return err
	})
	return records, wrap("reading records", err)
}

// Settled is a record that has come to rest in the cache.
type Settled struct {
	Key     string
	Version int64
	// Server is the run id of the server that said so. What it says counts only while that server is on record.
	Server string
	Reason string // for SetAside: why it can never be stored
}

// AgeBounds divide records by their age, in seconds.
var AgeBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}

// Retired is what Retire has deleted.
type Retired struct {
	Records int64
	// Ages counts the records by their age, from right before their commit until they were retired: those below each of AgeBounds and not below the one before
	// it, and then the rest. It goes by Postgres's clock.
	Ages []int64
	// Seconds is how old they were together.
	Seconds float64
}

// Retire deletes records that are settled on the server on record, and returns what it has deleted. The others keep their records, and a relay
// settles them again on the right server.
func Retire(ctx context.Context, db DB, settled []Settled) (Retired, error) {
	versions, keys, servers, _ := columnsOfSettled(settled)
	done := Retired{Ages: make([]int64, len(AgeBounds)+1)}
	err := steadily(ctx, db, retireText, []any{versions, keys, servers, AgeBounds}, func(rows pgx.Rows) error {
		var class int
		var n int64
		var seconds float64
		_, err := pgx.ForEachRow(rows, []any{&class, &n, &seconds}, func() error {
			done.Records += n
			done.Ages[class] += n
			done.Seconds += max(0, seconds) // a clock may be set back
			return nil
		})
		return err
	})
	return done, wrap("retiring records", err)
}

// Lost returns those of these changes that Postgres has lost, in a failover to a standby that lagged: whoever brought one to the cache
// must take it away again.
func Lost(ctx context.Context, db DB, settled []Settled) ([]Settled, error) {
	keys, versions := make([]string, len(settled)), make([]int64, len(settled))
	for i, s := range settled {
		keys[i], versions[i] = s.Key, s.Version
	}
	rows, err := db.Query(ctx, lostSQL, planned, keys, versions)
	if err != nil {
		return nil, wrap("looking for lost changes", err)
	}
	lost, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Settled, err error) {
		return s, row.Scan(&s.Key, &s.Version)
	})
	return lost, wrap("looking for lost changes", err)
}

// Recall has drop take away the keys of those of these changes that Postgres has lost. An error leaves the rest as it is.
func Recall(ctx context.Context, db DB, settled []Settled, drop func(ctx context.Context, key string) error) error {
	lost, err := Lost(ctx, db, settled)
	for _, s := range lost {
		if err := drop(ctx, s.Key); err != nil {
			return fmt.Errorf("recalling lost changes: %w", err)
		}
	}
	return err
}

func columnsOfSettled(settled []Settled) (versions []int64, keys, servers, reasons []string) {
	for _, s := range slices.SortedFunc(slices.Values(settled), func(a, b Settled) int { return cmp.Compare(a.Version, b.Version) }) {
		versions, keys = append(versions, s.Version), append(keys, s.Key)
		servers, reasons = append(servers, s.Server), append(reasons, s.Reason)
	}
	return versions, keys, servers, reasons
}

// Release gives claimed records back; they are due again after the delay.
func Release(ctx context.Context, db DB, versions []int64, after time.Duration) error {
	_, err := db.Exec(ctx, releaseSQL, planned, sorted(versions), after)
	return wrap("releasing records", err)
}

// SetAside keeps records out of the relays' way until an operator retries them, each with its Reason. Call it only for what is settled in
// the cache; like Retire it passes over what was settled on another server than the one on record.
func SetAside(ctx context.Context, db DB, settled []Settled) error {
	versions, keys, servers, reasons := columnsOfSettled(settled)
	_, err := db.Exec(ctx, setAsideText, planned, versions, keys, servers, reasons)
	return wrap("setting records aside", err)
}
