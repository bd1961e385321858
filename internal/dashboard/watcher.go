package dashboard

import (
	"context"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/verify"
)

// Sample is what is drawn, of one second. What was not known then is nil.
type Sample struct {
	At    int64 `json:"t"` // milliseconds since 1970
	Level Level `json:"level"`
	// Writes are versions drawn a second, Hits and Misses lookups in Valkey.
	Writes *float64 `json:"writes,omitempty"`
	Hits   *float64 `json:"hits,omitempty"`
	Misses *float64 `json:"misses,omitempty"`
	// Pending and Oldest, in seconds, are of the outbox.
	Pending *float64 `json:"pending,omitempty"`
	Oldest  *float64 `json:"oldest,omitempty"`
	// Behind is how old the oldest commit may be that is not known to be settled, in seconds.
	Behind *float64 `json:"behind,omitempty"`
	// Deferred are records that the relays heard of had to bring, or found superseded, a second. Released were given back after a failure.
	Deferred *float64 `json:"deferred,omitempty"`
	Released *float64 `json:"released,omitempty"`
}

// State is what is shown of the present alone.
type State struct {
	Verdict  Verdict     `json:"verdict"`
	Phase    string      `json:"phase"` // what the guardian lets others believe; empty while nobody holds the office
	Reason   string      `json:"reason"`
	Since    int64       `json:"since"`
	Term     int64       `json:"term"`
	Postgres string      `json:"postgres"` // what is wrong, empty for nothing
	Valkey   string      `json:"valkey"`
	NATS     bool        `json:"nats"`
	Breaker  string      `json:"breaker"`
	Pending  int64       `json:"pending"`
	Aside    int64       `json:"aside"`
	Servers  []server    `json:"servers"`
	Relays   []relayView `json:"relays"`
	Audit    *Audit      `json:"audit,omitempty"`
	Records  []record    `json:"records"`
	Actions  []string    `json:"actions"` // those that can be done now
}

type now struct {
	Sample Sample `json:"sample"`
	State  State  `json:"state"`
}

type server struct {
	Shard    string `json:"shard"`
	RunID    string `json:"run_id"`
	Since    int64  `json:"since"`
	Doubt    bool   `json:"doubt"`
	Looked   int64  `json:"looked"`
	Repaired int64  `json:"repaired,omitempty"`
}

type relayView struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Self     bool   `json:"self"`
	Guardian bool   `json:"guardian"`
	Settled  int64  `json:"settled"` // records brought or found superseded, since it was started
	Released int64  `json:"released"`
	Repaired int64  `json:"repaired"`
}

type record struct {
	Version  int64  `json:"version,string"` // JavaScript's numbers are not wide enough
	Key      string `json:"key"`
	Kind     string `json:"kind"`
	Size     int    `json:"size"`
	Created  int64  `json:"created"`
	Attempts int    `json:"attempts"`
	Aside    string `json:"aside,omitempty"`
}

// Audit is what the guardian's last whole audit has found.
type Audit struct {
	At        int64          `json:"at"`
	Keys      []verify.Share `json:"keys"`
	Writes    []verify.Share `json:"writes"`
	Held      int64          `json:"held"`
	Values    int64          `json:"values"`
	Differing int64          `json:"differing"`
}

// watcher makes samples of looks. It is of one goroutine.
type watcher struct {
	*Dashboard
	eye    eye
	before *sight
	stats  map[string]relay.Stats // of the relays, at the last look
	spell  spell

	audited   *verify.Report
	auditedAt time.Time
}

func newWatcher(d *Dashboard) *watcher {
	return &watcher{Dashboard: d, eye: eye{Dashboard: d}, stats: make(map[string]relay.Stats)}
}

func (w *watcher) look(ctx context.Context) (Sample, State) {
	s := w.eye.look(ctx)
	w.peers.tell(s.office.Database, w.report(s.at))
	relays := w.peers.list()
	w.timeline.happened(w.before, s)
	verdict := judge(s)
	w.spell.date(&verdict, s.at)
	sample := w.sample(s, relays)
	sample.Level = verdict.Level
	w.before = &s
	return sample, w.state(s, verdict, relays)
}

