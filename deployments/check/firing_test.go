package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// interval is how often Prometheus scrapes and evaluates.
const interval = 15 * time.Second

// healthy is what two relays tell of whom nothing is wrong, in Prometheus's own notation: 0x239 is 0, and 239 times more, which is an hour.
var healthy = []string{
	`up{job="tidelock-relay",instance="a"} 1x239`,
	`up{job="tidelock-relay",instance="b"} 1x239`,
	`tidelock_up{job="tidelock-relay",instance="a",server="postgres"} 1x239`,
	`tidelock_up{job="tidelock-relay",instance="b",server="postgres"} 1x239`,
	`tidelock_up{job="tidelock-relay",instance="a",server="nats"} 1x239`,
	`tidelock_up{job="tidelock-relay",instance="b",server="nats"} 1x239`,
	`tidelock_guardian_office{job="tidelock-relay",instance="a"} 1x239`,
	`tidelock_guardian_office{job="tidelock-relay",instance="b"} 0x239`,
	`tidelock_guardian_trust{job="tidelock-relay",instance="a",phase="trusted"} 1x239`,
	`tidelock_guardian_trust{job="tidelock-relay",instance="a",phase="suspended"} 0x239`,
	`tidelock_outbox_oldest_pending_seconds{job="tidelock-relay",instance="a"} 0.2x239`,
	`tidelock_outbox_oldest_pending_seconds{job="tidelock-relay",instance="b"} 0.2x239`,
	`tidelock_outbox_set_aside{job="tidelock-relay",instance="a"} 0x239`,
	`tidelock_outbox_set_aside{job="tidelock-relay",instance="b"} 0x239`,
	`tidelock_audit_differences_total{job="tidelock-relay",instance="a",how="behind"} 0x239`,
	`tidelock_audit_differences_total{job="tidelock-relay",instance="a",how="changed"} 0x239`,
	`tidelock_server_in_doubt{job="tidelock-relay",instance="a",shard="0"} 0x239`,
	`tidelock_stream_chunks{job="tidelock-relay",instance="a"} 3x239`,
}

// firings say after which trouble which alerts fire. Trouble is a series that takes the place of the healthy one, or of all whose selector begins so if it
// has no values.
var firings = []struct {
	name    string
	trouble []string
	quiet   time.Duration // nothing fires up to then
	fires   []string      // at 30 minutes
}{
	{"nothing is wrong", nil, time.Hour, nil},
	{"a relay is down", []string{`up{job="tidelock-relay",instance="b"} 1x19 0x219`}, 6 * time.Minute, []string{"TidelockRelayDown"}},
	{"a relay is started again", []string{`up{job="tidelock-relay",instance="b"} 1x19 0x4 1x214`}, time.Hour, nil},
	{"all relays are down", []string{`up{job="tidelock-relay",instance="a"} 1x19 0x219`, `up{job="tidelock-relay",instance="b"} 1x19 0x219`,
		`tidelock_`}, 5 * time.Minute, []string{"TidelockNoRelays", "TidelockRelayDown", "TidelockRelayDown"}},
	{"there are no relays", []string{`up`, `tidelock_`}, 0, []string{"TidelockNoRelays"}},
	{"nobody is the guardian", []string{`tidelock_guardian_office{job="tidelock-relay",instance="a"} 1x19 0x219`, `tidelock_guardian_trust`},
		5 * time.Minute, []string{"TidelockNoGuardian"}},
	{"the guardian is another", []string{`tidelock_guardian_office{job="tidelock-relay",instance="a"} 1x19 0x219`,
		`tidelock_guardian_office{job="tidelock-relay",instance="b"} 0x20 1x218`}, time.Hour, nil},
	{"the cache is not trusted", []string{`tidelock_guardian_trust{job="tidelock-relay",instance="a",phase="trusted"} 1x19 0x219`},
		9 * time.Minute, []string{"TidelockCacheNotTrusted"}},
	{"a change waits", []string{`tidelock_outbox_oldest_pending_seconds{job="tidelock-relay",instance="a"} 0x19 12x219`},
		5 * time.Minute, []string{"TidelockPendingLate"}},
	{"a change waits for long", []string{`tidelock_outbox_oldest_pending_seconds{job="tidelock-relay",instance="a"} 0x19 0+15x219`},
		6 * time.Minute, []string{"TidelockPendingLate", "TidelockPendingVeryLate"}},
	{"a record is set aside", []string{`tidelock_outbox_set_aside{job="tidelock-relay",instance="a"} 0x19 1x219`},
		5 * time.Minute, []string{"TidelockRecordsSetAside"}},
	{"an audit finds a difference", []string{`tidelock_audit_differences_total{job="tidelock-relay",instance="a",how="behind"} 0x19 1x219`},
		4 * time.Minute, []string{"TidelockAuditDifferences"}},
	{"an audit finds a row that was changed", []string{`tidelock_audit_differences_total{job="tidelock-relay",instance="a",how="changed"} 0x19 1x219`},
		4 * time.Minute, []string{"TidelockRowsChanged"}},
	{"a repair does not end", []string{`tidelock_server_in_doubt{job="tidelock-relay",instance="a",shard="0"} 0x19 1x219`},
		14 * time.Minute, []string{"TidelockServerInDoubt"}},
	{"a repair ends", []string{`tidelock_server_in_doubt{job="tidelock-relay",instance="a",shard="0"} 0x19 1x19 0x199`}, time.Hour, nil},
	{"Postgres is down", []string{`tidelock_up{job="tidelock-relay",instance="b",server="postgres"} 1x19 0x219`},
		5 * time.Minute, []string{"TidelockPostgresUnreachable"}},
	{"NATS is down", []string{`tidelock_up{job="tidelock-relay",instance="b",server="nats"} 1x19 0x219`},
		6 * time.Minute, []string{"TidelockNATSUnreachable"}},
	{"the stream is full", []string{`tidelock_stream_chunks{job="tidelock-relay",instance="a"} 3x19 16x219`},
		9 * time.Minute, []string{"TidelockStreamFull"}},
}

