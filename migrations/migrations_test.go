package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/migrations"
	"github.com/tidelock-cache/tidelock/outbox"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func up(t *testing.T, url string, want int) {
	t.Helper()
	if n, err := migrations.Up(t.Context(), url); n != want || err != nil {
		t.Fatalf("applied %d migrations (%v), want %d", n, err, want)
	}
}

func down(t *testing.T, url string, want int64) {
	t.Helper()
	if version, err := migrations.Down(t.Context(), url); version != want || err != nil {
		t.Fatalf("took back migration %d (%v), want %d", version, err, want)
	}
}

// list returns every migration, which must be in order, and how many of them are applied.
func list(t *testing.T, url string) (all []migrations.Status, applied int) {
	t.Helper()
	all, err := migrations.List(t.Context(), url)
	must(t, err)
	for i, s := range all {
		if s.Version != int64(i+1) || !strings.HasSuffix(s.Name, ".sql") {
			t.Errorf("migration %d is %+v", i+1, s)
		}
		if !s.Applied.IsZero() {
			applied++
		}
	}
	return all, applied
}

// usable tells whether the outbox finds its schema.
func usable(t *testing.T, url string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	err = outbox.Check(t.Context(), conn)
	if err != nil && !errors.Is(err, outbox.ErrNoSchema) {
		t.Fatal(err)
	}
	return err == nil
}

func TestUpDownAndUpAgain(t *testing.T) {
	t.Parallel()
	url := stacktest.Database(t)
	all, applied := list(t, url)
	if len(all) == 0 || applied != 0 {
		t.Fatalf("an empty database has %d of %d migrations", applied, len(all))
	}
	for range 2 {
		up(t, url, len(all))
		up(t, url, 0)
		now, applied := list(t, url)
		if applied != len(all) || time.Since(now[0].Applied).Abs() > 5*time.Minute {
			t.Errorf("%d of %d are applied, the first one at %v", applied, len(all), now[0].Applied)
		}
		if !usable(t, url) {
			t.Error("the schema is not usable")
		}
		for i := len(all); i > 0; i-- {
			down(t, url, int64(i))
		}
		down(t, url, 0)
		if _, applied := list(t, url); applied != 0 || usable(t, url) {
			t.Errorf("%d migrations are left after all were taken back, usable: %v", applied, usable(t, url))
		}
	}
}

// TestPartsKeepRecordsAndPrivileges: what waits in the outbox stays in it when it becomes parts, and when they become one table again, and whoever may
// read it may go on.
func TestPartsKeepRecordsAndPrivileges(t *testing.T) {
	t.Parallel()
	url := stacktest.Database(t)
	all, _ := list(t, url)
	up(t, url, len(all))
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	run := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	role := "reader_" + url[strings.LastIndex(url, "/test_")+len("/test_"):strings.LastIndex(url, "?")]
	role = pgx.Identifier{role}.Sanitize()
	run("CREATE ROLE " + role)
	run("GRANT SELECT, DELETE ON tidelock.outbox TO " + role)
	const insert = `INSERT INTO tidelock.outbox (version, key, kind, payload, ttl_ms, allocate, due_at, trace) VALUES (nextval('tidelock.version_seq'), 'a', 'set', 'x', 1, true, now(), 'y')`
	for n := range 3 {
		run(fmt.Sprint("SELECT setval('tidelock.part', ", n, ")"))
		run(insert)
	}
	const content = "SELECT string_agg((to_jsonb(o) - 'part')::text, ',' ORDER BY version) || has_table_privilege($1, 'tidelock.outbox', 'DELETE') || has_table_privilege($1, 'tidelock.outbox', 'INSERT') FROM tidelock.outbox o"
	read := func() (all string) {
		t.Helper()
		must(t, conn.QueryRow(t.Context(), content, pgx.QueryExecModeExec, strings.Trim(role, `"`)).Scan(&all))
		return all
	}
	want := read()
	if strings.Count(want, "version") != 3 || !strings.HasSuffix(want, "truefalse") {
		t.Fatalf("the outbox holds %s", want)
	}
	down(t, url, 10)
	down(t, url, 9)
	if got := read(); got != want {
		t.Errorf("as one table the outbox holds\n%s\nnot\n%s", got, want)
	}
	run(insert)
	want = read()
	up(t, url, 2)
	if got := read(); got != want {
		t.Errorf("in parts the outbox holds\n%s\nnot\n%s", got, want)
	}
	run("DROP OWNED BY " + role)
	run("DROP ROLE " + role)
}

// upVariable names a database that the test binary, started once more, is to migrate.
const upVariable = "TIDELOCK_TEST_UP"

// TestInnerUp is the other process of TestUpByManyAtOnce.
func TestInnerUp(t *testing.T) {
	if url := os.Getenv(upVariable); url != "" {
		_, err := migrations.Up(t.Context(), url)
		must(t, err)
	}
}

func TestUpByManyAtOnce(t *testing.T) {
	t.Parallel()
	url := stacktest.Database(t)
	var total atomic.Int64
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			n, err := migrations.Up(t.Context(), url)
			if err != nil {
				t.Errorf("migrating: %v", err)
			}
			total.Add(int64(n))
		})
	}
	for range 2 {
		work.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInnerUp$")
			cmd.Env = append(os.Environ(), upVariable+"="+url)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("migrating in another process: %v: %s", err, out)
			}
		})
	}
	work.Wait()
	all, applied := list(t, url)
	if applied != len(all) || total.Load() > int64(len(all)) || !usable(t, url) {
		t.Errorf("%d of %d migrations are applied; those of this process add up to %d", applied, len(all), total.Load())
	}
}

// TestUpWaitsForItsTurn holds the lock that a migration takes: Up does nothing meanwhile.
func TestUpWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	url := stacktest.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	tx, err := conn.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtext('tidelock.schema'))")
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // far more than it takes otherwise
	defer cancel()
	if n, err := migrations.Up(ctx, url); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("applied %d migrations (%v) while another session holds the lock", n, err)
	}
	must(t, tx.Rollback(t.Context()))
	if usable(t, url) {
		t.Error("the schema was made")
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	url := stacktest.Database(t)
	closed := closedPort(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	isPg := func(code string) func(error) bool {
		return func(err error) bool {
			e, ok := errors.AsType[*pgconn.PgError](err)
			return ok && e.Code == code
		}
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		url  string
		is   func(error) bool
		says string
	}{
		"no URL":      {url: "postgres://%", is: func(err error) bool { return err != nil }, says: "reading the database URL"},
		"no server":   {url: "postgres://u:secret@" + closed + "/x", is: func(err error) bool { _, ok := errors.AsType[*pgconn.ConnectError](err); return ok }, says: "connecting to postgres"},
		"no database": {url: strings.Replace(url, "/test_", "/missing_", 1), is: isPg("3D000"), says: "connecting to postgres"},
		"ctx ended":   {ctx: ended, url: url, is: func(err error) bool { return errors.Is(err, context.Canceled) }, says: "connecting to postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if test.ctx != nil {
				ctx = test.ctx
			}
			_, errUp := migrations.Up(ctx, test.url)
			_, errDown := migrations.Down(ctx, test.url)
			_, errList := migrations.List(ctx, test.url)
			for _, err := range []error{errUp, errDown, errList} {
				if !test.is(err) || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want it to say %q", err, test.says)
				}
			}
		})
	}
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}
