package chaos

import "testing"

func TestAuditorKnowsStaleFromFresh(t *testing.T) {
	settled := fact{version: 5, n: 3, op: 30}
	for _, c := range []struct {
		name  string
		fact  fact
		entry string
		stale bool
	}{
		{"nothing", settled, "", false},
		{"bytes of somebody else", settled, "not ours", false},
		{"a placeholder", settled, "tl1 P 2 TOKEN\n", false},
		{"the value", settled, "tl1 V 5\n" + `{"n" : 3, "op" : 30, "pad" : "x"}`, false},
		{"a newer value", settled, "tl1 V 6\n" + `{"n" : 4, "op" : 40, "pad" : "x"}`, false},
		{"an older value", settled, "tl1 V 4\n" + `{"n" : 2, "op" : 20, "pad" : "x"}`, true},
		{"an older value while a record waits", fact{version: 5, n: 3, op: 30, pending: true}, "tl1 V 4\n" + `{"n" : 2, "op" : 20}`, false},
		{"an older row under the label", settled, "tl1 V 5\n" + `{"n" : 2, "op" : 20, "pad" : "x"}`, true},
		{"an older row under a floor", fact{n: 3, op: 30}, "tl1 V 9\n" + `{"n" : 2, "op" : 20, "pad" : "x"}`, true},
		{"an older absence", settled, "tl1 A 4\n", true},
		{"an absence of a row that is there", settled, "tl1 A 5\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &snapshot{run: "a", facts: map[string]fact{"row:1": c.fact}}
			seen := &sight{run: "a", entries: map[string]entry{"row:1": parseEntry([]byte(c.entry))}}
			if !s.counts(seen) {
				t.Fatal("the look does not count")
			}
			if found := s.stale(seen); (len(found) > 0) != c.stale {
				t.Errorf("found %v", found)
			}
		})
	}
}

func TestAuditorCountsNoLookInDoubt(t *testing.T) {
	for name, s := range map[string]*snapshot{
		"another server": {run: "b"}, "none on record": {}, "in doubt": {run: "a", doubt: true}, "another history": {run: "a", moved: true},
	} {
		if s.counts(&sight{run: "a"}) {
			t.Errorf("%s: it counts", name)
		}
	}
}

func TestAuditorFindsWhatIsNotCommitted(t *testing.T) {
	held := &sight{run: "a", entries: map[string]entry{"row:1": parseEntry([]byte("tl1 V 6\n{}"))}}
	s := &snapshot{run: "a", facts: map[string]fact{"row:1": {version: 5}}}
	if len(s.uncommitted(held)) != 1 {
		t.Error("version 6 is in the cache, 5 is the latest, and nothing is found")
	}
	s.facts["row:1"] = fact{version: 6}
	if len(s.uncommitted(held)) != 0 || len(s.uncommitted(nil)) != 0 {
		t.Error("something is found where nothing is")
	}
}
