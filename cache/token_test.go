package cache_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
		"no key":       {nil, 0},
		"one key":      {map[string]int64{"flight:1": 42}, 0},
		"beyond 2^53":  {map[string]int64{"flight:1": inexact, "flight:2": largest}, 0},
		"all it lists": {many(cache.TokenKeys), 0},
		"one more":     {many(cache.TokenKeys + 1), 100 + cache.TokenKeys},
		"many keys":    {many(1000), 1099},
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
			if text := written.String(); len(text) > 600 || (&http.Cookie{Name: "t", Value: text}).Valid() != nil {
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

func text(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestParseTokenRefuses(t *testing.T) {
	t.Parallel()
	const a, b = "\x00\x00\x00\x01\x05", "\x00\x00\x00\x02\x05" // two keys of version 5, as they were once listed
	const c, d = "\x00\x00\x00\x00" + a, "\x00\x00\x00\x00" + b // and as they are now
	for name, in := range map[string]string{
		"no base64": "!", "padded": "YQE=", "line break": text("a\x01")[:2] + "\n" + text("a\x01")[2:], "unused bits": "YQF",
		"unknown form": text("z\x01"), "no keys": text("k"), "no version": text("a"), "version 0": text("a\x00"), "negative": text("a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"too long a number": text("a" + strings.Repeat("\xff", 11)), "more after it": text("a\x01\x01"), "long spelling": text("a\x81\x00"),
		"half a key": text("k\x00\x00"), "key of version 0": text("k\x00\x00\x00\x01\x00"), "key twice": text("k" + a + a), "not in order": text("k" + b + a),
		"seventeen keys": text("k" + listed(17, 4)), "key without a version": text("k" + a[:4]),
		"session without keys": text("s\x05"), "session of nothing": text("s"), "half of a session's key": text("s\x05" + a[:4]), "session's key of version 0": text("s\x05" + c[:8] + "\x00"),
		"session's key twice": text("s\x05" + c + d + c), "long spelling in a session": text("s\x85\x00" + c), "too many for a session": text("s\x05" + listed(cache.TokenKeys+1, 8)),
		"negative in a session": text("s\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + c),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := cache.ParseToken(in); !errors.Is(err, cache.ErrToken) {
				t.Errorf("%q is %v, %v", in, got, err)
			}
		})
	}
	for _, in := range []string{text("k" + a + b), text("k" + listed(16, 4)), text("s\x00" + c + d), text("s\x05" + d + c), text("s\x05" + listed(cache.TokenKeys, 8))} {
		if _, err := cache.ParseToken(in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// listed is n keys with hashes of so many bytes, each of version 5.
func listed(n, hashLen int) (keys string) {
	for i := range n {
		keys += strings.Repeat("\x00", hashLen-1) + string(rune(i)) + "\x05"
	}
	return keys
}

// TestFormerToken reads a text that was written when tokens knew their keys by 32 bits.
func TestFormerToken(t *testing.T) {
	t.Parallel()
	former, err := cache.ParseToken("awAhJGvnJAEhJf4q") // flight:1 of version 42, flight:2 of version 4711
	must(t, err)
	for key, want := range map[string]int64{"flight:1": 42, "flight:2": 4711, "flight:3": 0} {
		if got := former.Version(key); got != want {
			t.Errorf("of %s it asks %d, want %d", key, got, want)
		}
		if got := former.Of(cache.KeyHash(key)); got != want {
			t.Errorf("of the hash of %s it asks %d, want %d", key, got, want)
		}
	}
	if marks, others := former.Marks(); marks != nil || others != 4711 {
		t.Errorf("it lists %v, and of the others %d", marks, others)
	}
}

// TestSessionToken holds what is asked of the keys that a session used last, of others that it used, and of strangers.
func TestSessionToken(t *testing.T) {
	t.Parallel()
	const used = 100
	marks := make([]cache.Mark, used)
	for i := range marks { // the one used last first
		marks[i] = cache.Mark{Key: cache.KeyHash(fmt.Sprint("key:", i)), Version: 9_999_999_000 + int64(i)}
	}
	written := cache.SessionToken(marks, 7)
	read, err := cache.ParseToken(written.String())
	must(t, err)
	for i := range marks {
		want := marks[i].Version
		if i >= cache.TokenKeys {
			want = marks[used-1].Version
		}
		if got := read.Version(fmt.Sprint("key:", i)); got != want {
			t.Errorf("of key %d it asks %d, want %d", i, got, want)
		}
	}
	if got := read.Version("stranger"); got != marks[used-1].Version {
		t.Errorf("of a stranger it asks %d", got)
	}
	again, others := read.Marks()
	if !slices.Equal(again, marks[:cache.TokenKeys]) || others != marks[used-1].Version {
		t.Errorf("it lists %v, and of the others %d", again, others)
	}
	if n := len(written.String()); n > 600 {
		t.Errorf("it takes %d bytes", n)
	} else {
		t.Logf("%d bytes", n)
	}
}

// FuzzToken holds that any text is read without a panic, and that what is a token is what String writes.
func FuzzToken(f *testing.F) {
	f.Add("")
	f.Add(cache.NewToken(maps.All(many(1))).String())
	f.Add(cache.NewToken(maps.All(many(16))).String())
	f.Add(cache.NewToken(maps.All(many(17))).String())
	f.Add(cache.NewToken(maps.All(many(cache.TokenKeys + 1))).String())
	f.Add(cache.SessionToken([]cache.Mark{{Key: 1, Version: 5}, {Key: 2, Version: 6}}, 7).String())
	f.Add("awAhJGvnJAEhJf4q")
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
