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

// declared are the entities of a file, once it was held against the database.
type declared struct {
	file *entity.File
	db   *pgxpool.Pool

	mu       sync.Mutex
	entities []*entity.Entity // nil until the file fits
}

// check holds the file against the database, until it fits.
func (d *declared) check(ctx context.Context) ([]*entity.Entity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.entities != nil {
		return d.entities, nil
	}
	var err error
	d.entities, err = d.file.Check(ctx, d.db)
	return d.entities, err
}

// rows are what the cache should hold of them.
func (d *declared) rows(ctx context.Context) ([]verify.Rows, error) {
	entities, err := d.check(ctx)
	all := make([]verify.Rows, len(entities))
	for i, e := range entities {
		all[i] = e
	}
	return all, err
}

// load loads the rows of those keys that are theirs, as relay.Config.Load wants it.
func (d *declared) load(ctx context.Context, keys []string) (map[string][]byte, error) {
	entities, err := d.check(ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[string][]byte, len(keys))
	for _, e := range entities {
		own := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !e.Has(key) })
		if len(own) == 0 {
			continue
		}
		rows, err := e.Load(ctx, d.db, own)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, rows)
	}
	return found, nil
}

// row is the row behind a key as the dashboard shows it, empty for none.
func (d *declared) row(ctx context.Context, key string) (string, error) {
	found, err := d.load(ctx, []string{key})
	return string(found[key]), err
}
