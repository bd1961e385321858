package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRollingUpgrade attacks a fleet that goes from one build to the next and back, one process after the other, while entries change to the format that only the next one
// knows, and back. The next build is this one with a format more.
func TestRollingUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program, and attacks it for half a minute")
	}
	t.Parallel()
	dir := t.TempDir()
	next := filepath.Join(dir, "tidelock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-tags", "nextformat", "-o", next, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the next build: %v\n%s", err, out)
	}
	this, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), next, "chaos", "--subject", "tidelock", "--minutes", "0", "--no-recovery", "--seed", "1", "--scenario", "all/rolling-upgrade",
		"--other", this, "--dir", filepath.Join(dir, "out"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all/rolling-upgrade") {
		t.Errorf("the run ended with %v\n%s", err, out)
	}
}
