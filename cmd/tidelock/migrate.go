package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidelock-cache/tidelock/migrations"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Safe to run twice, and from several processes at once."`
	Down   migrateDownCmd   `cmd:"" help:"Take back the latest migration. The first one takes every version and pending record with it."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations and when each was applied."`
}

type migrateUpCmd struct{}

// Run applies what is missing.
func (migrateUpCmd) Run(ctx context.Context, s *Settings) error {
	if s.DatabaseURL == "" {
		return missing("the database", "database-url", "TIDELOCK_DATABASE_URL")
	}
	n, err := migrations.Up(ctx, s.DatabaseURL)
	if err != nil {
		return err
	}
	fmt.Printf("applied %d migrations; the schema tidelock is up to date\n", n)
	return nil
}

type migrateDownCmd struct {
	Yes bool `help:"Do it. Stop every writer and relay first, and flush the cache before writers start again."`
}

// Run takes back one migration.
func (c migrateDownCmd) Run(ctx context.Context, s *Settings) error {
	if s.DatabaseURL == "" {
		return missing("the database", "database-url", "TIDELOCK_DATABASE_URL")
	}
	if !c.Yes {
		return errors.New("this loses versions and pending records: stop every writer and relay, then say --yes; flush the cache before writers start again")
	}
	version, err := migrations.Down(ctx, s.DatabaseURL)
	if err != nil {
		return err
	}
	if version == 0 {
		fmt.Println("no migration is applied")
		return nil
	}
	fmt.Printf("took back migration %d\n", version)
	return nil
}

type migrateStatusCmd struct{}

// Run lists the migrations.
func (migrateStatusCmd) Run(ctx context.Context, s *Settings) error {
	if s.DatabaseURL == "" {
		return missing("the database", "database-url", "TIDELOCK_DATABASE_URL")
	}
	list, err := migrations.List(ctx, s.DatabaseURL)
	if err != nil {
		return err
	}
	for _, m := range list {
		applied := "not applied"
		if !m.Applied.IsZero() {
			applied = "applied " + m.Applied.Format("2006-01-02 15:04:05 MST")
		}
		fmt.Printf("%5d  %-24s  %s\n", m.Version, m.Name, applied)
	}
	return nil
}
