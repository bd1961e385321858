package check

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../prometheus/alerts.yml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	found := make(map[string]rulefmt.Rule)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			found[r.Alert] = r
		}
	}
	return found
}

// TestAlertsHaveRunbooks fails if an alert says nothing, or leads to a section that is not there; or if there is a section that nothing leads to.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	const page = "https://github.com/tidelock-cache/tidelock/blob/main/docs/operations.md#"
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^### (Tidelock\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = true
	}
	for name, r := range rules(t) {
		if !sections[name] || r.Annotations["runbook_url"] != page+strings.ToLower(name) {
			t.Errorf("%s has no runbook: its link is %s", name, r.Annotations["runbook_url"])
		}
		delete(sections, name)
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what is wrong", name)
		}
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has the severity %q", name, s)
		}
	}
	for name := range sections {
		t.Errorf("docs/operations.md has a section on %s, which is no alert", name)
	}
}

// TestDashboardParses fails if a panel asks what Prometheus does not understand.
func TestDashboardParses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../grafana/tidelock.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked++
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")); err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
		}
	}
	if asked == 0 {
		t.Error("no panel asks anything")
	}
}
