package stack_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

const (
	countRows = "SELECT count(*)::text FROM t"
	timeline  = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
	insertRow = "INSERT INTO t VALUES (1); SELECT 'ok'"
)

// TestPostgresStandby loses a primary with commits that its standby has not heard of, and promotes the standby.
func TestPostgresStandby(t *testing.T) {
	t.Parallel()
	primary, err := stack.StartPostgres(t.Context(), stack.PostgresConfig{
		NoFsync: true, Settings: map[string]string{"max_connections": "250"},
	})
	must(t, err)
	defer primary.Close()
	if primary.Replication() != nil {
		t.Error("a primary follows somebody")
	}
	mustSQL(t, primary, "CREATE TABLE t (n int); "+insertRow)
	standby, err := stack.StartStandby(t.Context(), primary, stack.PostgresConfig{NoFsync: true})
	must(t, err)
	defer standby.Close()
	follows := func(want string) {
		t.Helper()
		stacktest.Eventually(t, patience, func() bool { return mustSQL(t, standby, countRows) == want }, "the standby has row", want)
	}
	mustSQL(t, primary, insertRow)
	follows("2")
	if _, err := sql(within(t, patience), standby.URL(), insertRow); err == nil {
		t.Error("the standby takes writes")
	}
	must(t, standby.Kill())
	must(t, standby.Start(within(t, patience)))
	mustSQL(t, primary, insertRow)
	follows("3")

	before := mustSQL(t, primary, timeline)
	must(t, standby.Replication().Blackhole())
	mustSQL(t, primary, insertRow)
	if got := mustSQL(t, primary, countRows); got != "4" {
		t.Errorf("the primary has %s rows", got)
	}
	must(t, primary.Kill())
	must(t, standby.Promote(t.Context()))
	if got := mustSQL(t, standby, countRows); got != "3" {
		t.Errorf("the new primary has %s rows", got)
	}
	mustSQL(t, standby, insertRow)
	if after := mustSQL(t, standby, timeline); after <= before {
		t.Errorf("timeline %s became %s", before, after)
	}
	must(t, standby.Kill())
	must(t, standby.Start(within(t, patience)))
	mustSQL(t, standby, insertRow)
}

// TestPostgresStandbyGoesOn stops the primary for a while.
func TestPostgresStandbyGoesOn(t *testing.T) {
	t.Parallel()
	primary := stacktest.OwnPostgres(t)
	standby, err := stack.StartStandby(t.Context(), primary, stack.PostgresConfig{NoFsync: true})
	must(t, err)
	defer standby.Close()
	must(t, standby.Stop(t.Context()))
	must(t, standby.Wipe())
	mustSQL(t, primary, "CREATE TABLE t (n int); SELECT 'ok'")
	must(t, standby.Start(within(t, patience)))
	must(t, primary.Kill())
	if got := mustSQL(t, standby, countRows); got != "0" {
		t.Errorf("without its primary the standby has %s rows", got)
	}
	must(t, primary.Start(within(t, patience)))
	mustSQL(t, primary, insertRow)
	stacktest.Eventually(t, patience, func() bool { return mustSQL(t, standby, countRows) == "1" }, "the standby follows again")
}
