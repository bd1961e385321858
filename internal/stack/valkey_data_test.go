package stack_test

import (
	"errors"
	"io/fs"
	"strconv"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestValkeyOldSnapshot brings a server back with the data that it had when a copy was put aside.
func TestValkeyOldSnapshot(t *testing.T) {
	t.Parallel()
	v := stacktest.OwnValkey(t)
	put := func(value string) {
		t.Helper()
		must(t, set(t.Context(), valkeyClient(t, v.ClientOption()), "k", value))
		must(t, v.Save(t.Context()))
	}
	restarted := func(want string) {
		t.Helper()
		must(t, v.Kill())
		must(t, v.Start(t.Context()))
		if got, err := get(t.Context(), valkeyClient(t, v.ClientOption()), "k"); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	put("old")
	must(t, v.KeepRDB("first"))
	put("new")
	must(t, set(t.Context(), valkeyClient(t, v.ClientOption()), "k", "never saved"))
	if err := v.RestoreRDB("first"); !errors.Is(err, stack.ErrRunning) {
		t.Errorf("restoring while it runs: %v", err)
	}
	restarted("new")
	must(t, v.Kill())
	must(t, v.RestoreRDB("first"))
	restarted("old")
	must(t, v.Kill())
	must(t, v.Wipe())
	restarted("")
	must(t, v.Kill())
	must(t, v.Wipe())
	must(t, v.RestoreRDB("first"))
	restarted("old")
	must(t, v.Kill())
	for _, name := range []string{"", "../first", "none"} {
		if err := v.RestoreRDB(name); err == nil {
			t.Errorf("the copy %q is there", name)
		}
	}
}

// TestValkeyCutAOF takes the last commands from a server, and half of one more.
func TestValkeyCutAOF(t *testing.T) {
	t.Parallel()
	v := stacktest.OwnValkey(t, "--appendonly", "yes", "--appendfsync", "always")
	c := valkeyClient(t, v.ClientOption())
	for i := range 10 {
		must(t, set(t.Context(), c, "k", strconv.Itoa(i)))
	}
	if err := v.CutAOF(1); !errors.Is(err, stack.ErrRunning) {
		t.Errorf("cutting while it runs: %v", err)
	}
	const command = int64(len("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n0\r\n"))
	for _, step := range []struct {
		bytes int64
		want  string
	}{{0, "9"}, {1, "8"}, {2 * command, "6"}, {1 << 40, ""}} {
		must(t, v.Kill())
		must(t, v.CutAOF(step.bytes))
		must(t, v.Start(t.Context()))
		if got, err := get(t.Context(), valkeyClient(t, v.ClientOption()), "k"); got != step.want || err != nil {
			t.Errorf("%d bytes less: got %q, %v; want %q", step.bytes, got, err, step.want)
		}
	}
	must(t, v.Kill())
	if err := v.CutAOF(-1); err == nil {
		t.Error("less than nothing was cut")
	}
	must(t, v.Wipe())
	if err := v.CutAOF(1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}
