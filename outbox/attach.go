package outbox

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	//go:embed sql/attach.sql
	attachSQL      string
	attachTemplate = template.Must(template.New("attach").Parse(attachText))
	//go:embed sql/relations.sql
	relationsSQL string
)

// attachedMax is how long an entity's name may be that goes into the names of triggers.
const attachedMax = 40

// ErrStrictOrAttached says that keys would be strict and of an attached table. Strict reads are promised what nobody waits for on behalf of psql.
var ErrStrictOrAttached = errors.New("keys cannot be both strict and of an attached table")

// ErrTableBusy says that a lock could not be had within the time given: mostly that of the table, which transactions keep that are open.
var ErrTableBusy = errors.New("the table is in use by transactions that are open: end them, or wait for longer")

// Attachment says which keys the rows of a table are.
type Attachment struct {
	// Entity is its name, at most 40 bytes.
	Entity string
	Table  pgx.Identifier
	// Prefix is what all of the keys begin with.
	Prefix string
	// Key is the SQL of the key of a row r, of type text. No two rows should have one key.
	Key string
	// TTL is that of the records. Default 1 h.
	TTL time.Duration
	// Allocate has relays that can load rows store them also where the cache holds none.
	Allocate bool
}

// Attached is a table whose changes are recorded whoever makes them.
type Attached struct {
	Entity string
	// Table is its name, quoted, or its oid if it is gone. Name is what it was called when it was attached.
	Table, Name string
	Prefix      string
	Since       time.Time
	// Missing are the tables, it or partitions, whose triggers are missing or disabled: what is written to them directly goes unrecorded.
	Missing []string
	// Gone: it was dropped.
	Gone bool
}

// Beginner begins transactions: a *pgxpool.Pool or a *pgx.Conn.
type Beginner interface {
	DB
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Attach has Postgres record what every statement changes of a table's rows, whoever sends it, as an invalidation of its key: by triggers on the table and on
// its partitions. DDL that changes rows, and logical replication into the table, fire none. To attach again brings the triggers up to date, with new partitions, say. It waits for the transactions that are writing to the table, and keeps others
// from it meanwhile; ErrTableBusy says that it had to wait for longer than wait (at least 1 ms), and did nothing. ErrStrictOrAttached says that a prefix is strict that the
// keys have, or may have. The role must own the table, and have the rights of the one that migrated.
func Attach(ctx context.Context, db Beginner, a Attachment, wait time.Duration) error {
	if len(a.Entity) > attachedMax {
		return fmt.Errorf("attaching %q: the name has %d bytes, and must have no more than %d to go into those of triggers", a.Entity, len(a.Entity), attachedMax)
	}
	if strings.Contains(a.Key, "$tidelock$") || strings.Contains(a.Key, "$from$") { // what quotes it
		return fmt.Errorf("attaching %q: a column of the key has $tidelock$ or $from$ in its name, which cannot be attached", a.Entity)
	}
	return changeAttached(ctx, db, fmt.Sprintf("attaching %q", a.Entity), wait, func(tx pgx.Tx) error { return attach(ctx, tx, a) })
}

// changeAttached changes what is attached in a transaction that waits for no lock longer than that, and has the writers hear of it.
func changeAttached(ctx context.Context, db Beginner, doing string, wait time.Duration, do func(tx pgx.Tx) error) error {
	err := pgx.BeginTxFunc(ctx, db, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(max(wait.Milliseconds(), 1))); err != nil {
			return err
		}
		return do(tx)
	})
	if err != nil {
		return wrap(doing, busy(err))
	}
	return wrap("telling the writers", nextGeneration(ctx, db))
}

