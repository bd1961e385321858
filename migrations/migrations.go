// Package migrations holds the schema `tidelock` and brings a database to it. Every function is safe to run twice and
// from several processes at once: a session lock in Postgres lets one work and the others wait. With Postgres down all
// fail with the driver's error and change nothing; each migration is one transaction.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// table keeps the versions of the schema beside what they describe.
const table = "tidelock.schema_version"

// lockSeconds is how long one who migrates waits for another. The lock is asked for once a second.
const lockSeconds = 300

// Status is one migration and when it was applied: the zero time when it was not.
type Status struct {
	Version int64
	Name    string
	Applied time.Time
}

// Up applies what is missing and returns how many migrations that were.
func Up(ctx context.Context, url string) (int, error) {
	n := 0
	err := with(ctx, url, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		n = len(results)
		return err
	})
	return n, err
}

// Down takes back the latest migration and returns its version, 0 when there was none. Taking back the first one drops
// every version and every pending record: flush the cache before the schema is made again.
func Down(ctx context.Context, url string) (int64, error) {
	var version int64
	err := with(ctx, url, func(p *goose.Provider) error {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if result != nil {
			version = result.Source.Version
		}
		return err
	})
	return version, err
}

// List returns every migration in order, with the time it was applied.
func List(ctx context.Context, url string) ([]Status, error) {
	var list []Status
	err := with(ctx, url, func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, m := range all {
			list = append(list, Status{Version: m.Source.Version, Name: m.Source.Path, Applied: m.AppliedAt})
		}
		return err
	})
	return list, err
}

func with(ctx context.Context, url string, do func(*goose.Provider) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("reading the database URL: %w", err)
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		// An older snapshot would not see what was committed before a table was locked.
		_, err := conn.Exec(ctx, "SET default_transaction_isolation = 'read committed'")
		return err
	}))
	defer db.Close()
	if err := makeSchema(ctx, db); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, lockSeconds))
	if err != nil {
		return fmt.Errorf("preparing the migration lock: %w", err)
	}
	store, err := database.NewStore(database.DialectPostgres, table)
	if err != nil {
		return fmt.Errorf("preparing the version table: %w", err)
	}
	p, err := goose.NewProvider("", db, files, goose.WithStore(store), goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	return do(p)
}

// makeSchema creates the schema that goose's own table stands in. IF NOT EXISTS alone is not safe against itself in
// another session, so it waits for a lock.
func makeSchema(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("connecting to postgres: %w", err)
	}
	defer tx.Rollback()
	for _, statement := range []string{
		`SELECT pg_advisory_xact_lock(hashtext('tidelock.schema'))`,
		`CREATE SCHEMA IF NOT EXISTS tidelock`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("creating the schema tidelock: %w", err)
		}
	}
	return tx.Commit()
}
