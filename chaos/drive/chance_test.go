package drive

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRanks(t *testing.T) {
	t.Parallel()
	for _, skew := range []float64{0, 0.9, 2} {
		rng := rand.New(rand.NewPCG(1, 1))
		r := newRanks(rowKeys(10), skew)
		count := make(map[string]int)
		for range 20_000 {
			count[r.draw(rng)]++
		}
		first, last := count["row:0"], count["s:row:9"]
		if len(count) != 10 || skew == 0 && (first > 2200 || last < 1800) || skew > 0 && first < 5*last {
			t.Errorf("with skew %v: %v", skew, count)
		}
		keys := r.several(rng, 5)
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			t.Errorf("several are %v", keys)
		}
	}
}

func TestRowKeys(t *testing.T) {
	t.Parallel()
	if all, strict := rowKeys(5), strictKeys(5); !slices.Equal(all, []string{"row:0", "s:row:1", "row:2", "s:row:3", "row:4"}) || !slices.Equal(strict, []string{"s:row:1", "s:row:3"}) {
		t.Errorf("%v, %v", all, strict)
	}
}

func TestWeighted(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var equal, only [3]int
	for range 3000 {
		equal[weighted(rng, 0, 0, 0)]++
		only[weighted(rng, 0, 1, 0)]++
	}
	if slices.Min(equal[:]) < 800 || only != [3]int{0, 3000, 0} {
		t.Errorf("%v, %v", equal, only)
	}
}

func TestPadding(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 5, 1000} {
		if got := padding(1<<44+7, n); len(got) != n {
			t.Errorf("%d bytes for %d", len(got), n)
		}
	}
}

func TestRecent(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var r recent
	if _, some := r.draw(rng); some {
		t.Error("of nothing comes something")
	}
	for i := range int64(2 * recentMax) {
		r.add(acked{version: i})
	}
	for range 1000 {
		if a, some := r.draw(rng); !some || a.version < recentMax {
			t.Fatalf("got %+v", a)
		}
	}
}
