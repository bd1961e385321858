package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/chaos/judge"
)

// table prints the results as they come. Its methods may be called from several goroutines.
type table struct {
	mu  sync.Mutex
	out io.Writer
}

const (
	tableHead = "%-44s %-9s %7s %7s %6s %7s %5s %4s %7s %5s %4s %7s  %s\n"
	tableLine = "%-44s %-9s %7d %7d %6d %7d %5s %4d %7d %5s %4d %7.0f  %s\n"
)

// head names the columns: the stale reads are those of the default level; what follows are the strict ones, how many of them the cache served, and the
// violations of rule L; the same of the reads within a bound, with rule B; and the slowest convergence.
func (t *table) head() {
	t.printf(tableHead, "scenario", "subject", "ops", "faults", "stale", "strict", "hits", "L", "within", "hits", "B", "max ms", "verdict")
}

func (t *table) line(r Result) {
	strict, within := r.Levels[history.Strict], r.Levels[history.Within]
	t.printf(tableLine, r.Scenario, r.Subject, r.Operations, r.Faults, r.Levels[history.Default].Stale, strict.Checked(), percent(strict.Share()),
		r.Rules[string(judge.NotLinear)], within.Checked(), percent(within.Share()), r.Rules[string(judge.OutOfBound)], r.Max, r.verdict())
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
