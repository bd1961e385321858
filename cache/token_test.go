package cache_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
)

// many returns n keys, each with a version of its own from 100 on.
func many(n int) map[string]int64 {
	versions := make(map[string]int64, n)
	for i := range n {
		versions[fmt.Sprint("key:", i)] = int64(100 + i)
	}
	return versions
}

// TestToken holds what a token asks of its own keys and of others, before and after its text has travelled.
func TestToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		versions map[string]int64
		others   int64 // of a key that was not written
	}{
		"no key":         {nil, 0},
		"one key":        {map[string]int64{"flight:1": 42}, 0},
		"beyond 2^53":    {map[string]int64{"flight:1": inexact, "flight:2": largest}, 0},
		"sixteen keys":   {many(16), 0},
		"seventeen keys": {many(17), 116},
		"many keys":      {many(1000), 1099},
	} {
		t.Run(name, func(t *testing.T) {
			written := cache.NewToken(maps.All(c.versions))
			read, err := cache.ParseToken(written.String())
			must(t, err)
			if again := read.String(); again != written.String() {
				t.Errorf("%q is written again as %q", written, again)
			}
			for _, token := range []cache.Token{written, read} {
				if got := token.Version("another"); got != c.others {
					t.Errorf("of a key that was not written it asks %d, want %d", got, c.others)
				}
				for key, version := range c.versions {
					if got := token.Version(key); got != max(version, c.others) {
						t.Errorf("of %s it asks %d, want %d", key, got, max(version, c.others))
					}
				}
			}
			if text := written.String(); len(text) > 256 || (&http.Cookie{Name: "t", Value: text}).Valid() != nil {
				t.Errorf("%q does not fit into a cookie", text)
			}
		})
	}
}

func TestZeroToken(t *testing.T) {
	t.Parallel()
	var zero cache.Token
	if zero.String() != "" || zero.Version("key") != 0 {
		t.Errorf("the zero token is %q and asks %d", zero, zero.Version("key"))
	}
	if got, err := cache.ParseToken(""); err != nil || got.Version("key") != 0 {
		t.Errorf("the empty text is %v, %v", got, err)
	}
}

// TestTokenKeepsTheHigher holds that keys which share a hash, as one key given twice does, are asked the higher version.
func TestTokenKeepsTheHigher(t *testing.T) {
	t.Parallel()
	token := cache.NewToken(func(yield func(string, int64) bool) {
		_ = yield("key", 5) && yield("key", 9) && yield("key", 7)
	})
	if got := token.Version("key"); got != 9 {
		t.Errorf("it asks %d", got)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	t.Parallel()
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	const a, b = "\x00\x00\x00\x01\x05", "\x00\x00\x00\x02\x05" // two keys of version 5
	for name, in := range map[string]string{
		"no base64": "!", "padded": "YQE=", "line break": text("a\x01")[:2] + "\n" + text("a\x01")[2:], "unused bits": "YQF",
		"unknown form": text("z\x01"), "no keys": text("k"), "no version": text("a"), "version 0": text("a\x00"), "negative": text("a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"too long a number": text("a" + strings.Repeat("\xff", 11)), "more after it": text("a\x01\x01"), "long spelling": text("a\x81\x00"),
		"half a key": text("k\x00\x00"), "key of version 0": text("k\x00\x00\x00\x01\x00"), "key twice": text("k" + a + a), "not in order": text("k" + b + a),
		"seventeen keys": text("k" + seventeen()),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := cache.ParseToken(in); !errors.Is(err, cache.ErrToken) {
				t.Errorf("%q is %v, %v", in, got, err)
			}
		})
	}
	if _, err := cache.ParseToken(text("k" + a + b)); err != nil {
		t.Errorf("two keys in order: %v", err)
	}
}

func seventeen() (keys string) {
	for i := range 17 {
		keys += "\x00\x00\x00" + string(rune(i)) + "\x05"
	}
	return keys
}

// FuzzToken holds that any text is read without a panic, and that what is a token is what String writes.
func FuzzToken(f *testing.F) {
	f.Add("")
	f.Add(cache.NewToken(maps.All(many(1))).String())
	f.Add(cache.NewToken(maps.All(many(16))).String())
	f.Add(cache.NewToken(maps.All(many(17))).String())
	f.Add("YQE=")
	f.Add("YQF")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := cache.ParseToken(text)
		if err != nil {
			if !errors.Is(err, cache.ErrToken) || token.String() != "" {
				t.Errorf("%q is %v, %v", text, token, err)
			}
			return
		}
		if again := token.String(); again != text {
			t.Errorf("%q is written again as %q", text, again)
		}
		if token.Version("key") < 0 {
			t.Errorf("%q asks %d", text, token.Version("key"))
		}
	})
}
