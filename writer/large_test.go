package writer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/writer"
)

// TestLargePayloads: what is too large for a record comes to the cache all the same. Where that failed the record has no payload, and a relay takes away what is
// older.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	for name, write := range everyWay {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			keys := v.warm(t, v.numbered(t, 3)...)
			small, large := strings.Repeat("s", 1000), strings.Repeat("l", 1001)
			most := func(c *writer.Config) { c.RecordMax = len(small) }
			result, err := write(t.Context(), v, v.writer(t, most), keys[0], large)
			if must(t, err); result.Keys[0].Outcome != writer.Applied {
				t.Errorf("with the cache well: %+v", result)
			}
			v.holds(t, keys[0], large)

			away := v.writer(t, most, func(c *writer.Config) { c.Cache = rig.Cache(t, "valkey://127.0.0.1:1") })
			for key, value := range map[string]string{keys[1]: small, keys[2]: large} {
				result, err := write(t.Context(), v, away, key, value)
				if must(t, err); !result.Deferred() {
					t.Errorf("without the cache: %+v", result)
				}
			}
			for key, want := range map[string]string{keys[1]: "set 1000", keys[2]: "invalidate 0"} {
				got := value[string](t, v, "SELECT kind || ' ' || coalesce(octet_length(payload), 0) FROM tidelock.outbox WHERE key = $1", key)
				if got != want {
					t.Errorf("the record of %s is %q, want %q", key, got, want)
				}
			}
			v.relay(t, v.cache)
			stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "a relay settles it")
			v.holds(t, keys[1], small)
			if e := v.entry(t, keys[2]); e.Hit() {
				t.Errorf("the cache serves %.9s… of version %d", e.Payload, e.Version)
			}
		})
	}
}

// TestLargePayloadOfAnAttachedTable is recorded whole: by its kind it is told that the row has changed once more.
func TestLargePayloadOfAnAttachedTable(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.attach(t)
	key := v.prefix + "flight:1"
	w := v.writer(t, func(c *writer.Config) { c.RecordMax = 1 })
	put := writer.Put{Key: key, SQL: "UPDATE flights SET number = 'new' WHERE id = 1 RETURNING row_to_json(flights)"}
	result, err := w.Put(t.Context(), put)
	must(t, err)
	if e := v.entry(t, key); string(e.Payload) != string(result.Payload) || e.Version != result.Version() {
		t.Errorf("the cache holds %+v, want %s of version %d", e, result.Payload, result.Version())
	}
	result, err = w.Write(t.Context(), func(ctx context.Context, tx *writer.Tx) error {
		var payload []byte
		if err := tx.QueryRow(ctx, put.SQL).Scan(&payload); err != nil {
			return err
		}
		if err := tx.Change(writer.Set(key, payload)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE seats SET taken = true")
		return err
	})
	must(t, err)
	if e := v.entry(t, key); e.Hit() || result.Deferred() {
		t.Errorf("the cache holds %+v, which the transaction has changed again: %+v", e, result)
	}
}
