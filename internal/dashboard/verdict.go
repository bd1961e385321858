package dashboard

import (
	"slices"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// Level is how good or bad something is.
type Level string

// The levels, each with a colour and a shape of its own on the page.
const (
	Good    Level = "good"
	Warn    Level = "warn"
	Bad     Level = "bad"
	Unknown Level = "unknown"
)

// Verdict answers whether the cache can be trusted now.
type Verdict struct {
	Level Level  `json:"level"`
	Word  string `json:"word"`
	Text  string `json:"text"`
	// Why is the reason, empty where the text says it all.
	Why string `json:"why,omitempty"`
	// Since is when this began, in milliseconds since 1970: by Postgres's clock for a phase of the trust, else by this machine's.
	Since int64 `json:"since"`
}

// judge says what a look comes to. What hides the rest comes first.
func judge(s sight) Verdict {
	switch {
	case s.postgres != nil:
		return Verdict{Level: Unknown, Word: "Unknown", Text: "Postgres does not answer this relay, and only Postgres knows. Hits are served, misses and writes fail.",
			Why: s.postgres.Error()}
	case s.valkey != nil || s.breaker != cache.Closed:
		return Verdict{Level: Bad, Word: "Cache down", Text: "Valkey does not answer. Reads go to Postgres; writes commit and wait here until it is back. Nothing is lost.",
			Why: cacheTrouble(s)}
	case !s.held:
		return Verdict{Level: Warn, Word: "Unguarded", Text: "No relay holds the guardian's office, so nobody vouches for the cache. " +
			"Reads with a promise go to Postgres."}
	case inDoubt(s.servers):
		return Verdict{Level: Warn, Word: "Repairing", Text: "A server has changed or lost data. What may be old is being invalidated; the rest stays warm. " +
			"Reads with a promise go to Postgres."}
	case s.stranger():
		return Verdict{Level: Warn, Word: "Another server", Text: "The server that answers is not the one on record. The guardian will find out what it lacks. " +
			"Reads with a promise go to Postgres."}
	}
	return ofPhase(s.trust)
}

func ofPhase(t outbox.Trust) Verdict {
	v := Verdict{Level: Warn, Since: t.Since.UnixMilli(), Why: t.Reason}
	switch lease.Phase(t.Phase) {
	case lease.Trusted:
		return Verdict{Level: Good, Word: "Trusted", Text: "Reads are served from the cache, and every promise about them is kept.", Since: v.Since}
	case lease.Suspending:
		v.Word, v.Text = "Suspending", "The cache is distrusted. Waiting until the last lease on it has run out."
	case lease.Suspended:
		v.Word, v.Text = "Suspended", "Nobody believes the cache. Reads with a promise go to Postgres. Nothing is lost."
	case lease.Resuming, lease.Draining:
		v.Word, v.Text = "Recovering", "The cache is well again. It is trusted as soon as all that was committed before has reached it."
	default:
		v.Level, v.Word, v.Text = Unknown, "Unknown", "The guardian says “"+t.Phase+"”, which this release does not know."
	}
	return v
}

// stranger reports whether a server answers that is not on record.
func (s sight) stranger() bool {
	return slices.ContainsFunc(s.lookups, func(l cache.Lookups) bool {
		return !slices.ContainsFunc(s.servers, func(r outbox.Server) bool { return r.RunID == l.RunID })
	})
}

func cacheTrouble(s sight) string {
	if s.valkey != nil {
		return s.valkey.Error()
	}
	return "the circuit breaker is " + s.breaker.String()
}

func inDoubt(servers []outbox.Server) bool {
	return slices.ContainsFunc(servers, outbox.Server.Doubt)
}

// spell tells since when a verdict stands where Postgres does not say.
type spell struct {
	word  string
	since time.Time
}

func (p *spell) date(v *Verdict, at time.Time) {
	if p.word != v.Word {
		p.word, p.since = v.Word, at
	}
	if v.Since == 0 {
		v.Since = p.since.UnixMilli()
	}
}
