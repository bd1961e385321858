package reader_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/reader"
)

func TestGet(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r, key := f.raw(), f.key("a")
	version := f.put(key, "one").Version()
	read := func(hit bool) {
		t.Helper()
		p, err := r.Get(t.Context(), key)
		want(t, p, err, "one", hit)
		if p.Version != version {
			t.Errorf("the version is %d, want %d", p.Version, version)
		}
	}
	read(true)
	f.del(key)
	read(false)
	read(true) // the miss has filled it
	if got := r.Stats(); got != (reader.Stats{Hits: 2, Misses: 1, Loads: 1, Loaded: 1}) {
		t.Errorf("the counters are %+v", got)
	}
}

// flight is the value of the typed tests.
type flight struct {
	Number string
	Delay  int
}

// flights is a source that finds every key but those that end in "none".
func flights(loads *int) reader.Source[flight] {
	none := regexp.MustCompile("none$")
	return reader.Source[flight]{Load: func(_ context.Context, keys []string) (map[string]flight, error) {
		*loads++
		found := make(map[string]flight)
		for _, key := range keys {
			if !none.MatchString(key) {
				found[key] = flight{Number: key, Delay: len(key)}
			}
		}
		return found, nil
	}}
}

func TestTypedReader(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	var loads int
	r, err := reader.New(f.config(), flights(&loads))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	key, none := f.key("LH400"), f.key("none")
	wanted := flight{Number: key, Delay: len(key)}
	for _, hit := range []bool{false, true} {
		item, err := r.Get(t.Context(), key)
		if err != nil || item.Value != wanted || item.Hit != hit {
			t.Errorf("got %+v, %v; want %+v, hit %v", item, err, wanted, hit)
		}
		item, err = r.Get(t.Context(), none)
		if !errors.Is(err, reader.ErrNotFound) || item.Value != (flight{}) || item.Hit != hit {
			t.Errorf("got %+v, %v; want no row, hit %v", item, err, hit)
		}
		items, err := r.GetMany(t.Context(), []string{key, none, key})
		if err != nil || len(items) != 1 || items[key].Value != wanted || !items[key].Hit {
			t.Errorf("got %+v, %v; want the one row", items, err)
		}
	}
	if loads != 2 || r.Stats().Loads != 2 {
		t.Errorf("%d loads, by its own count %d; want one a key", loads, r.Stats().Loads)
	}
}

// TestGetManyCostsOneMGETAndOneLoad counts, on a server of its own, what a GetMany sends.
func TestGetManyCostsOneMGETAndOneLoad(t *testing.T) {
	t.Parallel()
	f := tableOn(t, rig.DB(t), stacktest.OwnValkey(t).URL())
	r := f.raw()
	var keys []string
	for i := range 100 {
		key := f.key(fmt.Sprint(i))
		f.insert(key, key)
		keys = append(keys, key)
	}
	if _, err := r.GetMany(t.Context(), keys[:60]); err != nil { // fills a part, and loads the scripts
		t.Fatal(err)
	}
	before, loads := r.Stats(), f.loads.Load()
	f.do(f.valkey.B().ConfigResetstat().Build())
	asked := append(append([]string{f.key("none"), f.key("none")}, keys...), keys...)
	got, err := r.GetMany(t.Context(), asked)
	if err != nil || len(got) != len(keys) {
		t.Fatalf("got %d rows, %v; want %d", len(got), err, len(keys))
	}
	for i, key := range keys {
		want(t, got[key], nil, key, i < 60)
	}
	after := r.Stats()
	if after.Loads-before.Loads != 1 || f.loads.Load()-loads != 1 || after.Loaded-before.Loaded != 41 || after.Hits-before.Hits != 60 {
		t.Errorf("the counters went from %+v to %+v; want one load of the 41 keys that are not cached", before, after)
	}
	// A ticket for each key that was missed, whose entry may be long, and one command for all fills. A ticket's script has a GET.
	if calls := f.calls(); calls["mget"] != 1 || calls["evalsha"] != 41+1 || calls["get"] != 41 || calls["eval"] != 0 {
		t.Errorf("the commands were %v", calls)
	}
}

// calls returns how often each command was called, by the server's own count; scripts' commands count too.
func (f *table) calls() map[string]int {
	f.t.Helper()
	info, err := f.valkey.Do(f.t.Context(), f.valkey.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		f.t.Fatal(err)
	}
	calls := make(map[string]int)
	for _, line := range regexp.MustCompile(`cmdstat_(\S+):calls=(\d+)`).FindAllStringSubmatch(info, -1) {
		calls[line[1]], _ = strconv.Atoi(line[2])
	}
	return calls
}

func TestGetManyOfNothing(t *testing.T) {
	t.Parallel()
	r := newTable(t).raw()
	if got, err := r.GetMany(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	f := newTable(t)
	r := f.raw()
	if _, err := r.Get(t.Context(), ""); !isKeyError(err) {
		t.Errorf("Get: %v", err)
	}
	if _, err := r.GetMany(t.Context(), []string{f.key("a"), "\x00"}); !isKeyError(err) {
		t.Errorf("GetMany: %v", err)
	}
	if n := f.loads.Load(); n != 0 {
		t.Errorf("%d loads", n)
	}
}

func isKeyError(err error) bool {
	_, ok := errors.AsType[*cache.KeyError](err)
	return ok
}
