package relay_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/verify"
)

// TestAuditByValue has a row that differs from its entry, and another table that cannot be read. At first nobody can say which rows there are.
func TestAuditByValue(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, sql := range []string{"CREATE TABLE boats (id int PRIMARY KEY, name text)", "CREATE TABLE planes (id int PRIMARY KEY, name text)", "INSERT INTO boats VALUES (1, 'by hand')"} {
		if _, err := s.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	file, err := entity.Parse("fleet.yaml", fmt.Appendf(nil, `
entities:
  planes: {table: planes, key: id, cache: '%[1]s:plane:{id}', columns: name}
  boats: {table: boats, key: id, cache: '%[1]s:boat:{id}', columns: name}
`, s.prefix))
	if err != nil {
		t.Fatal(err)
	}
	s.seed(s.key("boat:1"), 1, `{"id":1,"name":"written"}`)
	s.seed(s.key("plane:1"), 1, `{"id":1,"name":"written"}`)
	asked := 0 // by the audit's goroutine
	core, logged := observer.New(zapcore.WarnLevel)
	r, stop := s.run(func(c *relay.Config) {
		c.AuditPause, c.Log = 10*time.Millisecond, zap.New(core)
		c.AuditRows = func(ctx context.Context) ([]verify.Rows, error) {
			if asked++; asked < 3 {
				return nil, errors.New("not yet")
			}
			all, err := file.Check(ctx, s.db)
			if err != nil {
				return nil, err
			}
			if _, err := s.db.Exec(ctx, "DROP TABLE planes"); err != nil {
				return nil, err
			}
			return []verify.Rows{all[0], all[1]}, nil
		}
	})
	stacktest.Eventually(t, patience, func() bool {
		report := r.Audit()
		return report != nil && report.ByKind[verify.Changed] == 1 && len(report.Unread) == 1
	}, "the audit finds the row that was changed")
	stacktest.Eventually(t, patience, func() bool { return logged.FilterMessage("cache_differs").Len() > 3 }, "the audit is made again and again")
	stop()
	if asked != 3 {
		t.Errorf("the rows were asked for %d times, want 3", asked)
	}
	if said := logged.FilterMessage("rows_not_audited"); said.Len() != 2 {
		t.Errorf("it was said %d times that rows are not audited, want twice: %v", said.Len(), said.All())
	}
}
