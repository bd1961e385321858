package turns_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

var short = turns.Plan{Rounds: 3, Turn: 60 * time.Millisecond, Warm: 5 * time.Millisecond}

func TestSubjectsTakeTurns(t *testing.T) {
	var order []string
	var ops atomic.Int64
	work := func(context.Context, *turns.Client) error {
		ops.Add(1)
		return nil
	}
	around := func(subject string) (func() error, error) {
		order = append(order, subject)
		return func() error { order = append(order, "/"+subject); return nil }, nil
	}
	cell := turns.Cell{Clients: 4, Payload: 32, Keys: 10}
	series, err := turns.Run(t.Context(), short, cell, []turns.Subject{{Name: "a", Do: work}, {Name: "b", Do: work}}, around)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "/a", "b", "/b", "a", "/a", "b", "/b", "a", "/a", "b", "/b"}; !slices.Equal(order, want) {
		t.Errorf("the order was %v", order)
	}
	var counted float64
	for _, s := range series {
		if len(s.Measures) != short.Rounds {
			t.Errorf("%s has %d measures, want %d", s.Subject, len(s.Measures), short.Rounds)
		}
		for _, m := range s.Measures {
			counted += m.PerSecond * short.Turn.Seconds()
			if m.P99 < m.P50 {
				t.Errorf("p99 %v is below p50 %v", m.P99, m.P50)
			}
		}
	}
	if counted <= 0 || counted > float64(ops.Load()) {
		t.Errorf("%.0f operations were counted of %d", counted, ops.Load())
	}
}

func TestFailingSubjectEndsTheRun(t *testing.T) {
	broken := errors.New("broken")
	fails := func(context.Context, *turns.Client) error { return broken }
	_, err := turns.Run(t.Context(), short, turns.Cell{Clients: 2, Payload: 32, Keys: 10}, []turns.Subject{{Name: "a", Do: fails}}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestLateOperationsEndTheRunOnlyIfAllAreLate(t *testing.T) {
	cell := turns.Cell{Clients: 1, Payload: 32, Keys: 10}
	n := 0
	sometimes := func(context.Context, *turns.Client) error {
		if n++; n%2 == 0 {
			return fmt.Errorf("writing: %w", context.DeadlineExceeded)
		}
		return nil
	}
	series, err := turns.Run(t.Context(), short, cell, []turns.Subject{{Name: "sometimes", Do: sometimes}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if late := series[0].Of(turns.Late); late.High == 0 {
		t.Error("no operation was late")
	}
	never := func(context.Context, *turns.Client) error { return context.DeadlineExceeded }
	if _, err = turns.Run(t.Context(), short, cell, []turns.Subject{{Name: "never", Do: never}}, nil); err == nil {
		t.Error("a subject that never has time to end is measured")
	}
}

func TestLatencyIsMeasured(t *testing.T) {
	slow := func(ctx context.Context, _ *turns.Client) error {
		time.Sleep(2 * time.Millisecond)
		return nil
	}
	series, err := turns.Run(t.Context(), short, turns.Cell{Clients: 1, Payload: 32, Keys: 10}, []turns.Subject{{Name: "slow", Do: slow}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range series[0].Measures {
		if m.PerSecond > 0 && m.P50 < 1990*time.Microsecond {
			t.Errorf("the median latency is %v, want at least 2ms", m.P50)
		}
	}
	if rate := series[0].Of(turns.PerSecond); rate.High > 500 {
		t.Errorf("%v operations a second of 2 ms each", rate)
	}
}

func TestClients(t *testing.T) {
	for _, zipf := range []bool{false, true} {
		keys := make([]atomic.Int64, 100)
		var last atomic.Value
		look := func(_ context.Context, c *turns.Client) error {
			keys[c.Key()].Add(1)
			payload := string(c.Payload())
			if len(payload) != 130 || last.Swap(payload) == payload {
				return errors.New("two payloads are alike")
			}
			return nil
		}
		cell := turns.Cell{Clients: 1, Payload: 130, Keys: len(keys), Zipf: zipf}
		if _, err := turns.Run(t.Context(), short, cell, []turns.Subject{{Name: "look", Do: look}}, nil); err != nil {
			t.Fatal(err)
		}
		var sum, most int64
		for i := range keys {
			sum, most = sum+keys[i].Load(), max(most, keys[i].Load())
		}
		if popular := float64(most) / float64(sum); zipf != (popular > 0.1) {
			t.Errorf("zipf %v: the most popular key has %.2f of the requests", zipf, popular)
		}
	}
}

func TestRatioIsTakenInsideTheRounds(t *testing.T) {
	ours, theirs := &turns.Series{}, &turns.Series{}
	for _, pair := range [][2]float64{{100, 50}, {10, 5}, {300, 100}} { // the second round was ten times slower for both
		ours.Measures = append(ours.Measures, turns.Measure{PerSecond: pair[0]})
		theirs.Measures = append(theirs.Measures, turns.Measure{PerSecond: pair[1]})
	}
	if got, want := turns.Ratio(ours, theirs, turns.PerSecond), (turns.Spread{Median: 2, Low: 2, High: 3}); got != want {
		t.Errorf("the ratio is %v, want %v", got, want)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   turns.Spread
	}{
		{nil, turns.Spread{}},
		{[]float64{3}, turns.Spread{Median: 3, Low: 3, High: 3}},
		{[]float64{4, 1, 3}, turns.Spread{Median: 3, Low: 1, High: 4}},
		{[]float64{4, 1, 3, 2}, turns.Spread{Median: 2.5, Low: 1, High: 4}},
	} {
		if got := turns.SpreadOf(c.values); got != c.want {
			t.Errorf("the spread of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestCellNames(t *testing.T) {
	for cell, want := range map[turns.Cell]string{
		{Clients: 1, Payload: 130}:                 "c1.130B.uniform",
		{Clients: 64, Payload: 16384, Zipf: true}:  "c64.16KiB.zipf",
		{Clients: 256, Payload: 1024, Zipf: false}: "c256.1KiB.uniform",
	} {
		if got := cell.String(); got != want {
			t.Errorf("the cell's name is %q, want %q", got, want)
		}
	}
}