func attach(ctx context.Context, tx pgx.Tx, a Attachment) error {
	// With its partitions, from the top down as everybody locks them, before they are listed.
	if _, err := tx.Exec(ctx, "LOCK TABLE "+a.Table.Sanitize()+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	var other string
	err := tx.QueryRow(ctx, `SELECT entity FROM tidelock.attached WHERE relation = $2::text::regclass AND entity <> $1 LIMIT 1`, a.Entity, a.Table.Sanitize()).Scan(&other)
	if !errors.Is(err, pgx.ErrNoRows) {
		return cmp.Or(err, fmt.Errorf("its table is attached as %q: detach that first", other))
	}
	tag, err := tx.Exec(ctx, `DELETE FROM tidelock.attached WHERE entity = $1 AND relation <> $2::text::regclass`, a.Entity, a.Table.Sanitize())
	if err != nil {
		return err
	}
	if tag.RowsAffected() > 0 { // the triggers are another table's
		if err := dropTriggers(ctx, tx, a.Entity); err != nil {
			return err
		}
	}
	var oid uint32
	if err := tx.QueryRow(ctx, `INSERT INTO tidelock.attached (entity, relation, name, prefix) VALUES ($1, $2::text::regclass, $2::text::regclass::text, $3)
		ON CONFLICT (entity) DO UPDATE SET relation = excluded.relation, name = excluded.name, prefix = excluded.prefix RETURNING relation::oid`, a.Entity, a.Table.Sanitize(), a.Prefix).Scan(&oid); err != nil {
		return err
	}
	relations, err := relationsOf(ctx, tx, oid, a.Entity)
	if err != nil {
		return err
	}
	var sql strings.Builder
	if err := attachTemplate.Execute(&sql, struct {
		Function, Key string
		Trigger       func(event string) string
		TTL           int64
		Allocate      bool
		Relations     []relation
	}{attachedFunction(a.Entity), a.Key, a.trigger, Record{TTL: cmp.Or(a.TTL, time.Hour)}.ttl(), a.Allocate, relations}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sql.String()); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("SELECT %s FROM %s r LIMIT 0", a.Key, a.Table.Sanitize())) // nothing else has looked at it yet
	return err
}

// trigger is the name of a trigger on an event.
func (a Attachment) trigger(event string) string {
	return pgx.Identifier{"tidelock " + a.Entity + " " + event}.Sanitize()
}

// attachedFunction is the name of an entity's trigger function.
func attachedFunction(entity string) string {
	return pgx.Identifier{"tidelock", "attached " + entity}.Sanitize()
}

// busy explains that a lock could not be had in time.
func busy(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" {
		return fmt.Errorf("%w (%w)", ErrTableBusy, err)
	}
	return err
}

// dropTriggers drops an entity's function, and with it the triggers that call it.
func dropTriggers(ctx context.Context, tx pgx.Tx, entity string) error {
	_, err := tx.Exec(ctx, "DROP FUNCTION IF EXISTS "+attachedFunction(entity)+"() CASCADE")
	return err
}

// relation is a table or a partition. Rows: it has rows of its own.
type relation struct {
	OID     uint32
	Name    string
	Rows    bool
	Missing int // triggers
}

// Events are what it needs triggers on: TRUNCATE is of those alone that have rows.
func (r relation) Events() []string {
	events := []string{"insert", "update", "delete", "truncate"}
	if !r.Rows {
		return events[:3]
	}
	return events
}

func relationsOf(ctx context.Context, db DB, oid uint32, entity string) ([]relation, error) {
	rows, err := db.Query(ctx, relationsSQL, oid, attachedFunction(entity))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
}

// Detach has Postgres no longer record the changes of an entity's table, and reports whether it did. It needs the table for a moment; ErrTableBusy says that
// it had to wait for longer than wait. What is recorded already is settled as ever.
func Detach(ctx context.Context, db Beginner, entity string, wait time.Duration) (was bool, err error) {
	err = changeAttached(ctx, db, fmt.Sprintf("detaching %q", entity), wait, func(tx pgx.Tx) error {
		if err := dropTriggers(ctx, tx, entity); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `DELETE FROM tidelock.attached WHERE entity = $1`, entity)
		was = tag.RowsAffected() == 1
		return err
	})
	return was && err == nil, err
}

// AttachedTables lists the tables that are attached.
func AttachedTables(ctx context.Context, db DB) ([]Attached, error) {
	rows, err := db.Query(ctx, `SELECT a.entity, a.relation::oid, a.relation::text, a.name, a.prefix, a.since, c.oid IS NULL
		FROM tidelock.attached a LEFT JOIN pg_catalog.pg_class c ON c.oid = a.relation ORDER BY a.entity`)
	if err != nil {
		return nil, wrap("listing attached tables", err)
	}
	var oids []uint32
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Attached, err error) {
		var oid uint32
		err = row.Scan(&a.Entity, &oid, &a.Table, &a.Name, &a.Prefix, &a.Since, &a.Gone)
		oids = append(oids, oid)
		return a, err
	})
	if err != nil {
		return nil, wrap("listing attached tables", err)
	}
	for i := range list {
		relations, err := relationsOf(ctx, db, oids[i], list[i].Entity)
		if err != nil {
			return nil, wrap("listing attached tables", err)
		}
		for _, r := range relations {
			if r.Missing > 0 {
				list[i].Missing = append(list[i].Missing, r.Name)
			}
		}
	}
	return list, nil
}