// TestAlertsFire evaluates all alerts as Prometheus does, every 15 s of an hour, and fails where one fires too early, not at all or besides.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	all := rules(t)
	fired := make(map[string]bool)
	for _, f := range firings {
		for _, name := range f.fires {
			fired[name] = true
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f.trouble)
			var firing []string
			for name, r := range all {
				if at, ever, _ := w.play(t, r, min(f.quiet, time.Hour-interval)); ever && at < f.quiet {
					t.Errorf("%s fires after %v, want quiet for %v", name, at, f.quiet)
				}
				_, _, n := w.play(t, r, 30*time.Minute)
				firing = append(firing, slices.Repeat([]string{name}, n)...)
			}
			slices.Sort(firing)
			if !slices.Equal(firing, f.fires) {
				t.Errorf("%v fire, want %v", firing, f.fires)
			}
		})
	}
	for name := range all {
		if !fired[name] {
			t.Errorf("no test makes %s fire", name)
		}
	}
}

// world is an hour of series.
type world struct {
	series []storage.Series
	engine *promql.Engine
}

func newWorld(t *testing.T, trouble []string) *world {
	t.Helper()
	w := &world{engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})}
	replaced := func(line string) bool {
		selector, _, _ := strings.Cut(line, " ")
		return slices.ContainsFunc(trouble, func(tr string) bool {
			other, _, values := strings.Cut(tr, " ")
			return values && selector == other || !values && strings.HasPrefix(line, tr)
		})
	}
	for _, line := range slices.Concat(slices.DeleteFunc(slices.Clone(healthy), replaced), trouble) {
		if !strings.Contains(line, " ") {
			continue
		}
		w.add(t, line)
	}
	return w
}

func (w *world) add(t *testing.T, line string) {
	t.Helper()
	name, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(line)
	if err != nil {
		t.Fatal(err)
	}
	var samples []chunks.Sample
	for i, v := range values {
		samples = append(samples, sample{time.Duration(i) * interval, v.Value})
	}
	w.series = append(w.series, storage.NewListSeries(name, samples))
}

// violated are the label sets for which an alert's expression has a value at an instant.
func (w *world) violated(t *testing.T, expr string, at time.Duration) []string {
	t.Helper()
	q, err := w.engine.NewInstantQuery(t.Context(), w, nil, expr, time.UnixMilli(at.Milliseconds()))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	vector, err := q.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range vector {
		found = append(found, s.Metric.String())
	}
	return found
}

// play evaluates an alert up to an instant. It returns when the alert fired first, if it did, and for how many label sets it fires at the end.
func (w *world) play(t *testing.T, r rulefmt.Rule, until time.Duration) (first time.Duration, ever bool, firing int) {
	t.Helper()
	since := make(map[string]time.Duration) // each label set that is violated now
	for at := time.Duration(0); at <= until; at += interval {
		now := make(map[string]time.Duration)
		firing = 0
		for _, who := range w.violated(t, r.Expr, at) {
			now[who] = at
			if before, there := since[who]; there {
				now[who] = before
			}
			if at-now[who] < time.Duration(r.For) {
				continue
			}
			firing++
			if !ever {
				first, ever = at, true
			}
		}
		since = now
	}
	return first, ever, firing
}
