package drive

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/writer"
)

const (
	// partSQL counts one up. Each client has counters of its own, so nobody waits for a row: only the key's lock orders the transactions.
	partSQL = `INSERT INTO chaos_parts AS p (id, who, n) VALUES ($1, $2, 1) ON CONFLICT (id, who) DO UPDATE SET n = p.n + 1`
	// sumSQL is an aggregate's payload.
	sumSQL = `SELECT json_build_object('n', sum(n))::text FROM chaos_parts WHERE id = $1`
	// sumsMax is the most that one transaction changes.
	sumsMax = 3
)

// summer is a subject that has aggregates.
type summer interface {
	sum(ctx context.Context, who string, keys []string) error
}

// sum changes aggregates. Nobody reads them: whoever audits the cache holds them against Postgres.
func (c *client) sum(ctx context.Context) {
	s, has := c.subject.(summer)
	if !has {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout())
	defer cancel()
	var keys []string
	for _, i := range c.rng.Perm(c.cfg.Sums)[:min(1+c.rng.IntN(sumsMax), c.cfg.Sums)] {
		keys = append(keys, SumKey(i))
	}
	if err := s.sum(ctx, fmt.Sprintf("%s/%d", c.cfg.Process, c.number), keys); err != nil {
		c.log.Debug("sum_failed", zap.Error(err))
	}
}

// sum leaves the order of the keys to the writer.
func (s *tidelock) sum(ctx context.Context, who string, keys []string) error {
	_, err := s.writer.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		var changes []writer.Change
		for _, key := range keys {
			if _, err := tx.Exec(ctx, partSQL, key, who); err != nil {
				return fmt.Errorf("counting up: %w", err)
			}
			changes = append(changes, writer.Refresh(key, func(ctx context.Context, tx pgx.Tx) ([]byte, error) {
				var payload []byte
				err := tx.QueryRow(ctx, sumSQL, key).Scan(&payload)
				return payload, err
			}))
		}
		return tx.Change(changes...)
	})
	return err
}
