package stacktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// innerVariable makes the tests named TestInner… do what they are for. Most fail on purpose, so they run in
// a process of their own.
const innerVariable = "TIDELOCK_TEST_INNER"

// inner runs one test in a fresh copy of the test binary and returns what it printed.
func inner(t *testing.T, name string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(append(os.Environ(), innerVariable+"=yes"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func isInner() bool { return os.Getenv(innerVariable) != "" }

func TestInnerNeedsValkey(t *testing.T) {
	if isInner() {
		stacktest.Valkey(t)
	}
}

func TestInnerLeaks(*testing.T) {
	if isInner() {
		go func() { select {} }()
	}
}

func TestInnerNever(t *testing.T) {
	if isInner() {
		stacktest.Eventually(t, 10*time.Millisecond, func() bool { return false }, "pigs", "fly")
	}
}

func TestInnerStartsAndPasses(t *testing.T) {
	if isInner() {
		stacktest.Valkey(t)
		stacktest.NATS(t)
		stacktest.OwnNATS(t)
		stacktest.OwnValkey(t, "--appendonly", "yes")
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ env, want string }{
		"TestInnerNeedsValkey": {"PATH=", `valkey-server not found: run "make deps"`},
		"TestInnerLeaks":       {"", "goroutines are left after the tests"},
		"TestInnerNever":       {"", "not within 10ms: pigs fly"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := inner(t, name, c.env)
			if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestNothingIsLeft runs tests with a folder for temporary files of its own and looks into it afterwards.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := inner(t, "TestInnerStartsAndPasses", "TMPDIR="+dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestSharedServersAreShared(t *testing.T) {
	t.Parallel()
	urls := func() string {
		return stacktest.Postgres(t).URL() + stacktest.Valkey(t).URL() + stacktest.NATS(t).URL()
	}
	first := urls()
	if again := urls(); again != first {
		t.Errorf("%s became %s", first, again)
	}
	if own := stacktest.OwnValkey(t); own.Port() == stacktest.Valkey(t).Port() {
		t.Error("a test's own server is the shared one")
	}
}

func TestDatabases(t *testing.T) {
	t.Parallel()
	var first string
	t.Run("fresh and apart", func(t *testing.T) {
		first = stacktest.Database(t)
		second := stacktest.Database(t)
		a, b := connect(t, first), connect(t, second)
		if _, err := a.Exec(t.Context(), "CREATE TABLE t (id int)"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Exec(t.Context(), "CREATE TABLE t (id int)"); err != nil {
			t.Errorf("the second database knows of the first: %v", err)
		}
	})
	_, err := pgx.Connect(t.Context(), first)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); !ok || pgErr.Code != "3D000" {
		t.Errorf("the database is left: %v", err)
	}
}

// connect leaves the connection open: dropping a database must not wait for that.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestEventually(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	stacktest.Eventually(t, time.Minute, func() bool { return ctx.Err() != nil })
}
