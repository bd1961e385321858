package chaos

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

// Scenario is one way in which things go wrong.
type Scenario struct {
	// Name is area/what: "valkey/killed".
	Name string
	// Needs says what the faults need beside the plain stage.
	Needs Topology
	// Traffic, if set, changes how the drivers are tuned.
	Traffic func(*Traffic)
	// Faults is what happens. It returns when the time of the faults is over.
	Faults Fault
	// Lasts is how long the faults last at least, if that is longer than usual.
	Lasts time.Duration
	// Pruned says that versions are pruned, so that labels may be floors.
	Pruned bool
	// Alone keeps the scenario out of pairs.
	Alone bool
}

// Topology is what a stage has beside one server of each kind.
type Topology struct {
	OwnPostgres bool     // a Postgres of its own, with fsync, that may be wrecked
	AsyncCommit bool     // in a database where synchronous_commit is off
	Standby     bool     // and a standby that streams from it
	Replica     bool     // a replica of Valkey
	Sentinel    bool     // and sentinels that watch both; clients ask them for the primary
	ValkeyClock bool     // a Valkey whose clock can be set
	Valkey      []string // further arguments of Valkey
}

func (t Topology) with(o Topology) Topology {
	return Topology{
		OwnPostgres: t.OwnPostgres || o.OwnPostgres,
		AsyncCommit: t.AsyncCommit || o.AsyncCommit,
		Standby:     t.Standby || o.Standby,
		Replica:     t.Replica || o.Replica,
		Sentinel:    t.Sentinel || o.Sentinel,
		ValkeyClock: t.ValkeyClock || o.ValkeyClock,
		Valkey:      slices.Concat(t.Valkey, o.Valkey),
	}
}

// area is the first part of the name.
func (s Scenario) area() string {
	area, _, _ := strings.Cut(s.Name, "/")
	return area
}

// matches reports whether the name fits one of the patterns; no pattern fits all.
func (s Scenario) matches(patterns []string) (bool, error) {
	if len(patterns) == 0 {
		return true, nil
	}
	for _, p := range patterns {
		fits, err := path.Match(p, s.Name)
		if err != nil {
			return false, fmt.Errorf("reading the pattern %q: %w", p, err)
		}
		if fits || p == s.Name || p == s.area() {
			return true, nil
		}
	}
	return false, nil
}

// pair is both scenarios at once. They are of different areas, so neither meddles with what the other one broke.
func pair(a, b Scenario) Scenario {
	if b.Name < a.Name {
		a, b = b, a
	}
	return Scenario{
		Name:  a.Name + "+" + b.Name,
		Needs: a.Needs.with(b.Needs),
		Traffic: func(t *Traffic) {
			for _, tune := range []func(*Traffic){a.Traffic, b.Traffic} {
				if tune != nil {
					tune(t)
				}
			}
		},
		Faults: together(a.Faults, b.Faults),
		Lasts:  max(a.Lasts, b.Lasts),
		Alone:  true,
	}
}

// joined are the scenarios whose names are joined by a plus, as pair names them.
func joined(name string) (Scenario, error) {
	first, second, _ := strings.Cut(name, "+")
	var found []Scenario
	for _, want := range []string{first, second} {
		i := slices.IndexFunc(Scenarios(), func(s Scenario) bool { return s.Name == want })
		if i < 0 {
			return Scenario{}, fmt.Errorf("there is no scenario %q", want)
		}
		found = append(found, Scenarios()[i])
	}
	return pair(found[0], found[1]), nil
}

// randomPair takes two scenarios of different areas.
func randomPair(r *rand.Rand, from []Scenario) (Scenario, bool) {
	var fit []Scenario
	for _, s := range from {
		if !s.Alone {
			fit = append(fit, s)
		}
	}
	slices.SortFunc(fit, func(a, b Scenario) int { return cmp.Compare(a.Name, b.Name) })
	if len(fit) == 0 || fit[0].area() == fit[len(fit)-1].area() {
		return Scenario{}, false
	}
	for {
		if a, b := pick(r, fit), pick(r, fit); a.area() != b.area() {
			return pair(a, b), true
		}
	}
}

// Scenarios returns all of them, sorted as the table shows them.
func Scenarios() []Scenario {
	return slices.Concat(valkeyScenarios(), networkScenarios(), processScenarios(), natsScenarios(), postgresScenarios(), guardianScenarios(), leaseScenarios(), allScenarios())
}

// seedOf gives each run of a scenario a seed of its own, that follows from the suite's.
func seedOf(seed uint64, parts ...string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d", seed)
	for _, p := range parts {
		fmt.Fprintf(h, "/%s", p)
	}
	return h.Sum64() >> 1 // fits a signed number too
}
