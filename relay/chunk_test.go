package relay

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
)

func TestChunkRoundTrip(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string][]outbox.Claim{
		"one":             {{Version: 1, Key: "a"}},
		"one to allocate": {{Version: 1, Key: "a", Allocate: true}},
		"several":         {{Version: 127, Key: "flight:1"}, {Version: 128, Key: "flight:2", Allocate: true}, {Version: 3, Key: "ü"}},
		"the largest":     {{Version: math.MaxInt64, Key: strings.Repeat("k", 1024), Allocate: true}},
		"none":            nil,
	} {
		got, err := decodeChunk(encodeChunk(claims))
		if err != nil || !reflect.DeepEqual(got, claims) {
			t.Errorf("%s: %+v became %+v, %v", name, claims, got, err)
		}
	}
}

func TestMalformedChunks(t *testing.T) {
	t.Parallel()
	good := encodeChunk([]outbox.Claim{{Version: 300, Key: "flight:1"}})
	for name, b := range map[string][]byte{
		"empty":                 {},
		"another form":          append([]byte{2}, good[1:]...),
		"text":                  []byte(`[1,2,3]`),
		"ends in a version":     good[:2],
		"ends before a length":  good[:3],
		"ends in a key":         good[:len(good)-1],
		"version 0":             {chunkForm, 0, 2, 'a'},
		"version over an int64": append([]byte{chunkForm}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 'a'),
		"version without end":   append([]byte{chunkForm}, bytes.Repeat([]byte{0xff}, 12)...),
		"length over the rest":  append([]byte{chunkForm, 1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'),
	} {
		if got, err := decodeChunk(b); !errors.Is(err, errChunk) {
			t.Errorf("%s: decoded to %+v, %v", name, got, err)
		}
	}
}

// FuzzChunk checks that nothing makes the decoder panic, and that what it accepts survives being written again.
func FuzzChunk(f *testing.F) {
	f.Add(encodeChunk([]outbox.Claim{{Version: 300, Key: "flight:1"}, {Version: math.MaxInt64, Key: "", Allocate: true}}))
	f.Add([]byte{chunkForm})
	f.Add([]byte{chunkForm, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		claims, err := decodeChunk(b)
		if err != nil {
			return
		}
		for _, c := range claims {
			if c.Version <= 0 || len(c.Key) > len(b) {
				t.Errorf("decoded %+v", c)
			}
		}
		again, err := decodeChunk(encodeChunk(claims))
		if err != nil || !reflect.DeepEqual(again, claims) {
			t.Errorf("%+v became %+v, %v", claims, again, err)
		}
	})
}

func TestChunksAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sizes          []int
		records, bytes int
		want           []int // records in each
	}{
		"none":                        {nil, 2, 10, nil},
		"by records":                  {[]int{1, 1, 1, 1, 1}, 2, 100, []int{2, 2, 1}},
		"by bytes":                    {[]int{4, 4, 4, 4}, 100, 10, []int{2, 2}},
		"just fits":                   {[]int{5, 5, 5}, 100, 10, []int{2, 1}},
		"one alone is over":           {[]int{1, 50, 1}, 100, 10, []int{1, 1, 1}},
		"the first and last is over":  {[]int{50, 1, 1, 50}, 100, 10, []int{1, 2, 1}},
		"invalidations weigh nothing": {[]int{0, 0, 0}, 2, 10, []int{2, 1}},
		"one a chunk":                 {[]int{1, 1, 1}, 1, 10, []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var claims []outbox.Claim
			for i, size := range c.sizes {
				claims = append(claims, outbox.Claim{Version: int64(i + 1), Size: size})
			}
			var got []int
			pieces := chunks(claims, c.records, c.bytes)
			for _, piece := range pieces {
				got = append(got, len(piece))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("cut into %v, want %v", got, c.want)
			}
			if all := slices.Concat(pieces...); !reflect.DeepEqual(versionsOf(all), versionsOf(claims)) {
				t.Errorf("%v became %v", versionsOf(claims), versionsOf(all))
			}
		})
	}
}

func TestPutOffGrows(t *testing.T) {
	t.Parallel()
	for attempts, last := 1, putOff(time.Second, 0); attempts < 100; attempts++ {
		pause := putOff(time.Second, attempts)
		if pause < last || pause > time.Minute {
			t.Errorf("after %d attempts the pause is %v, after one less %v", attempts, pause, last)
		}
		last = pause
	}
}
