// Package outbox keeps, in Postgres, what has been committed but has perhaps not reached the cache: a record for each
// change, and for each key the version of its latest change. It guarantees that a record exists from the commit until
// it is retired, and that for one key the order of the versions is the order of the commits. It knows Postgres alone.
//
// Every function is one statement on the connection, pool or transaction that it is given, bounded by ctx, and returns
// the driver's error wrapped; with Postgres down nothing is lost, and each may be repeated. ErrNoSchema says that the
// schema is missing.
//
// The idea is the transactional outbox (Chris Richardson, microservices.io); a claim is FOR UPDATE SKIP LOCKED.
package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DB is what the functions need of a *pgxpool.Pool, a *pgx.Conn or a pgx.Tx.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// ErrNoSchema says that the database has no schema tidelock, or an older one.
var ErrNoSchema = errors.New(`the schema "tidelock" is missing or out of date: run "tidelock migrate up" against this database`)

// Kind says what a transaction did to a key.
type Kind string

const (
	// Set gave it a value.
	Set Kind = "set"
	// Absent deleted its row.
	Absent Kind = "absent"
	// Invalidate changed it in a way that the transaction does not know: load it.
	Invalidate Kind = "invalidate"
)

// Record is one change of one key.
type Record struct {
	Version  int64 // given by Postgres
	Key      string
	Kind     Kind
	Payload  []byte // with Set alone
	TTL      time.Duration
	Allocate bool // store the value also where the cache holds none
	// Omit has the record written as one that invalidates, without its payload: a relay then settles it without its value. Records of attached tables are
	// written whole all the same.
	Omit     bool
	Attempts int // how often a relay has claimed it
	// Superseded: a newer version of the key is committed; the payload was not read.
	Superseded bool
	// Trace is the trace that the record is a part of, as W3C's traceparent; empty for none. It is kept as it is.
	Trace string
}

var (
	//go:embed sql/lock.sql
	lockSQL string
	//go:embed sql/insert.sql
	insertSQL string
	//go:embed sql/one.sql
	oneSQL string
	//go:embed sql/record.sql
	recordSQL string
	//go:embed sql/record_attached.sql
	recordAttachedSQL string
	//go:embed sql/record_all.sql
	recordAllSQL string
	//go:embed sql/behind.sql
	behindSQL string
	//go:embed sql/latest.sql
	latestSQL string
)

// Locked is what Lock has locked.
type Locked struct {
	versions map[string]int64
	behind   []int64         // records that triggers have written for the same keys
	again    map[string]bool // of those the keys whose rows have changed once more since
}

// Lock takes the row lock of each key, in sorted order, and draws its next version. A payload that is computed from rows
// which the transaction did not lock must be computed after it. db must be a transaction; keys must be distinct. ErrStrictChanged says that strict
// is out of date.
func Lock(ctx context.Context, db DB, keys []string, strict Strict) (l Locked, err error) {
	if strict.attached {
		rows, err := db.Query(ctx, behindSQL, planned, keys)
		if err != nil {
			return l, wrap("locking keys", err)
		}
		if err := l.takeBehind(rows); err != nil {
			return l, wrap("locking keys", err)
		}
	}
	rows, err := db.Query(ctx, lockText, keys, strict.generation)
	l.versions, err = collectVersions(rows, err)
	return l, wrap("locking keys", err)
}

func (l *Locked) takeBehind(rows pgx.Rows) error {
	l.again = make(map[string]bool)
	var version int64
	var key string
	var again bool
	_, err := pgx.ForEachRow(rows, []any{&version, &key, &again}, func() error {
		l.behind, l.again[key] = append(l.behind, version), again
		return nil
	})
	return err
}

// Outdated reports whether a payload that was read before the lock may be older than the row: its table is attached, and the transaction changed the row more than once.
func (l Locked) Outdated(key string) bool { return l.again[key] }

// Version is that of a key.
func (l Locked) Version(key string) int64 { return l.versions[key] }

// Insert gives the records of keys locked before their versions, and queues the statements that write them. A record is
// due after grace, unless the writer has retired it by then.
func (l Locked) Insert(b *pgx.Batch, records []Record, grace time.Duration) {
	for i := range records {
		records[i].Version = l.versions[records[i].Key]
	}
	if len(l.behind) > 0 {
		b.Queue(`DELETE FROM tidelock.outbox WHERE version = ANY ($1)`, l.behind)
	}
	c := columnsOf(records, true)
	b.Queue(insertSQL, c.versions, c.keys, c.kinds, c.payloads, c.ttls, c.allocate, grace, c.traces)
}

// Append queues the one statement that locks the records' keys in sorted order, draws their versions, and writes them.
// It must be the last statement of the transaction. The versions stand in the records once the batch's results have been
// read. Keys must be distinct. The batch fails with ErrStrictChanged, which Explain finds, if strict is out of date. A record of an attached table whose row was
// changed more than once in the transaction becomes an invalidation.
func Append(b *pgx.Batch, records []Record, grace time.Duration, strict Strict) {
	if len(records) == 1 && !strict.attached {
		appendOne(b, &records[0], grace, strict)
		return
	}
	c, text := columnsOf(records, !strict.attached), recordText
	if strict.attached {
		text = recordAttachedText
	}
	b.Queue(text, c.keys, c.kinds, c.payloads, c.ttls, c.allocate, grace, strict.generation, c.traces).Query(func(rows pgx.Rows) error {
		return wrap("recording changes", takeRecorded(rows, records, c.kinds))
	})
}

