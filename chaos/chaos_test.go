package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestMain(m *testing.M) {
	drive.RunChild()
	stacktest.Main(m)
}

// suiteTime bounds the selection.
const suiteTime = 4 * time.Minute

// selection is run with a fixed seed, each scenario for a second and a half.
var selection = []string{
	"valkey/killed", "valkey/paused", "valkey/flushed", "valkey/out-of-memory", "network/writers-without-valkey", "network/half-open",
	"process/paused-after-commit", "process/killed-after-commit", "process/relays-killed", "nats/wiped", "postgres/commits-cut", "guardian/asleep",
	"leases/nobody-settles",
}

func TestTidelockKeepsItsWord(t *testing.T) {
	report := attack(t, Config{Subjects: []string{ours}, Scenarios: selection})
	if report.Violations > 0 || report.Scenarios != len(selection) {
		t.Errorf("%d violations in %d scenarios", report.Violations, report.Scenarios)
	}
}

// TestTheAuditorLooks shows that it is no auditor who never looks.
func TestTheAuditorLooks(t *testing.T) {
	report := attack(t, Config{Subjects: []string{ours}, Scenarios: []string{"process/sums"}})
	if report.Results[0].Looks == 0 {
		t.Error("the auditor has not looked")
	}
}

func TestNaiveCacheIsCaught(t *testing.T) {
	report := attack(t, Config{Subjects: []string{"naive"}, Scenarios: []string{"network/writers-without-valkey"}})
	if report.Subjects["naive"].Caught != 1 {
		t.Error("the judge has found nothing")
	}
}

func TestPostgresAloneIsNotAccused(t *testing.T) {
	report := attack(t, Config{Subjects: []string{"postgres"}, Scenarios: []string{"postgres/commits-cut"}})
	if report.Subjects["postgres"].Violations > 0 {
		t.Error("the judge accuses the innocent")
	}
}

// attack runs a suite and fails the test when it could not be run, or left something to see.
func attack(t *testing.T, cfg Config) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suiteTime)
	defer cancel()
	cfg.Seed, cfg.Dir, cfg.WarmUp, cfg.Faults, cfg.Out = 1, t.TempDir(), 500*time.Millisecond, 1500*time.Millisecond, t.Output()
	report, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		switch {
		case r.Error != "":
			t.Errorf("%s could not be run: %s", r.Scenario, r.Error)
		case r.First != "" && r.Subject != "naive":
			t.Errorf("%s: %s", r.Scenario, r.First)
		}
	}
	return report
}
