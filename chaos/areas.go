package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/chaos/judge"
)

// Area sums up scenarios: those whose names begin alike, or pairs of them.
type Area struct {
	Name       string         `json:"name"`
	Scenarios  int            `json:"scenarios"`
	Operations int            `json:"operations"`
	Faults     int            `json:"faults"`
	Rules      map[string]int `json:"rules,omitempty"`
	Max        float64        `json:"convergence_max_ms"`
	Levels     Levels         `json:"levels"`
	Searched   int            `json:"searched"`
	Unsearched int            `json:"unsearched"`
}

// pairsArea is that of pairs.
const pairsArea = "pairs"

func (a *Area) add(r Result) {
	a.Scenarios++
	a.Operations += r.Operations
	a.Faults += r.Faults
	a.Max = max(a.Max, r.Max)
	a.Levels.add(r.Levels)
	a.Searched += r.Searched
	a.Unsearched += r.Unsearched
	for rule, n := range r.Rules {
		a.Rules[rule] += n
	}
}

func (r Result) area() string {
	switch name := (Scenario{Name: r.Scenario}).area(); {
	case r.Subject != ours:
		return r.Subject
	case strings.Contains(r.Scenario, "+"):
		return pairsArea
	default:
		return name
	}
}

// sumUp sums up the areas. whole says that the run was of everything, so that it ought to prove something.
func (r *Report) sumUp(whole bool) {
	byName := map[string]*Area{}
	var order []string
	for _, res := range r.Results {
		name := res.area()
		if byName[name] == nil {
			byName[name] = &Area{Name: name, Rules: map[string]int{}, Levels: Levels{}}
			order = append(order, name)
		}
		byName[name].add(res)
	}
	r.Areas = nil
	for _, name := range order {
		r.Areas = append(r.Areas, *byName[name])
	}
	r.Weak = nil
	if whole {
		r.Weak = r.weaknesses()
	}
}

// calmHits are the shares of the reads which need leases that the cache has to serve while nothing is wrong, at least. If it did not, Postgres has kept the
// promise. Half of the bounds are the least that can be proven, and are not always.
var calmHits = map[history.Level]float64{history.Strict: 0.2, history.Within: 0.05}

// weaknesses are why a run of everything proves less than it should.
func (r *Report) weaknesses() (weak []string) {
	if s := r.Subjects[ours]; s != nil {
		if s.Levels[history.Default].Stale == 0 {
			weak = append(weak, "not sharp: no read at Tidelock's default level was stale, so the faults were too kind")
		}
		for _, level := range []history.Level{history.Within, history.Strict} {
			if l := s.Levels[level]; l.CalmShare() < calmHits[level] {
				weak = append(weak, fmt.Sprintf("%.0f %% of the %d %s reads before the faults were served from the cache: less than %.0f %% prove nothing",
					100*l.CalmShare(), l.Calm, level, 100*calmHits[level]))
			}
		}
	}
	if s := r.Subjects["naive"]; s != nil {
		for _, rule := range []judge.Rule{judge.NotLinear, judge.OutOfBound} {
			if s.Rules[string(rule)] == 0 {
				weak = append(weak, fmt.Sprintf("not sharp: the naive cache has not violated rule %s", rule))
			}
		}
	}
	return weak
}

const (
	areaHead = "%-14s %9s %10s %7s %7s %8s %5s %4s %8s %5s %4s %8s  %s\n"
	areaLine = "%-14s %9d %10d %7d %7d %8d %5s %4d %8d %5s %4d %8.0f  %s\n"
)

// print adds the areas to the table, and what is weak.
func (r *Report) print(t *table) {
	t.printf("\n"+areaHead, "area", "scenarios", "ops", "faults", "stale", "strict", "hits", "L", "within", "hits", "B", "max ms", "violations of other rules")
	for _, a := range r.Areas {
		strict, within := a.Levels[history.Strict], a.Levels[history.Within]
		t.printf(areaLine, a.Name, a.Scenarios, a.Operations, a.Faults, a.Levels[history.Default].Stale, strict.Checked(), percent(strict.Share()),
			a.Rules[string(judge.NotLinear)], within.Checked(), percent(within.Share()), a.Rules[string(judge.OutOfBound)], a.Max, a.others())
	}
	t.printf("\n")
	for _, level := range []history.Level{history.Strict, history.Within} {
		if s := r.Subjects[ours]; s != nil {
			l := s.Levels[level]
			t.printf("%s reads before the faults: %d, %s of them served from the cache; of all %d: %s, and %d could not be had\n",
				level, l.Calm, percent(l.CalmShare()), l.Reads, percent(l.Share()), l.Errors)
		}
	}
	for _, weak := range r.Weak {
		t.printf("WEAK: %s\n", weak)
	}
}

// others are the violations that have no column.
func (a Area) others() string {
	var words []string
	for _, rule := range slices.Sorted(maps.Keys(a.Rules)) {
		if rule != string(judge.NotLinear) && rule != string(judge.OutOfBound) {
			words = append(words, fmt.Sprintf("%s×%d", rule, a.Rules[rule]))
		}
	}
	return strings.Join(words, " ")
}

func percent(share float64) string { return fmt.Sprintf("%.0f%%", 100*share) }
