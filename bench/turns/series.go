package turns

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Measure is what one turn has shown.
type Measure struct {
	PerSecond float64
	P50, P99  time.Duration
	Allocs    float64 // allocations in this process for each operation, the client library's included
	Foreign   float64 // the share of the machine that others used meanwhile
	Late      int     // operations that ended by a deadline of their own; they do not count
	// Processor is the processor time of an operation in microseconds, of this process and all servers: others cannot take it away.
	Processor float64
	// By is the same by program.
	By map[string]float64
}

func measure(clients []*Client, plan Plan, begun, ended counters) Measure {
	all := hdrhistogram.New(1, int64(time.Minute/tick), 3)
	late := 0
	for _, c := range clients {
		all.Merge(c.times)
		late += c.late
	}
	n := float64(all.TotalCount())
	by, sum := spent(begun, ended), 0.0
	for program, us := range by {
		by[program] = max(0, us-plan.Idle[program]*plan.Turn.Seconds()) / max(n, 1)
		sum += by[program]
	}
	return Measure{
		Processor: sum,
		By:        by,
		PerSecond: n / plan.Turn.Seconds(),
		P50:       time.Duration(all.ValueAtQuantile(50)) * tick,
		P99:       time.Duration(all.ValueAtQuantile(99)) * tick,
		Allocs:    float64(ended.mallocs-begun.mallocs) / max(n, 1),
		Foreign:   foreign(begun, ended),
		Late:      late,
	}
}

// Series is a subject's turns, one a round.
type Series struct {
	Subject  string
	Measures []Measure
}

// Spread is a median and the range around it.
type Spread struct{ Median, Low, High float64 }

// Of returns the median of what the turns say, and the range.
func (s *Series) Of(what func(Measure) float64) Spread {
	values := make([]float64, len(s.Measures))
	for i, m := range s.Measures {
		values[i] = what(m)
	}
	return SpreadOf(values)
}

// Ratio returns the ratio of two series, taken inside each round.
func Ratio(ours, theirs *Series, what func(Measure) float64) Spread {
	values := make([]float64, min(len(ours.Measures), len(theirs.Measures)))
	for i := range values {
		if below := what(theirs.Measures[i]); below > 0 {
			values[i] = what(ours.Measures[i]) / below
		}
	}
	return SpreadOf(values)
}

// SpreadOf returns the median and the range of values, the zero Spread for none.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Median: median, Low: sorted[0], High: sorted[len(sorted)-1]}
}

// PerSecond is operations a second.
func PerSecond(m Measure) float64 { return m.PerSecond }

// P50 is the median latency in microseconds.
func P50(m Measure) float64 { return float64(m.P50) / float64(time.Microsecond) }

// P99 is the latency in microseconds that one operation in a hundred exceeds.
func P99(m Measure) float64 { return float64(m.P99) / float64(time.Microsecond) }

// Allocs is allocations an operation.
func Allocs(m Measure) float64 { return m.Allocs }

// Processor is processor time an operation in microseconds.
func Processor(m Measure) float64 { return m.Processor }

// Foreign is the share of the machine that others used.
func Foreign(m Measure) float64 { return m.Foreign }

// Late is how many operations ended by a deadline of their own.
func Late(m Measure) float64 { return float64(m.Late) }
