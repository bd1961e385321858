package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tidelock-cache/tidelock/bench/turns"
)

// table prints what was measured as it comes in.
type table struct{ out io.Writer }

func (t table) heading(cell turns.Cell) {
	fmt.Fprintf(t.out, "\n%d clients, %s, %s\n", cell.Clients, turns.Size(cell.Payload), strings.TrimPrefix(cell.String()[strings.LastIndexByte(cell.String(), '.'):], "."))
	fmt.Fprintf(t.out, "  %-34s %10s %19s %10s %10s %7s %26s %8s\n", "", "per second", "(lowest-highest)", "p50", "p99", "allocs", "µs of cpu: go+pg+valkey", "foreign")
}

func (t table) subject(s *turns.Series) {
	rate := s.Of(turns.PerSecond)
	fmt.Fprintf(t.out, "  %-34s %10.0f %19s %10s %10s %7.1f %26s %7.0f%%\n", s.Subject, rate.Median, fmt.Sprintf("%.0f-%.0f", rate.Low, rate.High),
		micros(s.Of(turns.P50).Median), micros(s.Of(turns.P99).Median), s.Of(turns.Allocs).Median, processor(s), 100*s.Of(turns.Foreign).Median)
}

func (t table) ratio(v versus, ours, theirs *turns.Series) {
	rate := turns.Ratio(ours, theirs, turns.PerSecond)
	cpu := ""
	if theirs.Of(turns.Processor).High > 0 { // else it was a program of its own
		cpu = fmt.Sprintf(", cpu %.2f ×", turns.Ratio(ours, theirs, turns.Processor).Median)
	}
	fmt.Fprintf(t.out, "  → %-62s %5.2f × (%.2f-%.2f), p50 %.2f ×, p99 %.2f ×%s\n", v.ours+" against "+v.theirs, rate.Median, rate.Low, rate.High,
		turns.Ratio(ours, theirs, turns.P50).Median, turns.Ratio(ours, theirs, turns.P99).Median, cpu)
}

func micros(us float64) string {
	return time.Duration(us * float64(time.Microsecond)).Round(100 * time.Nanosecond).String()
}

// processor writes the processor time of an operation: of this program, of Postgres and of Valkey.
func processor(s *turns.Series) string {
	of := func(program string) float64 {
		return s.Of(func(m turns.Measure) float64 { return m.By[program] }).Median
	}
	if s.Of(turns.Processor).High == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f = %.0f+%.0f+%.0f", s.Of(turns.Processor).Median, of("bench"), of("postgres"), of("valkey-server"))
}
