package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnits has systemd read the units, where it is. The program that they start is put beside them, for systemd looks whether it is there.
func TestUnits(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob("../*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("the units are %v: %v", units, err)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		const program = "ExecStart=/usr/local/bin/tidelock"
		if !strings.Contains(string(text), program+" ") {
			t.Errorf("%s does not start tidelock", unit)
		}
		path := filepath.Join(t.TempDir(), filepath.Base(unit))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), program, "ExecStart=/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), path) {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// TestUnitsAreHardenedAlike fails if one unit lacks what keeps the other in.
func TestUnitsAreHardenedAlike(t *testing.T) {
	t.Parallel()
	relay, serve := hardening(t, "../tidelock-relay.service"), hardening(t, "../tidelock-serve.service")
	if relay != serve || !strings.Contains(relay, "NoNewPrivileges=yes") {
		t.Errorf("the units are not hardened alike:\n%s\n%s", relay, serve)
	}
}

// hardening is the part of a unit between the user and the limits.
func hardening(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "DynamicUser=yes\n")
	part, _, _ := strings.Cut(rest, "[Install]")
	return part
}
