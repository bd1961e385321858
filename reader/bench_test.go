package reader_test

import (
	"fmt"
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
func benchmarked(b *testing.B, n int) (f *table, r *reader.Raw, keys []string) {
	quiet := func(cfg *cache.Config) { cfg.Log = zap.NewNop() }
	f = tableOn(b, rig.DB(b), stacktest.Valkey(b).URL(), quiet)
	r = f.raw(func(cfg *reader.Config) { cfg.Log = nil })
	for i := range n {
		key := f.key(fmt.Sprint(i))
		f.insert(key, "a value of about the size that a row of a few columns has when it is written down as JSON")
		keys = append(keys, key)
	}
	if _, err := r.GetMany(b.Context(), keys); err != nil {
		b.Fatal(err)
	}
	return f, r, keys
}

// BenchmarkGetHit stands beside the bare GET of the same client library, with callers in parallel as in a service.
func BenchmarkGetHit(b *testing.B) {
	f, r, keys := benchmarked(b, 1)
	b.Run("tidelock", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if p, err := r.Get(b.Context(), keys[0]); err != nil || !p.Hit {
					b.Error(p, err)
				}
			}
		})
	})
	b.Run("bare GET", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := f.valkey.Do(b.Context(), f.valkey.B().Get().Key(keys[0]).Build()).AsBytes(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkGetMany100 stands beside the bare MGET of as many keys.
func BenchmarkGetMany100(b *testing.B) {
	f, r, keys := benchmarked(b, 100)
	b.Run("tidelock", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := r.GetMany(b.Context(), keys); err != nil || len(got) != len(keys) {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("bare MGET", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := valkey.MGet(f.valkey, b.Context(), keys); err != nil || len(got) != len(keys) {
				b.Fatal(len(got), err)
			}
		}
	})
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
