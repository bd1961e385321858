package judge

import "github.com/tidelock-cache/tidelock/chaos/history"

// checkHits holds that what the cache serves does not go back between two rollbacks.
func (k *key) checkHits() {
	var top *read
	sweep(k.ended, k.reads, func(r *read) {
		if k.inLine(r) && (top == nil || r.segment > top.segment || k.label(r) > k.label(top)) {
			top = r
		}
	}, func(r *read) {
		if top != nil && k.inLine(r) && r.segment == top.segment && k.label(r) < k.label(top) {
			k.violated(Backwards, []*history.Op{r.Op, top.Op}, "%v was served from the cache after %v: it went back from %d to %d", k.label(top), k.label(r))
		}
	})
}

// inLine reports whether a read may be compared with others. Where there are no versions an absent entry has nothing to be compared.
func (k *key) inLine(r *read) bool {
	return r.Hit && r.segment != noSegment && (r.ID > 0 || k.label(r) > 0)
}

// label is the version of an entry, or its N for a subject without versions.
func (k *key) label(r *read) int64 {
	if k.versioned {
		return r.Version
	}
	return r.N
}

// client is sequential.
type client struct {
	process string
	number  int
}

// session is what a client has seen or written of a key.
type session struct {
	version, n int64
	last       *history.Op // with that version
}

// checkSessions holds that the versions which a client's session reads return do not go down, nor below what it wrote.
func (k *key) checkSessions() {
	var asked []*read
	for _, r := range k.reads {
		if r.Level == history.Session {
			asked = append(asked, r)
		}
	}
	if len(asked) == 0 {
		return
	}
	sessions := make(map[client]*session)
	of := func(op *history.Op) *session {
		c := client{op.Process, op.Client}
		s := sessions[c]
		if s == nil {
			s = &session{}
			sessions[c] = s
		}
		return s
	}
	sweep(k.acked, asked, func(w *write) { of(w.Op).saw(w.Op) }, func(r *read) {
		s := of(r.Op)
		switch {
		case s.version > r.Version && !k.sees(r, s.version):
			k.violated(Backwards, []*history.Op{r.Op, s.last}, "%v is of a session that had seen more, %v: version %d", s.version)
		case r.N > 0 && r.N < s.n:
			k.counts.SessionBack++
		}
		s.saw(r.Op)
	})
}

func (s *session) saw(op *history.Op) {
	if op.Version > s.version {
		s.version, s.last = op.Version, op
	}
	s.n = max(s.n, op.N)
}

// checkNeeds holds that a read which names a version gets at least that.
func (k *key) checkNeeds() {
	for _, r := range k.reads {
		if r.Version < r.Need && !k.sees(r, r.Need) {
			k.violated(TooOld, []*history.Op{r.Op}, "%v needed version %d", r.Need)
		}
	}
}

// sees reports whether what a read saw may be of that version at least, though its label is lower, or missing: a reader of several keys leaves
// out those without a row.
func (k *key) sees(r *read, version int64) bool {
	switch {
	case r.of != nil:
		return r.of.version >= version
	case r.ID != 0 || r.Hit && r.Version > 0:
		return false
	}
	gone := k.goneBy(r.end())
	return gone.unversioned || gone.version >= version || k.rowAt(version) == nil
}
