package relay

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/metrics"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/verify"
)

// scrapeTimeout bounds the questions that a scrape asks of Postgres and NATS.
const scrapeTimeout = 2 * time.Second

var (
	takenDesc    = metrics.Desc("relay_records_taken_total", "Records that this relay has claimed from the outbox.")
	recordsDesc  = metrics.Desc("relay_records_total", "What became of records that this relay had claimed.", "outcome")
	prunedDesc   = metrics.Desc("relay_versions_pruned_total", "Versions of keys not written for a long time that this relay has forgotten.")
	repairedDesc = metrics.Desc("repair_keys_total", "Keys that this relay has looked at in repairs, after a server had changed or lost data.")
	droppedDesc  = metrics.Desc("repair_entries_dropped_total", "Entries that this relay has deleted because their version was of a history that Postgres has left.")

	pendingDesc = metrics.Desc("outbox_pending", "Records that are committed and not yet known to be in the cache.")
	oldestDesc  = metrics.Desc("outbox_oldest_pending_seconds", "Age of the oldest pending record, by Postgres's clock; 0 when none is.")
	asideDesc   = metrics.Desc("outbox_set_aside", "Records set aside for the operator.")
	doubtDesc   = metrics.Desc("server_in_doubt", "1 while entries of this server may be wrong and are being repaired, else 0.", "shard")
	chunksDesc  = metrics.Desc("stream_chunks", "Chunks that wait in the JetStream stream, or are worked on.")
	answersDesc = metrics.Desc("up", "1 if the server answered this relay at the scrape, else 0. What it would have told is missing then.", "server")

	officeDesc    = metrics.Desc("guardian_office", "1 if this relay is the guardian, else 0. The other guardian_ metrics are the guardian's alone.")
	termDesc      = metrics.Desc("guardian_term", "The guardian's term: it rises with every change of office.")
	phaseDesc     = metrics.Desc("guardian_trust", "1 for what the guardian lets others believe of the cache, 0 for what it does not.", "phase")
	sinceDesc     = metrics.Desc("guardian_trust_seconds", "How long the cache has been in that phase.")
	leasesDesc    = metrics.Desc("guardian_leases_total", "Leases granted: of trust in the cache, or of knowing that nobody trusts it.", "kind")
	callsDesc     = metrics.Desc("guardian_calls_total", "Calls for help with versions that a process could not settle by itself.")
	auditsDesc    = metrics.Desc("audit_total", "Audits that this relay has finished: each compares all keys.")
	auditKeysDesc = metrics.Desc("audit_keys_total", "Keys that the audits of this relay have compared with Postgres.")
	auditValsDesc = metrics.Desc("audit_values_total", "Entries that the audits of this relay have compared with their rows.")
	differDesc    = metrics.Desc("audit_differences_total", "Entries found to differ from Postgres with nothing to mend them, by version or by value. It should stay 0.", "how")
	inTimeDesc    = metrics.Desc("audit_consistent_ratio", "Share of the keys, or of the writes, that the last audit found consistent within a time.", "of", "within")

	behindDesc = metrics.Desc("guardian_horizon_age_seconds", "How old the oldest commit may be that is not known to be settled: the least bound that a read can have.")
)

var phases = []string{string(lease.Trusted), string(lease.Suspending), string(lease.Suspended), string(lease.Resuming), string(lease.Draining)}

// collector makes metrics of a relay.
type collector struct{ *Relay }

