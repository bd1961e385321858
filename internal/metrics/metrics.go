// Package metrics says the few things that all of our Prometheus collectors say. docs/metrics.md is held against them.
package metrics

import "github.com/prometheus/client_golang/prometheus"

// Desc describes a metric of ours.
func Desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidelock_"+name, help, labels, nil)
}

// Describe tells of all of these.
func Describe(to chan<- *prometheus.Desc, all ...*prometheus.Desc) {
	for _, d := range all {
		to <- d
	}
}

// Count tells a counter.
func Count(to chan<- prometheus.Metric, d *prometheus.Desc, n int64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

// Gauge tells a gauge.
func Gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Truth tells 1 or 0.
func Truth(to chan<- prometheus.Metric, d *prometheus.Desc, b bool, labels ...string) {
	v := 0.0
	if b {
		v = 1
	}
	Gauge(to, d, v, labels...)
}

// State tells 1 for the state that something is in, and 0 for the others; the label has the state.
func State(to chan<- prometheus.Metric, d *prometheus.Desc, is string, all ...string) {
	for _, state := range all {
		Truth(to, d, state == is, state)
	}
}
