package dashboard

import (
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// happened notes what is different from one look to the next. before is nil at the first.
func (t *timeline) happened(before *sight, s sight) {
	if before == nil {
		t.add(s.at, Unknown, "page", "This relay's dashboard began to look.")
		before = &sight{nats: true, told: told{held: true}}
	}
	t.outage(s.at, "postgres", "Postgres", before.postgres != nil, s.postgres != nil)
	t.outage(s.at, "nats", "NATS", !before.nats, !s.nats)
	t.outage(s.at, "cache", "Valkey", unwell(*before), unwell(s))
	if s.postgres != nil {
		return
	}
	t.guarding(*before, s)
	t.trusting(*before, s)
	for _, server := range s.servers {
		t.server(s.at, known(before.servers, server.Shard), server)
	}
	if more := s.counts.Aside - before.counts.Aside; more > 0 {
		t.add(s.at, Bad, "records", fmt.Sprintf("Set aside, for their values cannot be stored: %d records.", more))
	}
}

func unwell(s sight) bool { return s.valkey != nil || s.breaker != cache.Closed }

func (t *timeline) outage(at time.Time, kind, name string, before, now bool) {
	switch {
	case now && !before:
		t.add(at, Bad, kind, name+" does not answer.")
	case before && !now:
		t.add(at, Good, kind, name+" answers again.")
	}
}

func (t *timeline) guarding(before, s sight) {
	switch {
	case !s.held && before.held:
		t.add(s.at, Warn, "guardian", "Nobody holds the guardian's office.")
	case s.held && (!before.held || s.office.Term != before.office.Term):
		t.add(s.at, Unknown, "guardian", fmt.Sprintf("A guardian is in office, in term %d.", s.office.Term))
	}
}

// trusting notes that the trust has begun or ended, and a distrust that came and went between two looks. The phases between are the guardian's business.
func (t *timeline) trusting(before, s sight) {
	is, was := trusted(s), trusted(before)
	switch at := s.trust.Since; {
	case is && was && at.Equal(before.trust.Since):
	case is && was:
		t.add(at, Good, "trust", "The cache is trusted. It was not for a moment: "+s.trust.Reason+".")
	case is && t.distrusted.IsZero():
		t.add(at, Good, "trust", "The cache is trusted.")
	case is:
		t.add(at, Good, "trust", fmt.Sprintf("The cache is trusted again, after %v.", at.Sub(t.distrusted).Round(100*time.Millisecond)))
	case was || s.trust.Reason != before.trust.Reason:
		if was || t.distrusted.IsZero() {
			t.distrusted = at
		}
		t.add(at, Warn, "trust", "The cache is not trusted: "+s.trust.Reason+".")
	}
}

func trusted(s sight) bool { return s.trust.Phase == string(lease.Trusted) }

func known(servers []outbox.Server, shard string) outbox.Server {
	for _, s := range servers {
		if s.Shard == shard {
			return s
		}
	}
	return outbox.Server{}
}

func (t *timeline) server(at time.Time, before, s outbox.Server) {
	of := ""
	if s.Shard != "" {
		of = " of shard " + s.Shard
	}
	if s.RunID != before.RunID {
		t.add(at, Unknown, "server", fmt.Sprintf("The server%s on record is %.8s.", of, s.RunID))
	}
	switch {
	case s.Doubt() && (s.Doubts != before.Doubts || !before.Doubt()):
		t.add(at, Warn, "repair", "A repair"+of+" is under way.")
	case !s.Doubt() && s.Doubts == before.Doubts && before.Doubt(), !s.Doubt() && before.RunID != "" && s.Doubts != before.Doubts:
		t.add(at, Good, "repair", fmt.Sprintf("The repair%s has ended; it looked at %d keys.", of, s.Looked))
	}
}