// takeRecorded reads what was recorded, and which of the kinds that were to be written have come to be another one.
func takeRecorded(rows pgx.Rows, records []Record, kinds []string) error {
	of := make(map[string]int, len(records))
	for i, r := range records {
		of[r.Key] = i
	}
	var recorded Record
	_, err := pgx.ForEachRow(rows, []any{&recorded.Key, &recorded.Version, &recorded.Kind}, func() error {
		i := of[recorded.Key]
		records[i].Version = recorded.Version
		if string(recorded.Kind) != kinds[i] {
			records[i].Kind, records[i].Payload = recorded.Kind, nil
		}
		return nil
	})
	return err
}

// appendOne is Append of one record.
func appendOne(b *pgx.Batch, r *Record, grace time.Duration, strict Strict) {
	kind, payload := r.written(true)
	b.Queue(oneText, r.Key, string(kind), payload, r.ttl(), r.Allocate, grace, strict.generation, r.Trace).QueryRow(func(row pgx.Row) error {
		return wrap("recording changes", row.Scan(&r.Version))
	})
}

// Latest returns the latest committed version of each key that has one.
func Latest(ctx context.Context, db DB, keys []string) (map[string]int64, error) {
	rows, err := db.Query(ctx, latestSQL, keys)
	versions, err := collectVersions(rows, err)
	if err != nil {
		return nil, wrap("reading versions", err)
	}
	return versions, nil
}

// Check returns ErrNoSchema unless the schema is there, as new as this build needs it.
func Check(ctx context.Context, db DB) error {
	var called bool
	err := db.QueryRow(ctx, `SELECT pg_sequence_last_value('tidelock.strict_generation') IS NOT NULL
		WHERE NOT EXISTS (SELECT one FROM tidelock.floor WHERE false) AND NOT EXISTS (SELECT 1 FROM tidelock.attached WHERE false) AND NOT EXISTS (SELECT part FROM tidelock.outbox WHERE false)`, planned).Scan(&called)
	if err != nil && strings.Contains(err.Error(), "disabled description cache") {
		return fmt.Errorf("the pool has description_cache_capacity=0: leave it at its default, for some statements are described once and planned each time: %w", err)
	}
	if err == nil && !called { // each write would be told that the strict prefixes have changed
		err = fmt.Errorf("%w (its tenth version)", ErrNoSchema)
	}
	return wrap("checking the schema", err)
}

func collectVersions(rows pgx.Rows, err error) (map[string]int64, error) {
	if err != nil {
		return nil, err
	}
	versions := make(map[string]int64)
	var key string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&key, &version}, func() error {
		versions[key] = version
		return nil
	})
	return versions, err
}

// columns are records turned on their side, for unnest.
type columns struct {
	versions []int64
	keys     []string
	kinds    []string
	payloads [][]byte
	ttls     []int64
	allocate []bool
	traces   []string // nil if no record has one
}

// columnsOf leaves out the payloads that are to be omitted, if that is wanted.
func columnsOf(records []Record, omit bool) columns {
	var c columns
	if slices.ContainsFunc(records, func(r Record) bool { return r.Trace != "" }) {
		c.traces = make([]string, 0, len(records))
	}
	for _, r := range records {
		c.versions = append(c.versions, r.Version)
		c.keys = append(c.keys, r.Key)
		kind, payload := r.written(omit)
		c.kinds = append(c.kinds, string(kind))
		c.payloads = append(c.payloads, payload)
		c.ttls = append(c.ttls, r.ttl())
		c.allocate = append(c.allocate, r.Allocate)
		if c.traces != nil {
			c.traces = append(c.traces, r.Trace)
		}
	}
	return c
}

// written returns what Postgres gets to see of the record.
func (r Record) written(omit bool) (Kind, []byte) {
	switch {
	case r.Kind == Set && r.Omit && omit:
		return Invalidate, nil
	case r.Kind != Set:
		return r.Kind, nil
	case r.Payload == nil:
		return Set, []byte{} // an empty value is a value
	default:
		return Set, r.Payload
	}
}

func (r Record) ttl() int64 { return max(r.TTL.Milliseconds(), 1) }

// wrap is the one place where the driver's errors become ours.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, Explain(err))
}

// Explain adds ErrNoSchema or ErrStrictChanged to an error that means it. It is for whoever sends a batch that Append or Insert has queued statements in:
// such a statement fails as part of the batch.
func Explain(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok || errors.Is(err, ErrNoSchema) || errors.Is(err, ErrStrictChanged) || errors.Is(err, ErrStrictOrAttached):
		return err
	case e.Code == "3F000" || e.Code == "42P01" || e.Code == "42703":
		return fmt.Errorf("%w (%w)", ErrNoSchema, err)
	case e.Code == "TL001":
		return fmt.Errorf("%w (%w)", ErrStrictChanged, err)
	case e.Code == "TL002":
		return fmt.Errorf("%w: %s (%w)", ErrStrictOrAttached, e.Message, err)
	default:
		return err
	}
}

// sorted keeps the order in which rows are locked the same for everyone.
func sorted(versions []int64) []int64 { return slices.Sorted(slices.Values(versions)) }
