package main

import (
	"context"
	"fmt"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// versus is a comparison of two subjects of one contest.
type versus struct {
	name         string // of the figure
	ours, theirs string
}

// contest is one cell that subjects work in by turns, and what is compared.
type contest struct {
	cell     turns.Cell
	subjects []turns.Subject
	compare  []versus
}

// hold runs a contest and notes its figures.
func (b *bench) hold(ctx context.Context, c contest) error {
	series, err := turns.Run(ctx, b.plan(), c.cell, c.subjects, b.profiler(c.cell))
	if err != nil {
		return err
	}
	by := make(map[string]*turns.Series, len(series))
	for _, s := range series {
		by[s.Subject] = s
		for _, m := range s.Measures {
			b.late += turns.Late(m)
		}
		prefix := fmt.Sprintf("subject.%s.%v.", slug(s.Subject), c.cell)
		b.results.Set(prefix+"per_s", s.Of(turns.PerSecond).Median)
		b.results.Set(prefix+"p50_us", s.Of(turns.P50).Median)
		b.results.Set(prefix+"p99_us", s.Of(turns.P99).Median)
		if s.Of(turns.Processor).High == 0 { // a program of its own
			continue
		}
		b.noise = append(b.noise, s.Of(turns.Foreign))
		b.results.Set(prefix+"allocs", s.Of(turns.Allocs).Median)
		for _, program := range []string{"bench", "postgres", "valkey-server"} {
			b.results.Set(prefix+"cpu_us_"+slug(program), s.Of(func(m turns.Measure) float64 { return m.By[program] }).Median)
		}
	}
	b.table.heading(c.cell)
	for _, s := range series {
		b.table.subject(s)
	}
	for _, v := range c.compare {
		b.note(v, c.cell, by[v.ours], by[v.theirs])
	}
	return b.save()
}

// note sets the figures of one comparison: the ratio beside the two figures that it is of.
func (b *bench) note(v versus, cell turns.Cell, ours, theirs *turns.Series) {
	if ours == nil || theirs == nil {
		return
	}
	prefix := fmt.Sprintf("%s.%v.", v.name, cell)
	ratio := turns.Ratio(ours, theirs, turns.PerSecond)
	b.results.Set(prefix+"ratio", ratio.Median)
	b.results.Set(prefix+"ratio_low", ratio.Low)
	b.results.Set(prefix+"ratio_high", ratio.High)
	b.results.Set(prefix+"ours_per_s", ours.Of(turns.PerSecond).Median)
	b.results.Set(prefix+"theirs_per_s", theirs.Of(turns.PerSecond).Median)
	for name, what := range map[string]func(turns.Measure) float64{"p50": turns.P50, "p99": turns.P99} {
		b.results.Set(prefix+name+"_ratio", turns.Ratio(ours, theirs, what).Median)
		b.results.Set(prefix+"ours_"+name+"_us", ours.Of(what).Median)
		b.results.Set(prefix+"theirs_"+name+"_us", theirs.Of(what).Median)
	}
	if theirs.Of(turns.Processor).High > 0 {
		b.results.Set(prefix+"cpu_ratio", turns.Ratio(ours, theirs, turns.Processor).Median)
		b.results.Set(prefix+"allocs_more", ours.Of(turns.Allocs).Median-theirs.Of(turns.Allocs).Median)
	}
	b.table.ratio(v, ours, theirs)
}
