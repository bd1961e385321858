package cache_test

import (
	"math"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  string
		want cache.Entry
	}{
		"value":                {"tl1 V 42\npayload", cache.Entry{Kind: cache.Value, Version: 42, Payload: []byte("payload")}},
		"value, empty":         {"tl1 V 42\n", cache.Entry{Kind: cache.Value, Version: 42}},
		"absent":               {"tl1 A 42\n", cache.Entry{Kind: cache.Absent, Version: 42}},
		"placeholder":          {"tl1 P 42 aZ09\n", cache.Entry{Kind: cache.Placeholder, Version: 42, Ticket: "aZ09"}},
		"bound 0":              {"tl1 P 0 T\n", cache.Entry{Kind: cache.Placeholder, Ticket: "T"}},
		"largest":              {"tl1 V 9223372036854775807\n", cache.Entry{Kind: cache.Value, Version: math.MaxInt64}},
		"one more":             {"tl1 V 9223372036854775808\n", cache.Entry{}},
		"wraps":                {"tl1 V 18446744073709551617\n", cache.Entry{}},
		"leading zero":         {"tl1 V 042\n", cache.Entry{}},
		"sign":                 {"tl1 V +42\n", cache.Entry{}},
		"no version":           {"tl1 V \n", cache.Entry{}},
		"line ends early":      {"tl1 \n 00", cache.Entry{}},
		"nothing":              {"", cache.Entry{}},
		"newer format":         {"tl9 V 42\n", cache.Entry{}},
		"unknown kind":         {"tl1 X 42\n", cache.Entry{}},
		"value with a token":   {"tl1 V 42 T\n", cache.Entry{}},
		"no token":             {"tl1 P 42\n", cache.Entry{}},
		"two tokens":           {"tl1 P 42 T T\n", cache.Entry{}},
		"odd token":            {"tl1 P 42 T-T\n", cache.Entry{}},
		"line never ends":      {"tl1 V 42", cache.Entry{}},
		"line ends too late":   {"tl1 P 4 " + strings.Repeat("T", 56) + "\n", cache.Entry{}},
		"line ends just right": {"tl1 P 4 " + strings.Repeat("T", 55) + "\n", cache.Entry{Kind: cache.Placeholder, Version: 4, Ticket: strings.Repeat("T", 55)}},
	} {
		t.Run(name, func(t *testing.T) { expectEntry(t, cache.Decode([]byte(c.raw)), c.want) })
	}
}

// FuzzEntry holds that any bytes are read without a panic, that what is read is written the same again, and that Go and both scripts agree on
// which bytes are ours: where they did not, one side would guard an entry that the other calls nothing.
func FuzzEntry(f *testing.F) {
	for _, raw := range []string{
		"tl1 V 42\npayload", "tl1 A 1\n", "tl1 P 0 TOKEN\n", "tl1 P 7 T-T\n", "tl1 P 7\n", "tl1 V 7 T\n", "tl1 V 07\n", "tl1 V 7T\n", "tl1 V 7 \n",
		"tl1 V 9223372036854775807\n", "tl1 V 9223372036854775808\n", "tl1 V 99999999999999999999\n", "tl1 V 7\x00\n", "tl1 P 7 \xe9\n", "by hand",
		"tl1 P 4 " + strings.Repeat("T", 55) + "\n", "tl1 P 4 " + strings.Repeat("T", 56) + "\n", "tl1 X 1\n", "tl1  V 1\n", "\n", "tl1 V 0\n", "tl1 \n 00",
	} {
		f.Add([]byte(raw))
	}
	b := on(f, stacktest.Valkey(f).URL())
	key := b.key("k")
	f.Fuzz(func(t *testing.T, raw []byte) {
		e := cache.Decode(raw)
		ours := e.Kind != cache.None
		if e.Hit() {
			if again := cache.Encode(1, e.Kind, e.Version, e.Payload); string(again[:min(len(again), len(raw))]) != string(raw[:len(again)]) {
				t.Errorf("%q is written as %q", raw, again)
			}
		}
		if len(raw) == 0 {
			return // nothing is nobody's
		}
		b.put(t, key, string(raw))
		if b.ticket(t, key); (b.bytes(t, key) == string(raw)) != ours {
			t.Errorf("the ticket script has made %q of %q, which is ours: %v", b.bytes(t, key), raw, ours)
		}
		// An invalidation of version 0 changes no entry of ours, and deletes what is nobody's.
		b.put(t, key, string(raw))
		if b.one(t, invalidation(key, 0)); (b.bytes(t, key) == string(raw)) != ours {
			t.Errorf("the apply script has made %q of %q, which is ours: %v", b.bytes(t, key), raw, ours)
		}
	})
}

// FuzzPayload holds that a value comes back as it was stored, whatever its bytes.
func FuzzPayload(f *testing.F) {
	f.Add(int64(1), []byte("payload"))
	f.Add(int64(math.MaxInt64), []byte{})
	f.Add(inexact, []byte("\x00\n\xfftl1 V 1\n"))
	f.Fuzz(func(t *testing.T, version int64, payload []byte) {
		if version &= math.MaxInt64; version == 0 {
			return
		}
		expectEntry(t, cache.Decode(cache.Encode(1, cache.Value, version, payload)), cache.Entry{Kind: cache.Value, Version: version, Payload: payload})
		expectEntry(t, cache.Decode(cache.Encode(1, cache.Absent, version, nil)), cache.Entry{Kind: cache.Absent, Version: version})
	})
}
