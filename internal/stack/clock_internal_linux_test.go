package stack

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestClockNeedsCompiler(t *testing.T) {
	t.Parallel()
	_, err := findCompiler(func(string) (string, error) { return "", exec.ErrNotFound })
	const want = `cc not found: run "make deps" (Debian: apt-get install gcc libc6-dev)`
	if _, ok := errors.AsType[*MissingError](err); !ok || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestNoClockChangesNothing(t *testing.T) {
	t.Parallel()
	var none *Clock
	if got, want := len(none.env(os.Environ())), len(os.Environ()); got != want {
		t.Errorf("%d variables became %d", want, got)
	}
}

// TestLostClock holds that a server does not start without its clock, which would never jump.
func TestLostClock(t *testing.T) {
	t.Parallel()
	c, err := NewClock("")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Remove(c.file()); err != nil {
		t.Fatal(err)
	}
	v, err := StartValkey(t.Context(), ValkeyConfig{Clock: c})
	if err == nil {
		_ = v.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "TIDELOCK_CLOCK") {
		t.Errorf("the error does not tell why: %v", err)
	}
}
