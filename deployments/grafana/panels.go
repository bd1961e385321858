package main

// panel is what is seen of some queries.
type panel struct {
	title string
	kind  string // of Grafana's panels
	unit  string
	width int // of 24
	// bad is from where on the value is a fault, 0 for none; low says that it is one below.
	bad     float64
	low     bool
	queries []query
}

// query is an expression, and how each of its series is called.
type query struct{ expr, legend string }

// row is a heading and the panels below it, from left to right.
type row struct {
	title  string
	height int
	panels []panel
}

const (
	stat  = "stat"
	graph = "timeseries"
	phase = "state-timeline"
)

// rows are the dashboard. $job is the relays of a database; all of them tell the same of the outbox, hence max. $serve is the servers of the HTTP API.
var rows = []row{
	{"Now", 4, []panel{
		{"Trusted", stat, "bool_yes_no", 4, 1, true, []query{{`max(tidelock_guardian_trust{job=~"$job",phase="trusted"})`, ""}}},
		{"Guardians", stat, "none", 4, 1, true, []query{{`sum(tidelock_guardian_office{job=~"$job"})`, ""}}},
		{"Relays that answer", stat, "none", 4, 1, true, []query{{`sum(up{job=~"$job"})`, ""}}},
		{"Oldest pending", stat, "s", 4, 10, false, []query{{`max(tidelock_outbox_oldest_pending_seconds{job=~"$job"})`, ""}}},
		{"Set aside", stat, "none", 4, 1, false, []query{{`max(tidelock_outbox_set_aside{job=~"$job"})`, ""}}},
		{"Differences, a day", stat, "none", 4, 1, false, []query{{`sum(increase(tidelock_audit_differences_total{job=~"$job"}[1d]))`, ""}}},
	}},
	{"Outbox", 8, []panel{
		{"Oldest pending", graph, "s", 8, 10, false, []query{{`max(tidelock_outbox_oldest_pending_seconds{job=~"$job"})`, "oldest"}}},
		{"Pending", graph, "short", 8, 0, false, []query{
			{`max(tidelock_outbox_pending{job=~"$job"})`, "pending"}, {`max(tidelock_outbox_set_aside{job=~"$job"})`, "set aside"}}},
		{"Chunks in the stream", graph, "short", 8, 64, false, []query{{`max(tidelock_stream_chunks{job=~"$job"})`, "chunks"}}},
		{"What became of records", graph, "ops", 12, 0, false, []query{
			{`sum by (outcome) (rate(tidelock_relay_records_total{job=~"$job"}[$__rate_interval]))`, "{{outcome}}"}}},
		{"Records taken, by relay", graph, "ops", 12, 0, false, []query{
			{`rate(tidelock_relay_records_taken_total{job=~"$job"}[$__rate_interval])`, "{{instance}}"}}},
	}},
	{"From commit to cache", 8, []panel{
		{"Settled after, the slowest in a hundred", graph, "s", 12, 0, false, []query{
			{`histogram_quantile(0.99, sum by (le, by) (rate(tidelock_settle_seconds_bucket[$__rate_interval])))`, "{{by}}"}}},
		{"Settled", graph, "ops", 12, 0, false, []query{
			{`sum by (by) (rate(tidelock_settle_seconds_count[$__rate_interval]))`, "{{by}}"}}},
	}},
	{"Trust", 8, []panel{
		{"Phase", phase, "bool_yes_no", 12, 0, false, []query{{`max by (phase) (tidelock_guardian_trust{job=~"$job"})`, "{{phase}}"}}},
		{"How long in that phase", graph, "s", 12, 0, false, []query{{`max(tidelock_guardian_trust_seconds{job=~"$job"})`, "phase"}}},
		{"Age of the horizon", graph, "s", 8, 0, false, []query{{`max(tidelock_guardian_horizon_age_seconds{job=~"$job"})`, "horizon"}}},
		{"Leases and calls", graph, "ops", 8, 0, false, []query{
			{`sum by (kind) (rate(tidelock_guardian_leases_total{job=~"$job"}[$__rate_interval]))`, "{{kind}}"},
			{`sum(rate(tidelock_guardian_calls_total{job=~"$job"}[$__rate_interval]))`, "calls"}}},
		{"Term", graph, "none", 8, 0, false, []query{{`max(tidelock_guardian_term{job=~"$job"})`, "term"}}},
	}},
	{"Servers and repairs", 8, []panel{
		{"Servers in doubt", phase, "bool_yes_no", 8, 1, false, []query{{`max by (shard) (tidelock_server_in_doubt{job=~"$job"})`, "{{shard}}"}}},
		{"Servers that answer the relays", phase, "bool_yes_no", 8, 1, true, []query{{`tidelock_up{job=~"$job"}`, "{{server}}, {{instance}}"}}},
		{"Keys repaired and dropped", graph, "ops", 8, 0, false, []query{
			{`sum(rate(tidelock_repair_keys_total{job=~"$job"}[$__rate_interval]))`, "looked at"},
			{`sum(rate(tidelock_repair_entries_dropped_total{job=~"$job"}[$__rate_interval]))`, "dropped"}}},
	}},
	{"Audit", 8, []panel{
		{"Consistent within", graph, "percentunit", 12, 0, false, []query{
			{`max by (of, within) (tidelock_audit_consistent_ratio{job=~"$job"})`, "{{of}}, {{within}}"}}},
		{"Keys and values audited", graph, "ops", 6, 0, false, []query{
			{`sum(rate(tidelock_audit_keys_total{job=~"$job"}[$__rate_interval]))`, "keys"},
			{`sum(rate(tidelock_audit_values_total{job=~"$job"}[$__rate_interval]))`, "values"}}},
		{"Audits, a day", graph, "none", 6, 0, false, []query{{`sum(increase(tidelock_audit_total{job=~"$job"}[1d]))`, "audits"}}},
		{"Differences, an hour", graph, "none", 24, 1, false, []query{
			{`sum by (how) (increase(tidelock_audit_differences_total{job=~"$job"}[1h]))`, "{{how}}"}}},
	}},
	{"HTTP API", 8, []panel{
		{"Requests", graph, "reqps", 8, 0, false, []query{
			{`sum by (method, entity) (rate(tidelock_http_requests_total{job=~"$serve"}[$__rate_interval]))`, "{{method}} {{entity}}"}}},
		{"Refused and failed", graph, "reqps", 8, 0, false, []query{
			{`sum by (code) (rate(tidelock_http_requests_total{job=~"$serve",code=~"[45].."}[$__rate_interval]))`, "{{code}}"}}},
		{"Answered after, the slowest in a hundred", graph, "s", 8, 0, false, []query{
			{`histogram_quantile(0.99, sum by (le, method) (rate(tidelock_http_request_seconds_bucket{job=~"$serve"}[$__rate_interval])))`, "{{method}}"}}},
		{"Reads from the cache", graph, "percentunit", 12, 0, false, []query{
			{`sum by (entity) (rate(tidelock_reads_total{job=~"$serve",source="cache"}[$__rate_interval])) / sum by (entity) (rate(tidelock_reads_total{job=~"$serve"}[$__rate_interval]))`, "{{entity}}"}}},
		{"Keys written", graph, "ops", 12, 0, false, []query{
			{`sum by (outcome) (rate(tidelock_writes_total{job=~"$serve"}[$__rate_interval]))`, "{{outcome}}"}}},
	}},
	{"Relays", 8, []panel{
		{"Memory", graph, "bytes", 8, 0, false, []query{{`process_resident_memory_bytes{job=~"$job"}`, "{{instance}}"}}},
		{"Processor", graph, "none", 8, 0, false, []query{{`rate(process_cpu_seconds_total{job=~"$job"}[$__rate_interval])`, "{{instance}}"}}},
		{"Versions pruned", graph, "ops", 8, 0, false, []query{
			{`sum(rate(tidelock_relay_versions_pruned_total{job=~"$job"}[$__rate_interval]))`, "pruned"}}},
	}},
}
