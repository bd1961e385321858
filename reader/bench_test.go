package reader_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/valkey-io/valkey-go"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

// benchmarked returns a reader of keys that the cache holds.
func benchmarked(b *testing.B, n int, tune ...func(*cache.Config)) (f *table, r *reader.Raw, keys []string) {
	quiet := func(cfg *cache.Config) { cfg.Log = zap.NewNop() }
	f = tableOn(b, rig.DB(b), stacktest.Valkey(b).URL(), append(tune, quiet)...)
	r = f.raw(func(cfg *reader.Config) { cfg.Log = nil })
	for i := range n {
		key := f.key(fmt.Sprint(i))
		f.insert(key, "a value of about the size that a row of a few columns has when it is written down as JSON")
		keys = append(keys, key)
	}
	for range 2 { // the first fills the cache, and what is kept near is not that
		if _, err := r.GetMany(b.Context(), keys); err != nil {
			b.Fatal(err)
		}
	}
	return f, r, keys
}

// callers are how many read at once: one, and as many as a service has.
var callers = []int{1, 64, 256}

// inParallel runs a benchmark with each number of callers.
func inParallel(b *testing.B, name string, do func(context.Context) error) {
	for _, n := range callers {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			ctx := b.Context()
			b.ReportAllocs()
			if n == 1 {
				for b.Loop() {
					if err := do(ctx); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(max(n/runtime.GOMAXPROCS(0), 1))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := do(ctx); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

var errMiss = errors.New("the cache does not hold it")

// getting reads one key, which must be a hit.
func getting(r *reader.Raw, key string, options ...reader.Option) func(context.Context) error {
	return func(ctx context.Context) error {
		p, err := r.Get(ctx, key, options...)
		if err == nil && !p.Hit {
			err = errMiss
		}
		return err
	}
}

// BenchmarkGetHit stands beside the bare GET of the same client library.
func BenchmarkGetHit(b *testing.B) {
	f, r, keys := benchmarked(b, 1)
	inParallel(b, "bare GET", func(ctx context.Context) error {
		_, err := f.valkey.Do(ctx, f.valkey.B().Get().Key(keys[0]).Build()).AsBytes()
		return err
	})
	inParallel(b, "tidelock", getting(r, keys[0]))
	inParallel(b, "session", getting(r, keys[0], reader.In(reader.NewSession(cache.Token{}))))
	_, r, keys = benchmarked(b, 1, nearby)
	inParallel(b, "near", getting(r, keys[0]))
}

// BenchmarkGetMany100 stands beside the bare MGET of as many keys.
func BenchmarkGetMany100(b *testing.B) {
	many := func(r *reader.Raw, keys []string) func(context.Context) error {
		return func(ctx context.Context) error {
			got, err := r.GetMany(ctx, keys)
			if err == nil && len(got) != len(keys) {
				err = errMiss
			}
			return err
		}
	}
	f, r, keys := benchmarked(b, 100)
	inParallel(b, "bare MGET", func(ctx context.Context) error {
		got, err := valkey.MGet(f.valkey, ctx, keys)
		for _, message := range got {
			if _, err := message.AsBytes(); err != nil {
				return err
			}
		}
		return err
	})
	inParallel(b, "tidelock", many(r, keys))
	_, r, keys = benchmarked(b, 100, nearby)
	inParallel(b, "near", many(r, keys))
}

// BenchmarkGetMiss is a load: a ticket, two queries and a fill.
func BenchmarkGetMiss(b *testing.B) {
	f, r, keys := benchmarked(b, 1)
	for b.Loop() {
		f.del(keys[0])
		if p, err := r.Get(b.Context(), keys[0]); err != nil || p.Hit {
			b.Fatal(p, err)
		}
	}
}

// row is a value of a few columns.
type row struct {
	ID    int    `json:"id"`
	Delay int    `json:"delay"`
	Gate  string `json:"gate"`
	Note  string `json:"note"`
}

var someRow = row{ID: 42, Delay: 15, Gate: "B 17", Note: "a note of about the length that somebody writes who has little time"}

func BenchmarkJSONEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (reader.JSON[row]{}).Encode(someRow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONDecode(b *testing.B) {
	payload, err := reader.JSON[row]{}.Encode(someRow)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := (reader.JSON[row]{}).Decode(payload); err != nil || got != someRow {
			b.Fatal(got, err)
		}
	}
}

func BenchmarkProtoDecode(b *testing.B) {
	codec := reader.Proto[wrapperspb.StringValue, *wrapperspb.StringValue]{}
	payload, err := codec.Encode(wrapperspb.String(someRow.Note))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := codec.Decode(payload); err != nil || got.Value != someRow.Note {
			b.Fatal(got, err)
		}
	}
}
