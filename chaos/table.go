package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// table prints the results as they come. Its methods may be called from several goroutines.
type table struct {
	mu  sync.Mutex
	out io.Writer
}

const (
	tableHead = "%-44s %-9s %7s %7s %7s %8s %8s %8s  %s\n"
	tableLine = "%-44s %-9s %7d %7d %7d %8.0f %8.0f %8.0f  %s\n"
)

func (t *table) head() {
	t.printf(tableHead, "scenario", "subject", "ops", "faults", "stale", "p50 ms", "p99 ms", "max ms", "verdict")
}

func (t *table) line(r Result) {
	t.printf(tableLine, r.Scenario, r.Subject, r.Operations, r.Faults, r.Stale, r.P50, r.P99, r.Max, r.verdict())
}

func (t *table) printf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format, args...)
}

// verdict is the last column: ok, or the rules that were violated.
func (r Result) verdict() string {
	if r.Error != "" {
		return "ERROR " + strings.ReplaceAll(r.Error, "\n", " | ")
	}
	if len(r.Rules) == 0 {
		return strings.Join(append([]string{"ok"}, repairs(r.Repairs)...), ", ")
	}
	rules := make([]string, 0, len(r.Rules))
	for _, rule := range slices.Sorted(maps.Keys(r.Rules)) {
		rules = append(rules, fmt.Sprintf("%s×%d", rule, r.Rules[rule]))
	}
	word := "VIOLATED"
	if slices.Contains(liars, r.Subject) {
		word = "caught"
	}
	return word + " " + strings.Join(rules, " ")
}

// repairs says how fast the repairs were.
func repairs(all []Repair) []string {
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = r.String()
	}
	return words
}
