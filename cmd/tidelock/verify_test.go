package main

import (
	"strings"
	"testing"
	"time"

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
