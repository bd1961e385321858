package outbox_test

import (
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/outbox"
)

func TestReadFlagsWhatIsSuperseded(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	old, newest := one(t, db, "k"), one(t, db, "k")
	aside, retired := one(t, db, "aside"), one(t, db, "retired")
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, aside, "why")}))
	retire(t, db, retired)

	records, err := outbox.Read(t.Context(), db, []int64{retired, newest, aside, old})
	must(t, err)
	if len(records) != 2 {
		t.Fatalf("read %d records, want the two of k", len(records))
	}
	for _, r := range records {
		if r.Superseded != (r.Version == old) || (r.Payload == nil) != r.Superseded {
			t.Errorf("version %d of %d and %d: superseded %v, payload %q", r.Version, old, newest, r.Superseded, r.Payload)
		}
	}
}

func count(t testing.TB, db outbox.DB) outbox.Stats {
	t.Helper()
	s, err := outbox.Count(t.Context(), db)
	must(t, err)
	return s
}

func TestCount(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	if s := count(t, db); s != (outbox.Stats{}) {
		t.Errorf("an empty outbox counts %+v", s)
	}
	old := one(t, db, "old")
	one(t, db, "new")
	aside := one(t, db, "aside")
	exec(t, db, "UPDATE tidelock.outbox SET created_at = now() - interval '1 h' WHERE version = ANY ($1)", []int64{old})
	exec(t, db, "UPDATE tidelock.outbox SET created_at = now() - interval '1 day' WHERE version = ANY ($1)", []int64{aside})
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, aside, "why")}))
	s := count(t, db)
	if s.Pending != 2 || s.Aside != 1 || s.Oldest < time.Hour || s.Oldest > time.Hour+time.Minute {
		t.Errorf("counted %+v, want two pending, the older an hour old, and one aside", s)
	}
}

func TestAsideUntilRetried(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	a, b, c := one(t, db, "a"), one(t, db, "b"), one(t, db, "c")
	take(t, db, 10, time.Hour) // so that there are attempts and a lease to forget
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, a, "too large"), ended(t, db, b, "a list")}))
	must(t, outbox.Release(t.Context(), db, []int64{a, b}, 0))
	if got, _ := take(t, db, 10, time.Hour); len(got) != 0 {
		t.Errorf("claimed %v, which are aside or leased", got)
	}
	retry := func(want int64, versions ...int64) {
		t.Helper()
		if n, err := outbox.Retry(t.Context(), db, versions...); n != want || err != nil {
			t.Errorf("retried %d (%v), want %d", n, err, want)
		}
	}
	retry(0, c)
	retry(1, a, c)
	got, _ := take(t, db, 10, time.Hour)
	sameSet(t, "claimed after one was retried", got, []int64{a})
	retry(1)
	got, _ = take(t, db, 10, time.Hour)
	sameSet(t, "claimed after all were retried", got, []int64{b})
	if attempts := value[int](t, db, "SELECT attempts FROM tidelock.outbox WHERE version = $1", a); attempts != 1 {
		t.Errorf("%d attempts, want the one since it was retried", attempts)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	before := time.Now().Add(-time.Minute) // the two clocks are those of one machine
	a, b := add(t, db, time.Hour, set("a", "12345"))[0], one(t, db, "b")
	c := add(t, db, 0, outbox.Record{Key: "a", Kind: outbox.Absent, TTL: time.Second})[0]
	must(t, outbox.SetAside(t.Context(), db, []outbox.Settled{ended(t, db, b, "too large")}))
	yes, no := true, false
	for name, test := range map[string]struct {
		filter outbox.Filter
		limit  int
		want   []int64
	}{
		"all":        {limit: 10, want: []int64{a, b, c}},
		"limited":    {limit: 2, want: []int64{a, b}},
		"of a key":   {filter: outbox.Filter{Key: "a"}, limit: 10, want: []int64{a, c}},
		"aside":      {filter: outbox.Filter{Aside: &yes}, limit: 10, want: []int64{b}},
		"pending":    {filter: outbox.Filter{Aside: &no}, limit: 10, want: []int64{a, c}},
		"no such":    {filter: outbox.Filter{Key: "z"}, limit: 10},
		"both apply": {filter: outbox.Filter{Key: "a", Aside: &yes}, limit: 10},
	} {
		items, err := outbox.List(t.Context(), db, test.filter, test.limit)
		must(t, err)
		var got []int64
		for _, item := range items {
			got = append(got, item.Version)
		}
		sameSet(t, name, got, test.want)
	}
	items, err := outbox.List(t.Context(), db, outbox.Filter{}, 10)
	must(t, err)
	first, second := items[0], items[1]
	if first.Created.Before(before) || first.Due.Sub(first.Created) < 50*time.Minute {
		t.Errorf("created %v, due %v, want now and an hour later", first.Created, first.Due)
	}
	first.Created, first.Due = time.Time{}, time.Time{}
	if want := (outbox.Item{Version: a, Key: "a", Kind: outbox.Set, Size: 5}); first != want {
		t.Errorf("got %+v, want %+v", first, want)
	}
	if second.Aside != "too large" {
		t.Errorf("the reason is %q", second.Aside)
	}
}
