package stack_test

import (
	"context"
	"errors"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestPostgresFaults does one thing after the other to a single server, for initdb takes its time.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	p, err := stack.StartPostgres(t.Context(), stack.PostgresConfig{
		NoFsync: true, Settings: map[string]string{"wal_level": "logical", "max_connections": "40"},
	})
	must(t, err)
	defer p.Close()
	checkSettings(t, p)
	port := p.Port()
	mustSQL(t, p, "CREATE TABLE t AS SELECT 7 AS n; SELECT 'ok'")
	for _, c := range []struct {
		name string
		test func(*testing.T, *stack.Postgres)
	}{
		{"killed", postgresKilled},
		{"postmaster lost", postmasterLost},
		{"paused", postgresPaused},
		{"killed while paused", postgresKilledWhilePaused},
		{"stopped while paused", postgresStoppedWhilePaused},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, p)
			must(t, p.Start(within(t, patience)))
			if p.Port() != port {
				t.Errorf("port %d became %d", port, p.Port())
			}
			if n := mustSQL(t, p, "SELECT n::text FROM t"); n != "7" {
				t.Errorf("n is %s", n)
			}
		})
	}
	wipePostgres(t, p)
	checkSettings(t, p)
}

// session is an open connection and its backend, a child of the postmaster.
func session(t *testing.T, p *stack.Postgres) (conn *pgx.Conn, backend int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL())
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, int(conn.PgConn().PID())
}

func postgresKilled(t *testing.T, p *stack.Postgres) {
	pid := p.Pid()
	_, backend := session(t, p)
	if !alive(pid) || !alive(backend) {
		t.Error("it does not run")
	}
	must(t, p.Kill())
	if alive(pid) || alive(backend) || p.Running() || p.Pid() != 0 {
		t.Error("something of it is alive")
	}
	if n := sharedSegments(t, pid); n != 0 {
		t.Errorf("%d segments of shared memory are left", n)
	}
}

// postmasterLost kills the postmaster alone, as the kernel does when memory runs out, so that the next start finds
// backends on their way out.
func postmasterLost(t *testing.T, p *stack.Postgres) {
	pid := p.Pid()
	busy := make(chan struct{})
	go func() {
		defer close(busy)
		_, _ = sql(context.Background(), p.URL(), "SELECT pg_sleep(30)::text")
	}()
	stacktest.Eventually(t, patience, func() bool {
		return mustSQL(t, p, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"
	}, "a busy session")
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	stacktest.Eventually(t, patience, func() bool { return !p.Running() }, "the postmaster is gone")
	must(t, p.Start(within(t, patience)))
	<-busy
}

func postgresPaused(t *testing.T, p *stack.Postgres) {
	conn, _ := session(t, p)
	must(t, p.Pause())
	if !p.Running() {
		t.Error("a paused server does not run")
	}
	// Neither the session that is there nor a new one gets an answer.
	answer := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "SELECT 1")
		answer <- err
	}()
	if _, err := sql(within(t, 2*moment), p.URL(), "SELECT 'ok'"); err == nil {
		t.Error("a paused postgres took a session")
	}
	select {
	case err := <-answer:
		t.Errorf("a paused backend answered: %v", err)
	default:
	}
	must(t, p.Resume())
	must(t, <-answer)
}

func postgresKilledWhilePaused(t *testing.T, p *stack.Postgres) {
	_, backend := session(t, p)
	must(t, p.Pause())
	must(t, p.Kill())
	if alive(backend) {
		t.Error("a paused backend outlived Kill")
	}
}

func postgresStoppedWhilePaused(t *testing.T, p *stack.Postgres) {
	_, _ = session(t, p)
	must(t, p.Pause())
	must(t, p.Stop(t.Context()))
	must(t, p.Stop(t.Context()))
	for name, f := range map[string]func() error{"Pause": p.Pause, "Resume": p.Resume} {
		if err := f(); !errors.Is(err, stack.ErrNotRunning) {
			t.Errorf("%s of a stopped server: %v", name, err)
		}
	}
}

func checkSettings(t *testing.T, p *stack.Postgres) {
	t.Helper()
	for name, want := range map[string]string{"wal_level": "logical", "max_connections": "40", "fsync": "off",
		"server_encoding": "UTF8", "port": strconv.Itoa(p.Port())} {
		if got := mustSQL(t, p, "SELECT current_setting('"+name+"')"); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}

func wipePostgres(t *testing.T, p *stack.Postgres) {
	t.Helper()
	if err := p.Wipe(); !errors.Is(err, stack.ErrRunning) {
		t.Errorf("Wipe of a running server: %v", err)
	}
	must(t, p.Stop(t.Context()))
	must(t, p.Wipe())
	must(t, p.Start(t.Context()))
	must(t, p.Start(t.Context()))
	if n := mustSQL(t, p, "SELECT count(*)::text FROM pg_tables WHERE tablename = 't'"); n != "0" {
		t.Error("the table survived Wipe")
	}
}

// TestStopKillsWhenItsTimeIsUp stops a server whose own way to stop takes longer than the caller has.
func TestStopKillsWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	v := stacktest.OwnValkey(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := v.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Stop: %v", err)
	}
	if v.Running() {
		t.Error("it runs")
	}
	must(t, v.Start(t.Context()))
}