// Collector returns the relay's metrics, to be registered with Prometheus; docs/metrics.md lists them. A scrape asks Postgres what is pending and NATS
// what its stream holds, for 2 s at most: what a server that is down would have told is missing, and tidelock_up says so.
func (r *Relay) Collector() prometheus.Collector { return collector{r} }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	metrics.Describe(to, takenDesc, recordsDesc, prunedDesc, repairedDesc, droppedDesc, pendingDesc, oldestDesc, asideDesc, doubtDesc,
		chunksDesc, answersDesc, officeDesc, termDesc, phaseDesc, sinceDesc, leasesDesc, callsDesc, behindDesc,
		auditsDesc, auditKeysDesc, auditValsDesc, differDesc, inTimeDesc)
	c.settles.Describe(to)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.Stats()
	metrics.Count(to, takenDesc, s.Taken)
	metrics.Count(to, recordsDesc, s.Settled, "settled")
	metrics.Count(to, recordsDesc, s.Superseded, "superseded")
	metrics.Count(to, recordsDesc, s.Released, "released")
	metrics.Count(to, recordsDesc, s.Aside, "set_aside")
	metrics.Count(to, prunedDesc, s.Pruned)
	metrics.Count(to, repairedDesc, s.Repaired)
	metrics.Count(to, droppedDesc, s.Dropped)
	c.settles.Collect(to)
	c.guardian(to)
	c.audits(to)
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	c.answers(to, "postgres", c.postgres(ctx, to))
	c.answers(to, "nats", c.nats(ctx, to))
}

func (c collector) answers(to chan<- prometheus.Metric, server string, err error) {
	if err != nil {
		c.log.Debug("scrape_failed", zap.String("server", server), zap.Error(err))
	}
	metrics.Truth(to, answersDesc, err == nil, server)
}

// guardian tells what the relay knows of the trust if it is the guardian.
func (c collector) guardian(to chan<- prometheus.Metric) {
	metrics.Count(to, leasesDesc, c.granted.trusted.Load(), "trusted")
	metrics.Count(to, leasesDesc, c.granted.suspended.Load(), "suspended")
	metrics.Count(to, callsDesc, c.granted.calls.Load())
	v, held := c.Guardian()
	metrics.Truth(to, officeDesc, held)
	if !held {
		return
	}
	metrics.Gauge(to, termDesc, float64(v.Term))
	metrics.State(to, phaseDesc, string(v.Phase), phases...)
	metrics.Gauge(to, sinceDesc, v.For.Seconds())
	if v.Behind > 0 {
		metrics.Gauge(to, behindDesc, v.Behind.Seconds())
	}
}

// audits tells what the audits have found, once there was one.
func (c collector) audits(to chan<- prometheus.Metric) {
	metrics.Count(to, auditsDesc, c.Relay.audits.Load())
	metrics.Count(to, auditKeysDesc, c.auditedKeys.Load())
	metrics.Count(to, auditValsDesc, c.auditedValues.Load())
	for i, kind := range verify.Kinds {
		metrics.Count(to, differDesc, c.differing[i].Load(), string(kind))
	}
	report := c.Audit()
	if report == nil {
		return
	}
	for of, shares := range map[string][]verify.Share{"keys": report.ByKey, "writes": report.ByWrite} {
		for _, s := range shares {
			if s.Judged > 0 {
				metrics.Gauge(to, inTimeDesc, s.Consistent(), of, s.Within.String())
			}
		}
	}
}

func (c collector) postgres(ctx context.Context, to chan<- prometheus.Metric) error {
	counts, err := outbox.Count(ctx, c.cfg.DB)
	if err != nil {
		return err
	}
	servers, err := outbox.Servers(ctx, c.cfg.DB)
	if err != nil {
		return err
	}
	metrics.Gauge(to, pendingDesc, float64(counts.Pending))
	metrics.Gauge(to, oldestDesc, counts.Oldest.Seconds())
	metrics.Gauge(to, asideDesc, float64(counts.Aside))
	for _, s := range servers {
		metrics.Truth(to, doubtDesc, s.Doubt(), s.Shard)
	}
	return nil
}

func (c collector) nats(ctx context.Context, to chan<- prometheus.Metric) error {
	if !c.cfg.NATS.IsConnected() {
		return errNATSDown
	}
	stream, err := c.js.Stream(ctx, c.cfg.stream())
	if err != nil {
		return err
	}
	metrics.Gauge(to, chunksDesc, float64(stream.CachedInfo().State.Msgs))
	return nil
}
