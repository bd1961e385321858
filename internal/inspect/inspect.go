// Package inspect says what Valkey and Postgres know of one key, and whether they agree.
package inspect

import (
	"context"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
)

// recordsMost bounds the records that are listed.
const recordsMost = 20

// Inspection is what is known of a key.
type Inspection struct {
	Key     string        `json:"key"`
	Entry   *Entry        `json:"entry"` // nil: the cache holds nothing of ours
	Cache   string        `json:"cache_error,omitempty"`
	Version int64         `json:"version"` // 0: never written, or forgotten long after its last write
	Records []outbox.Item `json:"records"`
	Verdict string        `json:"verdict"`
}

// Entry is what the cache holds at the key.
type Entry struct {
	Kind    string        `json:"kind"` // value, absent or placeholder
	Version int64         `json:"version"`
	TTL     time.Duration `json:"ttl_ns"`
	Payload string        `json:"payload,omitempty"`
}

// Key asks the cache and then Postgres for the key: what Postgres says afterwards can only be newer. A cache that does not answer is part of what was found.
func Key(ctx context.Context, db outbox.DB, c *cache.Cache, key string) (Inspection, error) {
	in := Inspection{Key: key}
	in.entry(ctx, c)
	if err := in.database(ctx, db); err != nil {
		return in, err
	}
	in.Verdict = in.verdict()
	return in, nil
}

func (in *Inspection) entry(ctx context.Context, c *cache.Cache) {
	e, err := c.Get(ctx, in.Key)
	if err != nil {
		in.Cache = err.Error()
		return
	}
	if e.Kind == cache.None {
		return
	}
	kind := map[cache.Kind]string{cache.Value: "value", cache.Absent: "absent", cache.Placeholder: "placeholder"}[e.Kind]
	in.Entry = &Entry{Kind: kind, Version: e.Version, Payload: string(e.Payload)}
	if ttl, err := c.TTL(ctx, in.Key); err == nil {
		in.Entry.TTL = ttl
	}
}

func (in *Inspection) database(ctx context.Context, db outbox.DB) error {
	versions, err := outbox.Latest(ctx, db, []string{in.Key})
	if err != nil {
		return err
	}
	in.Version = versions[in.Key]
	in.Records, err = outbox.List(ctx, db, outbox.Filter{Key: in.Key}, recordsMost)
	return err
}

func (in *Inspection) verdict() string {
	pending := false
	for _, r := range in.Records {
		pending = pending || r.Aside == ""
	}
	switch {
	case in.Cache != "":
		return "unknown: the cache did not answer"
	case in.Entry == nil || in.Entry.Kind == "placeholder":
		return "consistent: the cache serves nothing, the next read loads the row"
	case in.Version == 0 || in.Entry.Version >= in.Version:
		return "consistent: the cache holds the latest version"
	case pending:
		return "behind: the cache holds an older version, and a record waits to mend it"
	default:
		return "behind, and no record waits: look again, a write may be under way; if it stays so, report it"
	}
}
