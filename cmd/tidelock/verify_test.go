package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/verify"
)

func TestNines(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]verify.Share{
		"-":                         {},
		"100 %":                     {Judged: 10},
		"99.900 % (3.0 nines)":      {Judged: 1000, Late: 1},
		"0.00 % (0.0 nines)":        {Judged: 3, Late: 3},
		"99.967 % (3.5 nines)":      {Judged: 3000, Late: 1},
		"50.00 % (0.3 nines)":       {Judged: 2, Late: 1},
		"99.99999900 % (8.0 nines)": {Judged: 100_000_000, Late: 1},
	} {
		if got := nines(s); got != want {
			t.Errorf("%+v is %q, want %q", s, got, want)
		}
	}
}

// TestVerdict says what an operator has to know at a glance.
func TestVerdict(t *testing.T) {
	t.Parallel()
	shares := []verify.Share{{Within: time.Second, Judged: 1}}
	report := verify.Report{Keys: 1, ByKey: shares, ByWrite: shares}
	for _, c := range []struct {
		differing int64
		fixed     bool
		unread    map[string]string
		want      string
	}{{want: "\nconsistent\n"}, {differing: 1, want: "\nNOT CONSISTENT\n"}, {differing: 1, fixed: true, want: "invalidated"},
		{unread: map[string]string{"f:": "permission denied"}, want: "COULD NOT BE READ"}} {
		report.Differing, report.Unread = c.differing, c.unread
		var out strings.Builder
		if err := printReport(&out, report, c.fixed); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("with %d different, fixed %t, it says %v\n%s", c.differing, c.fixed, err, out.String())
		}
	}
}

// TestVerifyByValue finds a row that was changed by hand, fixes its entry, and finds nothing more.
func TestVerifyByValue(t *testing.T) {
	t.Parallel()
	db, server := rig.DB(t), stacktest.Valkey(t)
	if _, err := db.Exec(t.Context(), `CREATE TABLE ships (id int PRIMARY KEY, at timestamptz); INSERT INTO ships VALUES (1, '2026-01-02 03:04:05+06')`); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ships.yaml")
	if err := os.WriteFile(file, []byte("entities:\n  ships: {table: ships, key: id, cache: 'verify-ship:{id}', columns: at}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	valkey := rig.Valkey(t, server.URL())
	hold := func(entry string) {
		t.Helper()
		if err := valkey.Do(t.Context(), valkey.B().Set().Key("verify-ship:1").Value(entry).Ex(time.Hour).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"TIDELOCK_DATABASE_URL=" + db.Config().ConnString() + "&timezone=Asia/Tokyo", "TIDELOCK_VALKEY_URL=" + server.URL()}
	verified := func(well bool, want string, args ...string) {
		t.Helper()
		if stdout, stderr, ok := tidelock(t, env, append([]string{"verify", "--for", "0s", "--entities", file}, args...)...); ok != well || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%v ended well: %v, and printed %s%s, want %q", args, ok, stdout, stderr, want)
		}
	}
	hold("tl1 V 0\n" + `{"id":1,"at":"2026-01-01T21:04:05+00:00"}`) // as it is stored, whatever the zone of the session
	verified(true, "1 compared with their rows")
	hold("tl1 A 0\n")
	verified(false, "inserted")
	verified(false, "can't be used together", "--since", "1h")
	verified(true, "is invalidated", "--fix")
	verified(true, "\nconsistent\n")
}
