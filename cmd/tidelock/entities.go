package main

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/verify"
)

// entitiesFile is the file of a command that reads the rows of what it declares; empty for none.
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

// loads returns how a relay loads the rows of what the file declares. The file is held against the database at the first load, again until that succeeds.
func loads(file *entity.File, db *pgxpool.Pool) func(ctx context.Context, keys []string) (map[string][]byte, error) {
	var mu sync.Mutex
	var entities []*entity.Entity
	checked := func(ctx context.Context) ([]*entity.Entity, error) {
		mu.Lock()
		defer mu.Unlock()
		if entities != nil {
			return entities, nil
		}
		var err error
		entities, err = file.Check(ctx, db)
		return entities, err
	}
	return func(ctx context.Context, keys []string) (map[string][]byte, error) {
		entities, err := checked(ctx)
		if err != nil {
			return nil, err
		}
		found := make(map[string][]byte, len(keys))
		for _, e := range entities {
			own := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !e.Has(key) })
			if len(own) == 0 {
				continue
			}
			rows, err := e.Load(ctx, db, own)
			if err != nil {
				return nil, err
			}
			maps.Copy(found, rows)
		}
		return found, nil
	}
}

// rowOf returns how the dashboard shows the row behind a key.
func rowOf(load func(ctx context.Context, keys []string) (map[string][]byte, error)) func(ctx context.Context, key string) (string, error) {
	return func(ctx context.Context, key string) (string, error) {
		found, err := load(ctx, []string{key})
		return string(found[key]), err
	}
}
