package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/verify"
)

// entitiesFile is the file of a command that compares by value what it declares; empty for none.
type entitiesFile string

// read reads the file, nil for none, and returns what sets up the sessions that its rows are read in.
func (f entitiesFile) read() (file *entity.File, tune []func(*pgxpool.Config), err error) {
	if f == "" {
		return nil, nil, nil
	}
	file, err = entity.Read(string(f))
	return file, []func(*pgxpool.Config){entity.Tune}, err
}

// rows holds the file against the database and returns the rows that it declares.
func rows(ctx context.Context, file *entity.File, db *pgxpool.Pool) ([]verify.Rows, error) {
	entities, err := file.Check(ctx, db)
	if err != nil {
		return nil, err
	}
	all := make([]verify.Rows, len(entities))
	for i, e := range entities {
		all[i] = e
	}
	return all, nil
}
