package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Report is what a run of the suite found. Its JSON is report.json.
type Report struct {
	Seed       uint64 `json:"seed"`
	Operations int    `json:"operations"` // of Tidelock's runs
	Scenarios  int    `json:"scenarios"`  // of Tidelock's runs
	// Violations counts Tidelock's alone.
	Violations int                 `json:"violations"`
	Errors     int                 `json:"errors"` // runs that could not be held to the end
	Seconds    float64             `json:"seconds"`
	Subjects   map[string]*Subject `json:"subjects"`
	// Areas sums up Tidelock's runs by the first part of their names, in the order of the list.
	Areas []Area `json:"areas,omitempty"`
	// Weak says why the run proves less than it should: what ought to be caught was not, or what ought to come from the cache did not.
	Weak     []string  `json:"weak,omitempty"`
	Results  []Result  `json:"results"`
	Recovery *Recovery `json:"recovery,omitempty"`
	Mutants  Mutants   `json:"mutants"`
}

// Subject sums up the runs of one subject.
type Subject struct {
	Scenarios  int            `json:"scenarios"`
	Operations int            `json:"operations"`
	Violations int            `json:"violations"`
	Caught     int            `json:"caught"` // scenarios with at least one violation
	Rules      map[string]int `json:"rules,omitempty"`
	Levels     Levels         `json:"levels"`
}

// Result is one scenario with one subject.
type Result struct {
	Scenario   string         `json:"scenario"`
	Subject    string         `json:"subject"`
	Seed       uint64         `json:"seed"`
	Operations int            `json:"operations"`
	Unknown    int            `json:"unknown"` // writes whose client does not know their outcome
	Failed     int            `json:"failed"`
	Faults     int            `json:"faults"`
	Stale      int            `json:"stale_reads"`
	Rules      map[string]int `json:"rules,omitempty"` // violations of each rule
	First      string         `json:"first,omitempty"` // the first of them, in words
	P50        float64        `json:"convergence_p50_ms"`
	P99        float64        `json:"convergence_p99_ms"`
	Max        float64        `json:"convergence_max_ms"`
	Deferred   int            `json:"deferred"`
	Hits       float64        `json:"hit_ratio"`
	Levels     Levels         `json:"levels,omitempty"`
	// Searched are the operations for which porcupine looked for an order, Unsearched those for which it would have taken too long.
	Searched   int     `json:"searched"`
	Unsearched int     `json:"unsearched"`
	Seconds    float64 `json:"seconds"`
	Error      string  `json:"error,omitempty"`
	Kept       string  `json:"kept,omitempty"` // the folder of its history
	// Looks are those of the auditor that counted, Repairs what was repaired of Valkey.
	Looks   int      `json:"looks,omitempty"`
	Repairs []Repair `json:"repairs,omitempty"`
}

// violated counts violations of a rule, and keeps the first text.
func (r *Result) violated(rule string, n int, text string) {
	if n == 0 {
		return
	}
	if r.Rules == nil {
		r.Rules = map[string]int{}
	}
	r.Rules[rule] += n
	if text != "" {
		r.First = orDefault(r.First, rule+" "+text)
	}
}

// Violations sums up those of all rules.
func (r Result) Violations() int {
	sum := 0
	for _, n := range r.Rules {
		sum += n
	}
	return sum
}

// add counts a result.
func (r *Report) add(res Result) {
	r.Results = append(r.Results, res)
	if r.Subjects == nil {
		r.Subjects = map[string]*Subject{}
	}
	s := r.Subjects[res.Subject]
	if s == nil {
		s = &Subject{Rules: map[string]int{}, Levels: Levels{}}
		r.Subjects[res.Subject] = s
	}
	n := res.Violations()
	s.Scenarios++
	s.Operations += res.Operations
	s.Violations += n
	s.Levels.add(res.Levels)
	for rule, n := range res.Rules {
		s.Rules[rule] += n
	}
	if n > 0 {
		s.Caught++
	}
	if res.Error != "" {
		r.Errors++
	}
	if res.Subject == ours {
		r.Scenarios, r.Operations, r.Violations = s.Scenarios, s.Operations, s.Violations
	}
}

// Good reports whether Tidelock kept its word, every run was held to its end and proves something, the judge caught those who give none, and no
// mutant got away.
func (r Report) Good() bool {
	for name, s := range r.Subjects {
		switch liar := slices.Contains(liars, name); {
		case liar && s.Caught == 0, !liar && s.Violations > 0:
			return false
		}
	}
	return r.Errors == 0 && len(r.Weak) == 0 && r.Mutants.Killed == r.Mutants.Total
}

// write leaves the report in a file.
func (r Report) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// millis is a time in milliseconds, to a tenth.
func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// quantile returns the value below which the share q of the sorted values lies, 0 for none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Mutants says how many rules were switched off, one at a time, and of how many a scenario has noticed the lack.
type Mutants struct {
	Total  int      `json:"total"`
	Killed int      `json:"killed"`
	Each   []Mutant `json:"each,omitempty"`
}

// Mutant is one rule that was switched off.
type Mutant struct {
	Rule   string `json:"rule"`
	By     string `json:"by,omitempty"` // the scenario that caught it
	Rules  string `json:"rules,omitempty"`
	Tries  int    `json:"tries"`
	Reason string `json:"reason,omitempty"` // why none is expected to
}
