package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	// deadlockRule says that nobody is locked out: Postgres had to end no deadlock.
	deadlockRule = "D"
	// deadlockTimeout is how soon Postgres looks for one.
	deadlockTimeout = "50ms"
	// deadlockTries and auditFile: statistics come late, and texts go to the history.
	deadlockTries = 5
	auditFile     = "audit.txt"
)

// hearAuditor ends the audit and puts what it found into the result.
func (s *scene) hearAuditor(res *Result) error {
	if s.auditor == nil {
		return nil
	}
	s.auditor.close()
	total, texts := s.auditor.verdict()
	res.Looks, res.Repairs = s.auditor.looks, s.auditor.repair
	if total == 0 {
		return nil
	}
	res.violated(auditRule, total, texts[0])
	if err := os.WriteFile(filepath.Join(s.dir, auditFile), []byte(strings.Join(texts, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("writing what the auditor found: %w", err)
	}
	return nil
}

// countDeadlocks asks Postgres. Those who write lock rows in sorted order, so that a deadlock is of Tidelock's making. All sessions have ended, and have
// left their statistics, or are about to.
func (s *scene) countDeadlocks(ctx context.Context, res *Result) error {
	if s.auditor == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.databaseAt())
	if err != nil {
		return fmt.Errorf("connecting to count deadlocks: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for range deadlockTries {
		var deadlocks, others int
		const count = `SELECT deadlocks, (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid())
			FROM pg_stat_database WHERE datname = current_database()`
		if err := conn.QueryRow(ctx, count).Scan(&deadlocks, &others); err != nil {
			return fmt.Errorf("counting deadlocks: %w", err)
		}
		if res.violated(deadlockRule, deadlocks, fmt.Sprintf("Postgres had to end %d deadlocks", deadlocks)); deadlocks > 0 || others == 0 {
			return nil
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return err
		}
	}
	return nil
}
