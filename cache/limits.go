package cache

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// KeyMax is the length of the longest key, in bytes. Postgres indexes the key, and an index row is small.
const KeyMax = 1024

// KeyError says why a key cannot be used.
type KeyError struct {
	Key    string
	Reason string
}

func (e *KeyError) Error() string {
	key := e.Key
	if len(key) > 64 {
		key = key[:64] + "…"
	}
	return fmt.Sprintf("invalid cache key %q: %s", key, e.Reason)
}

// CheckKey returns a [*KeyError] unless key is 1 to KeyMax bytes of UTF-8 without a zero byte (Postgres's text holds none).
func CheckKey(key string) error {
	switch {
	case key == "":
		return &KeyError{key, "it is empty"}
	case len(key) > KeyMax:
		return &KeyError{key, fmt.Sprintf("it has %d bytes, the limit is %d", len(key), KeyMax)}
	case !utf8.ValidString(key):
		return &KeyError{key, "it is not valid UTF-8"}
	case strings.IndexByte(key, 0) >= 0:
		return &KeyError{key, "it holds a zero byte"}
	}
	return nil
}

// PayloadError says that a payload is over [Config.PayloadMax].
type PayloadError struct {
	Key         string
	Size, Limit int // bytes
}

func (e *PayloadError) Error() string {
	return fmt.Sprintf("payload of %q has %d bytes, the limit is %d: store less under one key, or raise PayloadMax in every writer, reader and relay", e.Key, e.Size, e.Limit)
}

// CheckPayload returns a [*PayloadError] when the payload is over [Config.PayloadMax].
func (c *Cache) CheckPayload(key string, payload []byte) error {
	if limit := c.cfg.payloadMax(); len(payload) > limit {
		return &PayloadError{Key: key, Size: len(payload), Limit: limit}
	}
	return nil
}

// TTLMax is the longest time to live of an entry. Postgres remembers a key's version for at least as long after the
// key's last write, so that every entry that may still live can be compared with it.
const TTLMax = 7 * 24 * time.Hour

// CheckTTL returns an error unless ttl is from 1 ms to TTLMax.
func CheckTTL(ttl time.Duration) error {
	if ttl < time.Millisecond || ttl > TTLMax {
		return fmt.Errorf("invalid TTL %v: it must be from 1ms to %v", ttl, TTLMax)
	}
	return nil
}
