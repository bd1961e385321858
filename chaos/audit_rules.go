package chaos

import "fmt"

// counts reports whether the snapshot may be held against what a server holds.
func (s *snapshot) counts(seen *sight) bool {
	return s.run != "" && s.run == seen.run && !s.doubt && !s.moved
}

// stale lists what the cache holds although something newer was settled when the snapshot was taken. What it holds was read later, so it may
// be newer than the snapshot.
func (s *snapshot) stale(seen *sight) (found []finding) {
	for key, f := range s.facts {
		e := seen.entries[key]
		if e.kind != "V" && e.kind != "A" {
			continue
		}
		switch {
		case !f.pending && e.version < f.version:
			found = append(found, s.finding(key, e, f, "was settled, and the cache holds something older"))
		case !f.pending && e.kind == "V" && e.n < f.n:
			found = append(found, s.finding(key, e, f, "was settled, and the cache holds an older row under a label that is not"))
		case f.version > 0 && e.version == f.version && e.kind == "V" && (f.gone || e.n != f.n || e.op != f.op):
			found = append(found, s.finding(key, e, f, "was committed, and the cache holds something else under its label"))
		case f.version > 0 && e.version == f.version && e.kind == "A" && !f.gone:
			found = append(found, s.finding(key, e, f, "was committed, and the cache says that there is none"))
		}
	}
	return found
}

// uncommitted lists what the cache held before this snapshot was taken, although it was not committed by then.
func (s *snapshot) uncommitted(held *sight) (found []finding) {
	if held == nil || s.moved || s.run != held.run || s.history != held.history {
		return nil
	}
	for key, f := range s.facts {
		if e := held.entries[key]; e.kind != "" && f.version > 0 && e.version > f.version {
			found = append(found, s.finding(key, e, f, "is the latest that is committed, and the cache held something newer before"))
		}
	}
	return found
}

func (s *snapshot) finding(key string, e entry, f fact, what string) finding {
	return finding{
		id: fmt.Sprint(key, e, what),
		text: fmt.Sprintf("%s: version %d (N %d, op %d, gone %t, pending %t) %s: %s %d (N %d, op %d)",
			key, f.version, f.n, f.op, f.gone, f.pending, what, e.kind, e.version, e.n, e.op),
	}
}
