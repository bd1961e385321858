package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/demo"
	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/writer"
)

// asTidelock makes a copy of the test binary behave as the command itself.
const asTidelock = "TIDELOCK_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	drive.RunChild() // all/rolling-upgrade makes processes of what it is given
	if os.Getenv(asTidelock) != "" {
		main()
		return
	}
	stacktest.Main(m)
}

// command is tidelock with these arguments and settings, none of them from the environment of the test.
func command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TIDELOCK_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, asTidelock+"=1"), env...)
	return cmd
}

// tidelock runs the command to its end and returns what it printed, and whether it exited with 0.
func tidelock(t *testing.T, env []string, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	var out, errs strings.Builder
	cmd := command(t.Context(), env, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), err == nil
}

func TestBadSettingsAreNamed(t *testing.T) {
	t.Parallel()
	file, short := filepath.Join(t.TempDir(), "settings.json"), filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(`{"valkey-urll": "valkey://localhost"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(short, []byte("  secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := "TIDELOCK_DATABASE_URL=" + stacktest.Database(t)
	valkey := "TIDELOCK_VALKEY_URL=" + stacktest.Valkey(t).URL()
	for name, c := range map[string]struct {
		env  []string
		args []string
		want string
	}{
		"no database":      {nil, []string{"outbox"}, "TIDELOCK_DATABASE_URL"},
		"no valkey":        {[]string{db}, []string{"relay"}, "TIDELOCK_VALKEY_URL"},
		"no nats":          {[]string{db, valkey}, []string{"relay"}, "TIDELOCK_NATS_URL"},
		"nats scheme":      {[]string{db, valkey}, []string{"relay", "--nats-url", "localhost:4222"}, "--nats-url"},
		"valkey scheme":    {[]string{db}, []string{"relay", "--valkey-url", "http://localhost"}, "valkey://"},
		"database":         {nil, []string{"outbox", "--database-url", "postgres://u:secret@h:port/d"}, "--database-url"},
		"file":             {nil, []string{"outbox", "--config", file}, "valkey-urll"},
		"missing schema":   {[]string{db}, []string{"outbox"}, "tidelock migrate up"},
		"relay, no schema": {[]string{db, valkey}, []string{"relay", "--nats-url", "nats://127.0.0.1:1"}, "tidelock migrate up"},
		"empty key":        {[]string{db, valkey}, []string{"inspect", ""}, "it is empty"},
		"retry what":       {[]string{db}, []string{"outbox", "retry"}, "--all"},
		"unknown format":   {[]string{db}, []string{"format", "7"}, "not known to this build"},
		"down unsaid":      {[]string{db}, []string{"migrate", "down"}, "--yes"},
		"log level":        {nil, []string{"outbox", "--log-level", "loud"}, "--log-level"},
		"short token":      {[]string{db, valkey}, []string{"relay", "--nats-url", "nats://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin-token-file", short}, "--admin-token-file"},
		"collector":        {[]string{db, valkey}, []string{"relay", "--otlp-endpoint", "collector:4318"}, "--otlp-endpoint"},
		"protocol":         {[]string{db, valkey, "OTEL_EXPORTER_OTLP_PROTOCOL=smoke"}, []string{"relay", "--otlp-endpoint", "http://collector:4318"}, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"dev for all":      {nil, []string{"dev", "--listen", "0.0.0.0:0"}, "--listen"},
		"demo size":        {nil, []string{"demo", "--flights", "1"}, "--flights"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, stderr, ok := tidelock(t, c.env, c.args...)
			if ok || !strings.Contains(stderr, c.want) {
				t.Errorf("ended well: %v, and said %q, want a failure that speaks of %q", ok, stderr, c.want)
			}
			if strings.Contains(stderr, "secret") {
				t.Errorf("the error shows the password: %q", stderr)
			}
		})
	}
}

func TestMigrateUpDownStatus(t *testing.T) {
	t.Parallel()
	env := []string{"TIDELOCK_DATABASE_URL=" + stacktest.Database(t)}
	for _, step := range []struct{ args, want string }{
		{"migrate status", "not applied"},
		{"migrate up", "applied 10 migrations"},
		{"migrate up", "applied 0 migrations"},
		{"migrate status", "applied 20"},
		{"outbox", "pending    0"},
		{"strict", "no prefix is strict"},
		{"format", "written in format 1"},
		{"format 1", "this build knows 1 to 1"},
		{"migrate down --yes", "took back migration 10"},
		{"migrate down --yes", "took back migration 9"},
		{"migrate down --yes", "took back migration 8"},
		{"migrate down --yes", "took back migration 7"},
		{"migrate down --yes", "took back migration 6"},
		{"migrate down --yes", "took back migration 5"},
		{"migrate down --yes", "took back migration 4"},
		{"migrate down --yes", "took back migration 3"},
		{"migrate down --yes", "took back migration 2"},
		{"migrate down --yes", "took back migration 1"},
		{"migrate down --yes", "no migration is applied"},
	} {
		stdout, stderr, ok := tidelock(t, env, strings.Fields(step.args)...)
		if !ok || !strings.Contains(stdout, step.want) {
			t.Errorf("%s printed %q and %q, want %q", step.args, stdout, stderr, step.want)
		}
	}
}

func TestOperatorSeesAndMends(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := rig.DB(t)
	server := stacktest.Valkey(t)
	env := []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_VALKEY_URL=" + server.URL()}
	w := rig.Writer(t, writer.Config{DB: db, Cache: rig.Cache(t, server.URL())})
	const key = "operator:1"
	if _, err := w.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte("one"))); err != nil {
		t.Fatal(err)
	}
	printed := func(want string, args ...string) {
		t.Helper()
		if stdout, stderr, ok := tidelock(t, env, args...); !ok || !strings.Contains(stdout, want) {
			t.Errorf("%v printed %q and %q, want %q", args, stdout, stderr, want)
		}
	}
	printed("consistent: the cache holds the latest version", "inspect", key)
	printed(`"payload": "one"`, "inspect", "--json", key)

	// A newer version that did not reach the cache, and whose record an operator finds set aside.
	dead := rig.Cache(t, "valkey://127.0.0.1:1", func(c *cache.Config) { c.Timeout = 50 * time.Millisecond })
	w2 := rig.Writer(t, writer.Config{DB: db, Cache: dead})
	result, err := w2.Write(ctx, func(context.Context, *writer.Tx) error { return nil }, writer.Set(key, []byte("two")))
	if err != nil || !result.Deferred() {
		t.Fatalf("got %+v, %v, want a deferred write", result, err)
	}
	printed("behind: the cache holds an older version, and a record waits", "inspect", key)
	printed("pending    1", "outbox")
	if err := outbox.SetAside(ctx, db, []outbox.Settled{{Key: key, Version: result.Version(), Reason: "for the test"}}); err != nil {
		t.Fatal(err)
	}
	printed("set aside: for the test", "outbox", "list", "--aside")
	printed("no such records", "outbox", "list", "--pending")
	printed("1 records are back in line", "outbox", "retry", "--all")
	printed("set aside  0", "outbox", "status")
}

func TestRelayStopsOnSignal(t *testing.T) {
	t.Parallel()
	db := rig.DB(t)
	env := []string{
		"TIDELOCK_DATABASE_URL=" + db.Config().ConnString(), "TIDELOCK_VALKEY_URL=" + stacktest.Valkey(t).URL(),
		"TIDELOCK_NATS_URL=" + stacktest.NATS(t).URL(), "TIDELOCK_LOG_FORMAT=json", "TIDELOCK_STREAM=SIGNAL",
	}
	cmd := command(t.Context(), env, "relay")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := rig.Cache(t, "valkey://127.0.0.1:1")
	w := rig.Writer(t, writer.Config{DB: db, Cache: dead, Grace: time.Millisecond})
	if _, err := w.Write(t.Context(), func(context.Context, *writer.Tx) error { return nil }, writer.Set("signal:1", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	stacktest.Eventually(t, 20*time.Second, func() bool {
		stats, err := outbox.Count(t.Context(), db)
		return err == nil && stats.Pending == 0
	}, "the relay settles the record")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var last map[string]any
	for lines := json.NewDecoder(stderr); ; {
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			break
		}
		last = line
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the relay ended with %v", err)
	}
	if last["msg"] != "relay_stopped" || last["settled"] != 1.0 {
		t.Errorf("the last line of the log is %v, want relay_stopped with one record settled", last)
	}
}

func TestDemoTellsNoLie(t *testing.T) {
	stdout, stderr, ok := tidelock(t, nil, "demo", "--flights", "1000", "--duration", "8s")
	if !ok {
		t.Fatalf("the demo failed: %s\n%s", stdout, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var report demo.Report
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &report); err != nil {
		t.Fatalf("the last line is no report: %v", err)
	}
	t.Log(lines[len(lines)-1])
	if report.StaleTidelock != 0 || report.MissingWrites != 0 || report.Pending != 0 || report.FailedReads != 0 {
		t.Errorf("tidelock lied: %+v", report)
	}
	if report.Keys != 1000 || report.Writes != 3000 || report.Deferred == 0 || report.CachedOurs == 0 {
		t.Errorf("the demo did not do its work: %+v", report)
	}
}

func TestDevLeavesNothingBehind(t *testing.T) {
	dir, err := os.MkdirTemp("", "dev")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // postgres runs as another user when we are root
		t.Fatal(err)
	}
	cmd := command(t.Context(), []string{"TMPDIR=" + dir}, "dev")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := new(strings.Builder)
	for buf := make([]byte, 4096); !strings.Contains(text.String(), "Ctrl-C"); {
		n, err := stdout.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			t.Fatalf("dev ended early and printed %q", text)
		}
	}
	for _, want := range []string{"TIDELOCK_DATABASE_URL='postgres://", "TIDELOCK_VALKEY_URL='valkey://", "TIDELOCK_NATS_URL='nats://", "inspect hello", "The dashboard is at http://127.0.0.1:"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("dev does not print %q", want)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("dev ended with %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("dev left %v behind (%v)", left, err)
	}
}
