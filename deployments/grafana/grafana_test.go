package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

const tablePath = "../../docs/metrics.md"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDashboardIsWhatIsGenerated fails where tidelock.json was edited by hand, or panels.go or docs/metrics.md without it.
func TestDashboardIsWhatIsGenerated(t *testing.T) {
	t.Parallel()
	var made bytes.Buffer
	if err := run([]string{tablePath}, &made); err != nil {
		t.Fatal(err)
	}
	if read(t, "tidelock.json") != made.String() {
		t.Error("deployments/grafana/tidelock.json is not what is generated: run go generate ./deployments/grafana")
	}
}

// TestMetricsInUseAreDocumented holds what alerts, scales and is shown against the table of metrics.
func TestMetricsInUseAreDocumented(t *testing.T) {
	t.Parallel()
	table, err := readTable(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	scaling := "../chart/tidelock/templates/scaling.yaml"
	files := []string{"tidelock.json", "../prometheus/alerts.yml", "../README.md", scaling}
	for _, path := range files {
		text := read(t, path)
		names := metricName.FindAllString(text, -1)
		if len(names) == 0 {
			t.Errorf("%s uses no metric", path)
		}
		for _, name := range names {
			if help(table, name) == "" {
				t.Errorf("%s uses %s, which docs/metrics.md does not have", path, name)
			}
		}
	}
	if name := metricName.FindString(read(t, scaling)); !strings.Contains(read(t, "../README.md"), "as: "+name) {
		t.Errorf("deployments/README.md has no rule by which prometheus-adapter serves %s", name)
	}
}

// TestAMetricThatNobodyKnowsIsRefused is the check of the check.
func TestAMetricThatNobodyKnowsIsRefused(t *testing.T) {
	t.Parallel()
	table, err := readTable(tablePath)
	if err != nil {
		t.Fatal(err)
	}
	delete(table, "tidelock_outbox_pending")
	if _, err := build(table); err == nil || !strings.Contains(err.Error(), "tidelock_outbox_pending") {
		t.Errorf("a dashboard was made of a metric that is not in the table: %v", err)
	}
}

// TestImageIsBuiltWithTheGoOfTheModule holds the Dockerfile against go.mod.
func TestImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	t.Parallel()
	module := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "../../go.mod"))
	image := regexp.MustCompile(`(?m)^FROM golang:(\S+) AS build$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if len(module) != 2 || len(image) != 2 || module[1] != image[1] {
		t.Errorf("go.mod says Go %v, the Dockerfile %v", module, image)
	}
}
