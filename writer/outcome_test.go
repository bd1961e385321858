package writer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// write writes "new" and returns what became of the key.
func (v *world) write(t *testing.T, w *writer.Writer, do way, key string) writer.KeyResult {
	t.Helper()
	result, err := do(t.Context(), v, w, key, "new")
	must(t, err)
	if len(result.Keys) != 1 || result.Keys[0].Key != key || result.Keys[0].Version == 0 {
		t.Fatalf("got %+v for %s", result, key)
	}
	if got := v.row(t, key); got != "new" {
		t.Errorf("the row of %s is %q", key, got)
	}
	return result.Keys[0]
}

func (v *world) apply(t *testing.T, c cache.Change) {
	t.Helper()
	c.TTL = time.Hour
	if r := v.cache.Apply(t.Context(), c)[0]; !r.Outcome.Done() {
		t.Fatalf("applying by hand: %+v", r)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	onWrite := v.writer(t)
	onRead := v.writer(t, func(c *writer.Config) { c.Allocate = writer.AllocateOnRead })
	const future = 1 << 60
	for name, test := range map[string]struct {
		w       *writer.Writer
		prepare func(t *testing.T, key string)
		want    writer.Outcome
		warned  bool
		entry   cache.Entry // of any version if 0
	}{
		"nothing there, allocate on write": {onWrite, nil, writer.Applied, false, cache.Entry{Kind: cache.Value}},
		"nothing there, allocate on read":  {onRead, nil, writer.Settled, false, cache.Entry{}},
		"older value":                      {onRead, v.older, writer.Applied, false, cache.Entry{Kind: cache.Value}},
		"newer value": {onWrite, func(t *testing.T, key string) {
			v.older(t, key)
			v.apply(t, cache.Change{Key: key, Version: future, Kind: cache.Value, Payload: []byte("newest")})
		}, writer.Superseded, false, cache.Entry{Kind: cache.Value, Version: future}},
		"a loader's placeholder, allocate on write": {onWrite, v.ticket, writer.Applied, false, cache.Entry{Kind: cache.Value}},
		"a loader's placeholder, allocate on read":  {onRead, v.ticket, writer.Settled, false, cache.Entry{Kind: cache.Placeholder}},
		"a newer bound": {onWrite, func(t *testing.T, key string) {
			v.ticket(t, key)
			v.apply(t, cache.Change{Key: key, Version: future, Kind: cache.Placeholder})
		}, writer.Settled, false, cache.Entry{Kind: cache.Placeholder, Version: future}},
		"another type": {onWrite, func(t *testing.T, key string) {
			must(t, v.valkey.Do(t.Context(), v.valkey.B().Rpush().Key(key).Element("x").Build()).Error())
		}, writer.Settled, true, cache.Entry{}},
	} {
		t.Run(name, func(t *testing.T) {
			for wayName, do := range ways {
				key := v.rows(t, name+wayName)[0]
				if test.prepare != nil {
					test.prepare(t, key)
				}
				got := v.write(t, test.w, do, key)
				if got.Outcome != test.want || (got.Err != nil) != test.warned {
					t.Errorf("%s: %s with warning %v, want %s", wayName, got.Outcome, got.Err, test.want)
				}
				want := test.entry
				if want.Kind != cache.None && want.Version == 0 {
					want.Version = got.Version
				}
				if e := v.entry(t, key); e.Kind != want.Kind || e.Version != want.Version {
					t.Errorf("%s: the entry is %c %d, want %c %d", wayName, e.Kind, e.Version, want.Kind, want.Version)
				}
			}
		})
	}
}

func (v *world) older(t *testing.T, key string) { v.warm(t, key) }

func (v *world) ticket(t *testing.T, key string) {
	must(t, v.cache.Ticket(t.Context(), []string{key})[0].Err)
}

// TestLoaderIsRefusedAfterAWrite: what a loader read before the write may not be stored after it.
func TestLoaderIsRefusedAfterAWrite(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t, func(c *writer.Config) { c.Allocate = writer.AllocateOnRead })
	for name, do := range ways {
		key := v.rows(t, name)[0]
		held := v.cache.Ticket(t.Context(), []string{key})[0]
		v.write(t, w, do, key)
		fill := cache.Change{Key: key, Kind: cache.Value, Payload: []byte("old"), TTL: time.Hour, Ticket: held.Ticket}
		if r := v.cache.Fill(t.Context(), fill)[0]; r.Outcome != cache.Refused || v.cached(t, key, "old") {
			t.Errorf("%s: a fill with the older value is %s", name, r.Outcome)
		}
	}
}

// TestRejectedIsSetAside: the operator hears of entries that were not ours. Others are retired meanwhile.
func TestRejectedIsSetAside(t *testing.T) {
	t.Parallel()
	v := commonWorld(t)
	w := v.writer(t)
	keys := v.rows(t, "ordinary", "list", "another list")
	v.write(t, w, viaPut, keys[0])
	stacktest.Eventually(t, patience, func() bool { return v.records(t) == 0 }, "the ordinary record is retired")
	for _, key := range keys[1:] {
		v.command(t, "RPUSH", key, "x")
		got := v.write(t, w, viaPut, key)
		var items []outbox.Item
		stacktest.Eventually(t, patience, func() bool {
			var err error
			items, err = outbox.List(t.Context(), v.db, outbox.Filter{Key: key}, 10)
			must(t, err)
			return len(items) == 1 && items[0].Aside != ""
		}, "the record is set aside")
		if items[0].Version != got.Version || !contains(got.Err, items[0].Aside) {
			t.Errorf("set aside is %+v, the warning was %v", items[0], got.Err)
		}
	}
}

// TestNotRetiredUntilSettled: with Valkey down the record is all that knows of the write.
func TestNotRetiredUntilSettled(t *testing.T) {
	t.Parallel()
	server := stacktest.OwnValkey(t)
	v := newWorldOn(t, server)
	w := v.writer(t)
	key := v.rows(t, "k")[0]
	must(t, server.Kill())
	for name, do := range ways {
		if got := v.write(t, w, do, key); got.Outcome != writer.Deferred || !errors.Is(got.Err, cache.ErrUnavailable) {
			t.Errorf("%s: %s with warning %v, want deferred", name, got.Outcome, got.Err)
		}
	}
	w.Close() // retires what it thinks is settled
	if n := v.records(t); n != len(ways) {
		t.Errorf("%d records are left, want all %d", n, len(ways))
	}
}
