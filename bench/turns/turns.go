// Package turns lets subjects take turns at the same work: A B C, A B C, and so on, so that whatever else the machine does
// meanwhile falls on all of them alike. A figure is the median over the rounds, and a ratio is taken inside each round.
package turns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// Plan says how long the subjects work.
type Plan struct {
	// Rounds is how often each subject has its turn.
	Rounds int
	// Turn is how long a turn is measured, after Warm in which it is not.
	Turn, Warm time.Duration
	// Idle is the processor time that each program uses while there is no work, in microseconds a second: see Idle. It is not counted.
	Idle map[string]float64
}

// Cell is one kind of work.
type Cell struct {
	Clients int
	Payload int  // bytes
	Keys    int  // how many there are
	Zipf    bool // some keys are much more popular than others
	Sweep   bool // each key in its turn, once
}

// String returns the cell's name, as it stands in the results.
func (c Cell) String() string {
	spread := "uniform"
	if c.Zipf {
		spread = "zipf"
	}
	return fmt.Sprintf("c%d.%s.%s", c.Clients, Size(c.Payload), spread)
}

// Size writes a number of bytes.
func Size(n int) string {
	if n >= 1024 && n%1024 == 0 {
		return fmt.Sprintf("%dKiB", n/1024)
	}
	return fmt.Sprintf("%dB", n)
}

// Subject is one way to do the work. Do does it once; an error ends the whole run, for a subject that fails is not measured. An operation that
// ran out of time is counted apart, and ends the run only if no other has succeeded in that turn.
type Subject struct {
	Name string
	Do   func(ctx context.Context, c *Client) error
	// Alone, if set, takes a whole turn by itself: a program that has clients of its own. What it returns has no processor time.
	Alone func(ctx context.Context, cell Cell, plan Plan) (Measure, error)
}

// Run has the subjects take their turns and returns a series for each, in their order. around, if set, is called before each turn, and
// what it returns after it.
func Run(ctx context.Context, plan Plan, cell Cell, subjects []Subject, around func(subject string) (after func() error, err error)) ([]*Series, error) {
	clients := make([]*Client, cell.Clients)
	for i := range clients {
		clients[i] = NewClient(cell, i)
	}
	series := make([]*Series, len(subjects))
	for i, s := range subjects {
		series[i] = &Series{Subject: s.Name}
	}
	for range plan.Rounds {
		for i, s := range subjects {
			after := func() error { return nil }
			if around != nil {
				var err error
				if after, err = around(s.Name); err != nil {
					return nil, err
				}
			}
			m, err := s.turn(ctx, plan, cell, clients)
			if err = errors.Join(err, after()); err != nil {
				return nil, fmt.Errorf("%s, %v: %w", s.Name, cell, err)
			}
			series[i].Measures = append(series[i].Measures, m)
		}
	}
	return series, nil
}

func (s Subject) turn(ctx context.Context, plan Plan, cell Cell, clients []*Client) (Measure, error) {
	if s.Alone != nil {
		return s.Alone(ctx, cell, plan)
	}
	return take(ctx, plan, clients, s)
}

// take is one turn. An operation counts when it ends within the measured time.
func take(ctx context.Context, plan Plan, clients []*Client, s Subject) (Measure, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	runtime.GC()
	ours := family(os.Getpid())
	from := time.Now().Add(plan.Warm)
	until := from.Add(plan.Turn)
	var work sync.WaitGroup
	for _, c := range clients {
		work.Go(func() {
			if err := c.run(ctx, s, from, until); err != nil {
				cancel(err)
			}
		})
	}
	var begun, ended counters
	work.Go(func() {
		time.Sleep(time.Until(from))
		begun = readCounters(ours)
		time.Sleep(time.Until(until))
		ended = readCounters(ours)
	})
	work.Wait()
	if err := context.Cause(ctx); err != nil {
		return Measure{}, err
	}
	done, late := 0, 0
	for _, c := range clients {
		done, late = done+c.done, late+c.late
	}
	if done == 0 && late > 0 {
		return Measure{}, errors.New("every operation ran out of time")
	}
	return measure(clients, plan, begun, ended), nil
}
