package site

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Fill makes the table items anew with n rows, whose bodies have so many bytes, and forgets what the cache and the outbox hold.
func (s *Site) Fill(ctx context.Context, n, payload int) error {
	_, err := s.DB.Exec(ctx, `TRUNCATE tidelock.outbox, tidelock.versions`)
	if err == nil {
		_, err = s.DB.Exec(ctx, `DROP TABLE IF EXISTS items`)
	}
	if err == nil {
		_, err = s.DB.Exec(ctx, `CREATE TABLE items (id bigint PRIMARY KEY, body text NOT NULL) WITH (fillfactor = 70)`)
	}
	if err == nil {
		_, err = s.DB.Exec(ctx, `INSERT INTO items SELECT i, rpad(md5(i::text), $2, md5((i + 1)::text)) FROM generate_series(0, $1::bigint - 1) AS i`, n, payload)
	}
	if err == nil {
		_, err = s.DB.Exec(ctx, `VACUUM ANALYZE items`)
	}
	if err == nil {
		err = s.flush(ctx)
	}
	if err == nil {
		_, err = s.DB.Exec(ctx, `CHECKPOINT`)
	}
	if err != nil {
		return fmt.Errorf("filling the table: %w", err)
	}
	return nil
}

// flush empties the cache and waits until its memory is free, which takes longer for millions of keys than a call may.
func (s *Site) flush(ctx context.Context) error {
	if err := s.Valkey.Do(ctx, s.Valkey.B().Flushall().Async().Build()).Error(); err != nil {
		return err
	}
	for {
		info, err := s.Valkey.Do(ctx, s.Valkey.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return err
		}
		if strings.Contains(info, "lazyfree_pending_objects:0\r") {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
