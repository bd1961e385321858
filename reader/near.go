package reader

import (
	"context"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
)

// near reports whether an entry that the process has kept may answer the read. No lease says anything of such an entry: whoever has seen to it that the
// servers hold nothing older knows nothing of what this process holds.
func (r *Raw) near(asked demand) bool {
	return r.cache.Near() && (!asked.leased() || mutant.On("near-leased"))
}

// hit asks the cache, near or far. What is near and older than is asked is asked for again, for the server may hold something newer; what is not there is the
// load's business, which begins by asking the server.
func (r *Raw) hit(ctx context.Context, key string, asked demand) (cache.Entry, error) {
	if !r.near(asked) {
		return r.cache.Get(ctx, key)
	}
	entry, err := r.cache.GetNear(ctx, key)
	if err != nil || !entry.Hit() || serves(&entry, asked.version(key)) {
		return entry, err
	}
	return r.cache.Get(ctx, key)
}

// hitAll is hit for several keys.
func (r *Raw) hitAll(ctx context.Context, keys []string, asked demand) ([]cache.Entry, error) {
	if !r.near(asked) {
		return r.cache.GetMany(ctx, keys)
	}
	entries, err := r.cache.GetManyNear(ctx, keys)
	if err != nil {
		return nil, err
	}
	var old []string
	var at []int
	for i, key := range keys {
		if entries[i].Hit() && !serves(&entries[i], asked.version(key)) {
			old, at = append(old, key), append(at, i)
		}
	}
	far, err := r.cache.GetMany(ctx, old)
	for i, entry := range far {
		entries[at[i]] = entry
	}
	return entries, err
}
