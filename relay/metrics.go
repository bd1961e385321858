package relay

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/verify"
)

// scrapeTimeout bounds the questions that a scrape asks of Postgres and NATS.
const scrapeTimeout = 2 * time.Second

// metric describes a metric of relays. docs/metrics.md is held against them.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidelock_"+name, help, labels, nil)
}

var (
	takenDesc    = metric("relay_records_taken_total", "Records that this relay has claimed from the outbox.")
	recordsDesc  = metric("relay_records_total", "What became of records that this relay had claimed.", "outcome")
	prunedDesc   = metric("relay_versions_pruned_total", "Versions of keys not written for a long time that this relay has forgotten.")
	repairedDesc = metric("repair_keys_total", "Keys that this relay has looked at in repairs, after a server had changed or lost data.")
	droppedDesc  = metric("repair_entries_dropped_total", "Entries that this relay has deleted because their version was of a history that Postgres has left.")

	pendingDesc = metric("outbox_pending", "Records that are committed and not yet known to be in the cache.")
	oldestDesc  = metric("outbox_oldest_pending_seconds", "Age of the oldest pending record, by Postgres's clock; 0 when none is.")
	asideDesc   = metric("outbox_set_aside", "Records set aside for the operator.")
	doubtDesc   = metric("server_in_doubt", "1 while entries of this server may be wrong and are being repaired, else 0.", "shard")
	chunksDesc  = metric("stream_chunks", "Chunks that wait in the JetStream stream, or are worked on.")
	answersDesc = metric("up", "1 if the server answered this relay at the scrape, else 0. What it would have told is missing then.", "server")

	officeDesc    = metric("guardian_office", "1 if this relay is the guardian, else 0. The other guardian_ metrics are the guardian's alone.")
	termDesc      = metric("guardian_term", "The guardian's term: it rises with every change of office.")
	phaseDesc     = metric("guardian_trust", "1 for what the guardian lets others believe of the cache, 0 for what it does not.", "phase")
	sinceDesc     = metric("guardian_trust_seconds", "How long the cache has been in that phase.")
	leasesDesc    = metric("guardian_leases_total", "Leases granted: of trust in the cache, or of knowing that nobody trusts it.", "kind")
	callsDesc     = metric("guardian_calls_total", "Calls for help with versions that a process could not settle by itself.")
	auditsDesc    = metric("audit_total", "Audits that this relay has finished: each compares all keys.")
	auditKeysDesc = metric("audit_keys_total", "Keys that the audits of this relay have compared with Postgres.")
	differDesc    = metric("audit_differences_total", "Entries found to differ from Postgres with nothing to mend them. It should stay 0.")
	inTimeDesc    = metric("audit_consistent_ratio", "Share of the keys, or of the writes, that the last audit found consistent within a time.", "of", "within")

	behindDesc = metric("guardian_horizon_age_seconds", "How old the oldest commit may be that is not known to be settled: the least bound that a read can have.")
)

var phases = []lease.Phase{lease.Trusted, lease.Suspending, lease.Suspended, lease.Resuming, lease.Draining}

// collector makes metrics of a relay.
type collector struct{ *Relay }

// Collector returns the relay's metrics, to be registered with Prometheus; docs/metrics.md lists them. A scrape asks Postgres what is pending and NATS
// what its stream holds, for 2 s at most: what a server that is down would have told is missing, and tidelock_up says so.
func (r *Relay) Collector() prometheus.Collector { return collector{r} }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{takenDesc, recordsDesc, prunedDesc, repairedDesc, droppedDesc, pendingDesc, oldestDesc, asideDesc, doubtDesc,
		chunksDesc, answersDesc, officeDesc, termDesc, phaseDesc, sinceDesc, leasesDesc, callsDesc, behindDesc,
		auditsDesc, auditKeysDesc, differDesc, inTimeDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.Stats()
	count(to, takenDesc, s.Taken)
	count(to, recordsDesc, s.Settled, "settled")
	count(to, recordsDesc, s.Superseded, "superseded")
	count(to, recordsDesc, s.Released, "released")
	count(to, recordsDesc, s.Aside, "set_aside")
	count(to, prunedDesc, s.Pruned)
	count(to, repairedDesc, s.Repaired)
	count(to, droppedDesc, s.Dropped)
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
	gauge(to, answersDesc, truth(err == nil), server)
}

// guardian tells what the relay knows of the trust if it is the guardian.
func (c collector) guardian(to chan<- prometheus.Metric) {
	count(to, leasesDesc, c.granted.trusted.Load(), "trusted")
	count(to, leasesDesc, c.granted.suspended.Load(), "suspended")
	count(to, callsDesc, c.granted.calls.Load())
	v, held := c.Guardian()
	gauge(to, officeDesc, truth(held))
	if !held {
		return
	}
	gauge(to, termDesc, float64(v.Term))
	for _, phase := range phases {
		gauge(to, phaseDesc, truth(phase == v.Phase), string(phase))
	}
	gauge(to, sinceDesc, v.For.Seconds())
	if v.Behind > 0 {
		gauge(to, behindDesc, v.Behind.Seconds())
	}
}

// audits tells what the audits have found, once there was one.
func (c collector) audits(to chan<- prometheus.Metric) {
	count(to, auditsDesc, c.Relay.audits.Load())
	count(to, auditKeysDesc, c.auditedKeys.Load())
	count(to, differDesc, c.differing.Load())
	report := c.Audit()
	if report == nil {
		return
	}
	for of, shares := range map[string][]verify.Share{"keys": report.ByKey, "writes": report.ByWrite} {
		for _, s := range shares {
			if s.Judged > 0 {
				gauge(to, inTimeDesc, s.Consistent(), of, s.Within.String())
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
	gauge(to, pendingDesc, float64(counts.Pending))
	gauge(to, oldestDesc, counts.Oldest.Seconds())
	gauge(to, asideDesc, float64(counts.Aside))
	for _, s := range servers {
		gauge(to, doubtDesc, truth(s.Doubt()), s.Shard)
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
	gauge(to, chunksDesc, float64(stream.CachedInfo().State.Msgs))
	return nil
}

func count(to chan<- prometheus.Metric, d *prometheus.Desc, n int64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
