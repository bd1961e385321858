package cache_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

var payload = strings.Repeat("p", 1000)

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cache.Encode(1, cache.Value, inexact, []byte(payload))
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := cache.Encode(1, cache.Value, inexact, []byte(payload))
	b.ReportAllocs()
	for b.Loop() {
		cache.Decode(raw)
	}
}

func BenchmarkGetHit(b *testing.B) {
	c := shared(b)
	key := c.key("k")
	c.put(b, key, "tl1 V 1\n"+payload)
	b.ReportAllocs()
	for b.Loop() {
		if e, err := c.Get(b.Context(), key); err != nil || !e.Hit() {
			b.Fatal(e, err)
		}
	}
}

func BenchmarkGetHitParallel(b *testing.B) {
	c := shared(b)
	key := c.key("k")
	c.put(b, key, "tl1 V 1\n"+payload)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if e, err := c.Get(b.Context(), key); err != nil || !e.Hit() {
				b.Error(e, err)
			}
		}
	})
}

func BenchmarkGetNear(b *testing.B) {
	c := shared(b, near)
	key := c.key("k")
	c.put(b, key, "tl1 V 1\n"+payload)
	b.ReportAllocs()
	for b.Loop() {
		if e, err := c.GetNear(b.Context(), key); err != nil || !e.Hit() {
			b.Fatal(e, err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	c := shared(b)
	key := c.key("k")
	c.put(b, key, "tl1 V 1\n"+payload)
	b.ReportAllocs()
	for version := int64(2); b.Loop(); version++ {
		if r := c.one(b, value(key, version, payload)); r.Outcome != cache.Applied {
			b.Fatal(r)
		}
	}
}

func BenchmarkGetMany100(b *testing.B) {
	c := shared(b)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = c.key(fmt.Sprint(i))
		c.put(b, keys[i], "tl1 V 1\n"+payload)
	}
	b.ReportAllocs()
	for b.Loop() {
		if entries, err := c.GetMany(b.Context(), keys); err != nil || !entries[99].Hit() {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePlaceholder(b *testing.B) {
	raw := []byte("tl1 P 42 ABCDEFGHIJKLMNOPQRSTUVWXYZ\n")
	b.ReportAllocs()
	for b.Loop() {
		cache.Decode(raw)
	}
}

func BenchmarkCheckKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := cache.CheckKey("flight:1234567890"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyHash(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		cache.KeyHash("flight:1234567890")
	}
}

func BenchmarkTokenVersion(b *testing.B) {
	token := cache.NewToken(maps.All(map[string]int64{"flight:1": 41, "flight:2": 42}))
	b.ReportAllocs()
	for b.Loop() {
		token.Version("flight:1")
	}
}

func BenchmarkParseToken(b *testing.B) {
	text := cache.NewToken(maps.All(map[string]int64{"flight:1": 41, "flight:2": 42})).String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := cache.ParseToken(text); err != nil {
			b.Fatal(err)
		}
	}
}
