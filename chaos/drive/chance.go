package drive

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// ranks draws keys, the first more often than the last.
type ranks struct {
	names []string
	upTo  []float64 // the sum of the weights up to each key; empty when all weigh the same
}

// newRanks makes ranks of these keys.
func newRanks(names []string, skew float64) *ranks {
	r := &ranks{names: names}
	sum := 0.0
	for i := range names {
		if skew != 0 {
			sum += math.Pow(float64(i+1), -skew)
			r.upTo = append(r.upTo, sum)
		}
	}
	return r
}

func (r *ranks) draw(rng *rand.Rand) string {
	if len(r.upTo) == 0 {
		return r.names[rng.IntN(len(r.names))]
	}
	at, _ := slices.BinarySearch(r.upTo, rng.Float64()*r.upTo[len(r.upTo)-1])
	return r.names[min(at, len(r.names)-1)]
}

// several draws up to n different keys, sorted.
func (r *ranks) several(rng *rand.Rand, n int) []string {
	var keys []string
	for range n {
		if key := r.draw(rng); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// weighted draws an index in proportion to the weights. Where all are 0 they count as equal.
func weighted(rng *rand.Rand, weights ...float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	if sum <= 0 {
		return rng.IntN(len(weights))
	}
	x := rng.Float64() * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return slices.Index(weights, slices.Max(weights)) // rounding has left a crumb
}

// padding is n bytes that tell of which write they are.
func padding(id int64, n int) string {
	text := strconv.FormatInt(id, 36) + "."
	return strings.Repeat(text, n/len(text)+1)[:n]
}
