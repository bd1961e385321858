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
	byVersion  *history.Op // with that version
	byN        *history.Op // with that N
}

// checkSessions holds that what a client's session reads return does not go back, neither behind each other nor behind what it wrote: by their
// versions, and by N, for a read from Postgres may return more than its label says. A subject without versions promises nothing of the kind.
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
	if !k.versioned {
		sweep(k.acked, asked, func(w *write) { of(w.Op).saw(w.Op, w.N) }, func(r *read) {
			if s := of(r.Op); r.N > 0 && r.N < s.n {
				k.counts.SessionBack++
			}
			of(r.Op).saw(r.Op, r.N)
		})
		return
	}
	sweep(k.acked, asked, func(w *write) { of(w.Op).saw(w.Op, w.after) }, func(r *read) { k.checkSession(of(r.Op), r) })
}

// checkSession holds that a read is not behind its session.
func (k *key) checkSession(s *session, r *read) {
	switch n := k.reaches(r); {
	case s.version > r.Version && !k.sees(r, s.version):
		k.violated(Backwards, []*history.Op{r.Op, s.byVersion}, "%v is of a session that had seen more, %v: version %d", s.version)
	case n < s.n:
		k.violated(Backwards, []*history.Op{r.Op, s.byN}, "%v is of a session that had seen a newer row, %v: N %d", s.n)
	}
	s.saw(r.Op, k.lowest(r, s.n))
}

// saw notes an operation of the session, and the N that it is not below.
func (s *session) saw(op *history.Op, n int64) {
	if op.Version > s.version {
		s.version, s.byVersion = op.Version, op
	}
	if n > s.n {
		s.n, s.byN = n, op
	}
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
