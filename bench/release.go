package main

import (
	"fmt"

	"github.com/tidelock-cache/tidelock/bench/results"
)

// besideRelease prints each ratio that was measured beside that of the last release. It judges nothing: a machine that is busy with something
// else must fail no build.
func (b *bench) besideRelease() error {
	last, err := results.Load(b.cfg.Release)
	if err != nil {
		return fmt.Errorf("reading what the last release had: %w", err)
	}
	fmt.Fprintf(b.table.out, "\n%-44s %8s %8s\n", "ratio", "now", "release")
	for _, r := range b.results.Ratios() {
		then := "-"
		if figure, ok := last[r.Name].(float64); ok {
			then = fmt.Sprintf("%.2f", figure)
		}
		fmt.Fprintf(b.table.out, "%-44s %8.2f %8s\n", r.Name, r.Value, then)
	}
	return nil
}
