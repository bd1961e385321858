package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// sound is a report of a run of everything that has nothing against it.
func sound() Report {
	var r Report
	r.add(Result{Scenario: "valkey/killed", Subject: ours, Operations: 100, Searched: 10, Levels: Levels{
		history.Default: {Reads: 50, Stale: 2},
		history.Strict:  {Reads: 30, Errors: 10, Hits: 5, Calm: 10, CalmHits: 4},
		history.Within:  {Reads: 20, Hits: 10, Calm: 10, CalmHits: 2},
	}})
	r.add(Result{Scenario: "valkey/paused", Subject: ours, Operations: 50, Levels: Levels{history.Strict: {Reads: 20, Hits: 15}}})
	r.add(Result{Scenario: "nats/killed+valkey/killed", Subject: ours, Operations: 7})
	r.add(Result{Scenario: "valkey/killed", Subject: "naive", Rules: map[string]int{"L": 3, "B": 1, "C": 2}})
	r.add(Result{Scenario: "valkey/killed", Subject: "aside", Rules: map[string]int{"C": 2}})
	return r
}

func TestAreas(t *testing.T) {
	r := sound()
	r.sumUp(true)
	var names []string
	for _, a := range r.Areas {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"valkey", "pairs", "naive", "aside"}) {
		t.Fatalf("the areas are %v", names)
	}
	a := r.Areas[0]
	strict := a.Levels[history.Strict]
	if a.Scenarios != 2 || a.Operations != 150 || a.Searched != 10 || strict.Checked() != 40 || strict.Share() != 0.5 || strict.CalmShare() != 0.4 {
		t.Errorf("%+v", a)
	}
	if !r.Good() {
		t.Errorf("it is not good: %v", r.Weak)
	}
}

// TestWeak has a run of everything lack one thing after the other that it has to show. A run of some scenarios need not show it.
func TestWeak(t *testing.T) {
	for want, spoil := range map[string]func(r *Report){
		"default level was stale": func(r *Report) { r.Subjects[ours].Levels[history.Default] = Level{Reads: 50} },
		"strict reads":            func(r *Report) { r.Subjects[ours].Levels[history.Strict] = Level{Reads: 50, Calm: 50, CalmHits: 9} },
		"within reads":            func(r *Report) { delete(r.Subjects[ours].Levels, history.Within) },
		"violated rule L":         func(r *Report) { delete(r.Subjects["naive"].Rules, "L") },
		"violated rule B":         func(r *Report) { delete(r.Subjects["naive"].Rules, "B") },
	} {
		r := sound()
		spoil(&r)
		r.sumUp(true)
		if len(r.Weak) != 1 || !strings.Contains(r.Weak[0], want) || r.Good() {
			t.Errorf("wanted %q, got %v", want, r.Weak)
		}
		if r.sumUp(false); len(r.Weak) > 0 || !r.Good() {
			t.Errorf("some scenarios: %v", r.Weak)
		}
	}
}