// report is what there is to tell of this relay.
func (w *watcher) report(at time.Time) report {
	r := report{Name: w.cfg.Name, Stats: w.cfg.Relay.Stats()}
	view, held := w.cfg.Relay.Guardian()
	if r.Guardian = held; held && view.Behind > 0 {
		r.Behind = new(view.Behind.Seconds())
	}
	if audit := w.cfg.Relay.Audit(); audit != nil {
		if audit != w.audited {
			w.audited, w.auditedAt = audit, at
		}
		r.Audit = &Audit{At: w.auditedAt.UnixMilli(), Keys: audit.ByKey, Writes: audit.ByWrite, Held: audit.Held, Values: audit.Values, Differing: audit.Differing}
	}
	return r
}

func (w *watcher) sample(s sight, relays []report) Sample {
	sample := Sample{At: s.at.UnixMilli()}
	if s.postgres == nil {
		sample.Pending, sample.Oldest = new(float64(s.counts.Pending)), new(s.counts.Oldest.Seconds())
	}
	for _, r := range relays {
		if r.Guardian {
			sample.Behind = r.Behind
		}
	}
	if before := w.before; before != nil {
		seconds := s.at.Sub(before.at).Seconds()
		if s.postgres == nil && before.postgres == nil && s.office.History == before.office.History { // a new history skips versions
			sample.Writes = rate(s.drawn-before.drawn, seconds)
		}
		if hits, misses, known := since(before.lookups, s.lookups); known {
			sample.Hits, sample.Misses = rate(hits, seconds), rate(misses, seconds)
		}
		w.rates(&sample, relays, seconds)
	}
	for _, r := range relays {
		w.stats[r.ID] = r.Stats
	}
	return sample
}

// since returns the lookups between two looks, unknown when the servers are others.
func since(before, now []cache.Lookups) (hits, misses int64, known bool) {
	at := make(map[string]cache.Lookups)
	for _, l := range before {
		at[l.RunID] = l
	}
	for _, l := range now {
		last, same := at[l.RunID]
		if !same {
			return 0, 0, false
		}
		hits, misses = hits+l.Hits-last.Hits, misses+l.Misses-last.Misses
	}
	return hits, misses, len(now) > 0 && len(now) == len(before)
}

// rates adds what the relays have done since the last look, those that were heard of then.
func (w *watcher) rates(sample *Sample, relays []report, seconds float64) {
	var deferred, released int64
	for _, r := range relays {
		if last, known := w.stats[r.ID]; known {
			deferred += max(0, r.Stats.Settled-last.Settled)
			released += max(0, r.Stats.Released-last.Released)
		}
	}
	clear(w.stats)
	sample.Deferred, sample.Released = rate(deferred, seconds), rate(released, seconds)
}

func rate(n int64, seconds float64) *float64 {
	if n < 0 || seconds <= 0 {
		return nil
	}
	return new(float64(n) / seconds)
}

func (w *watcher) state(s sight, verdict Verdict, relays []report) State {
	state := State{Verdict: verdict, Term: s.office.Term, Reason: s.trust.Reason, Since: s.trust.Since.UnixMilli(), NATS: s.nats, Breaker: s.breaker.String(),
		Pending: s.counts.Pending, Aside: s.counts.Aside, Postgres: text(s.postgres), Valkey: text(s.valkey), Actions: []string{}}
	if s.held && s.postgres == nil {
		state.Phase = s.trust.Phase
	}
	for _, r := range relays {
		state.Relays = append(state.Relays, relayView{ID: r.ID, Name: r.Name, Self: r.ID == w.peers.id, Guardian: r.Guardian, Settled: r.Stats.Settled,
			Released: r.Stats.Released, Repaired: r.Stats.Repaired})
		if r.Audit != nil && (state.Audit == nil || r.Audit.At > state.Audit.At) {
			state.Audit = r.Audit
		}
	}
	state.Servers, state.Records = servers(s.servers), records(s.records)
	for _, a := range w.cfg.Actions {
		if a.Usable() {
			state.Actions = append(state.Actions, a.Name)
		}
	}
	return state
}

func servers(all []outbox.Server) []server {
	shown := make([]server, len(all))
	for i, s := range all {
		shown[i] = server{Shard: s.Shard, RunID: s.RunID, Since: s.Since.UnixMilli(), Doubt: s.Doubt(), Looked: s.Looked}
		if s.Repaired != nil {
			shown[i].Repaired = s.Repaired.UnixMilli()
		}
	}
	return shown
}

func records(all []outbox.Item) []record {
	shown := make([]record, len(all))
	for i, r := range all {
		shown[i] = record{Version: r.Version, Key: r.Key, Kind: string(r.Kind), Size: r.Size, Created: r.Created.UnixMilli(), Attempts: r.Attempts, Aside: r.Aside}
	}
	return shown
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
