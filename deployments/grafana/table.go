package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// metricName is how a metric of ours looks in an expression.
var metricName = regexp.MustCompile(`\btidelock_[a-z_]+\b`)

// parts are what a histogram's name ends with in an expression.
var parts = regexp.MustCompile(`_(bucket|sum|count)$`)

// help returns what the table says of a metric that stands in an expression, empty for none.
func help(table map[string]string, name string) string {
	if said := table[name]; said != "" {
		return said
	}
	return table[parts.ReplaceAllString(name, "")]
}

// readTable returns what docs/metrics.md says of each metric, by name.
func readTable(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the table of metrics: %w", err)
	}
	defer func() { _ = file.Close() }()
	table := make(map[string]string)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "|")
		if len(cells) != 6 || !strings.Contains(cells[1], "`tidelock_") {
			continue
		}
		table[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[4])
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the table of metrics: %w", err)
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("%s has no table of metrics", path)
	}
	return table, nil
}
