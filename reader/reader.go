package reader

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// Source says how values of type T are read from Postgres and kept in the cache.
type Source[T any] struct {
	// Load reads the rows of these keys from the primary and returns the value of each that exists. It must see what was committed
	// before it began: no replica, no other cache, no older snapshot. It serves several callers at once, so its context bears
	// none of their values, but for the span of the load; it must end with that context, for it holds one of Config.Loads. Required.
	Load func(ctx context.Context, keys []string) (map[string]T, error)
	// Codec turns values into payloads. Default JSON.
	Codec Codec[T]
}

// Reader is a reader of values of type T. It is safe for any number of goroutines.
type Reader[T any] struct {
	raw   *Raw
	codec Codec[T]
}

// New makes a reader of the source's values. cfg.Load must be nil: the source has it. It does not talk to anything: cache and Postgres may be down.
func New[T any](cfg Config, source Source[T]) (*Reader[T], error) {
	if cfg.Load != nil {
		return nil, errors.New("reader: Config.Load is set: give the typed load in Source.Load alone")
	}
	if source.Load == nil {
		return nil, errors.New("reader: Source.Load is nil: give the function that reads the rows")
	}
	r := &Reader[T]{codec: source.Codec}
	if r.codec == nil {
		r.codec = JSON[T]{}
	}
	cfg.Load = func(ctx context.Context, keys []string) (map[string][]byte, error) {
		values, err := source.Load(ctx, keys)
		if err != nil {
			return nil, err
		}
		return r.encode(values)
	}
	var err error
	if r.raw, err = NewRaw(cfg); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader[T]) encode(values map[string]T) (map[string][]byte, error) {
	payloads := make(map[string][]byte, len(values))
	for key, v := range values {
		b, err := r.codec.Encode(v)
		if err != nil {
			return nil, fmt.Errorf("encoding the value of %q: %w", key, err)
		}
		payloads[key] = b
	}
	return payloads, nil
}

// Item is what a read found.
type Item[T any] struct {
	Value T
	// Version is the entry's label: the value is at least as new as this version of the key.
	Version int64
	// Seen is the highest version of the key that the value may be of, 0 where that is not known: see Payload.
	Seen int64
	// Hit says that it came from the cache.
	Hit bool
}

// Get returns the key's value. Errors are those of Raw.Get. A payload in the cache that the codec cannot
// decode counts as a miss and is dropped.
func (r *Reader[T]) Get(ctx context.Context, key string, options ...Option) (Item[T], error) {
	p, err := r.raw.Get(ctx, key, options...)
	if err != nil {
		return Item[T]{Version: p.Version, Seen: p.Seen, Hit: p.Hit}, err
	}
	item, err := r.item(p)
	if err == nil || !p.Hit {
		return item, err
	}
	r.raw.log.Warn("undecodable_entry", zap.String("key", key), zap.Error(err))
	if err := r.raw.cache.Drop(ctx, key); err != nil {
		r.raw.log.Debug("drop_failed", zap.String("key", key), zap.Error(err))
	}
	asked := demands(options)
	asked.above = p.Version + 1
	if p, err = r.raw.miss(ctx, key, asked); err != nil {
		return Item[T]{Version: p.Version, Seen: p.Seen, Hit: p.Hit}, err
	}
	return r.item(p)
}

// GetMany returns the values of those keys that have a row, as Raw.GetMany does.
func (r *Reader[T]) GetMany(ctx context.Context, keys []string, options ...Option) (map[string]Item[T], error) {
	payloads, err := r.raw.GetMany(ctx, keys, options...)
	items := make(map[string]Item[T], len(payloads))
	for key, p := range payloads {
		item, bad := r.item(p)
		if bad != nil {
			item, bad = r.Get(ctx, key, options...)
		}
		if bad == nil {
			items[key] = item
		} else if err == nil && !errors.Is(bad, ErrNotFound) {
			err = bad
		}
	}
	return items, err
}

func (r *Reader[T]) item(p Payload) (Item[T], error) {
	v, err := r.codec.Decode(p.Bytes)
	if err != nil {
		return Item[T]{}, fmt.Errorf("decoding the payload: %w", err)
	}
	return Item[T]{Value: v, Version: p.Version, Seen: p.Seen, Hit: p.Hit}, nil
}

// Stats returns the reader's counters.
func (r *Reader[T]) Stats() Stats { return r.raw.Stats() }

// Close waits for the loads under way. Misses after it return ErrClosed.
func (r *Reader[T]) Close() { r.raw.Close() }
