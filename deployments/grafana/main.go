// Command grafana prints the dashboard of Tidelock's relays: go generate ./deployments/grafana writes it to tidelock.json. What is shown stands in
// panels.go; what a metric means is said by docs/metrics.md, and so it is on the dashboard.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

//go:generate sh -c "go run . ../../docs/metrics.md >tidelock.json.new && mv tidelock.json.new tidelock.json"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("want the path of docs/metrics.md")
	}
	table, err := readTable(args[0])
	if err != nil {
		return err
	}
	d, err := build(table)
	if err != nil {
		return err
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d)
}
