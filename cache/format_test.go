package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestFormats holds which entries a build serves, guards and writes. It is run in the build that knows one format more, too.
func TestFormats(t *testing.T) {
	t.Parallel()
	b := on(t, stacktest.Valkey(t).URL())
	c := b.Cache
	for format := 1; format <= cache.FormatMax+1; format++ {
		key, known := b.key(fmt.Sprint("format ", format)), format <= cache.FormatMax
		held := fmt.Sprintf("tl%d V 5\nold", format)
		b.put(t, key, held)
		if e, err := c.Get(t.Context(), key); err != nil || e.Hit() != known {
			t.Errorf("format %d: a hit is %t, %v", format, e.Hit(), err)
		}
		older := c.Apply(t.Context(), cache.Change{Key: key, Version: 4, Kind: cache.Value, Payload: []byte("older"), TTL: time.Hour})[0]
		if want := map[bool]cache.Outcome{true: cache.Superseded, false: cache.Settled}[known]; older.Outcome != want {
			t.Errorf("format %d: an older change is %v, want %v", format, older.Outcome, want)
		}
		if e, err := c.Get(t.Context(), key); err != nil || string(e.Payload) == "older" {
			t.Errorf("format %d: an older value took the entry's place: %q, %v", format, e.Payload, err)
		}

		err := c.SetFormat(format)
		if unknown, ok := errors.AsType[*cache.FormatError](err); ok == known || ok && unknown.Format != format {
			t.Errorf("format %d: set with %v", format, err)
		}
		b.put(t, key, "tl1 V 5\nold")
		reply := c.Apply(t.Context(), cache.Change{Key: key, Version: 6, Kind: cache.Value, Payload: []byte("new"), TTL: time.Hour})[0]
		if want := fmt.Sprintf("tl%d V 6\nnew", min(format, cache.FormatMax)); reply.Outcome != cache.Applied || b.bytes(t, key) != want {
			t.Errorf("format %d: %v, and there is %q, want %q", format, reply.Outcome, b.bytes(t, key), want)
		}
	}
}
