package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// trustTime bounds the waiting for the first trust.
const trustTime = 30 * time.Second

// awaitTrust waits until the guardian trusts the cache and strict rows are so: before that most promises are kept by Postgres alone.
func (s *scene) awaitTrust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, trustTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.databaseAt())
	if err != nil {
		return fmt.Errorf("connecting to wait for trust: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		trusted, err := isTrusted(ctx, conn)
		if err != nil || trusted {
			return err
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return fmt.Errorf("waiting until the cache is trusted: %w", err)
		}
	}
}

// isTrusted reports whether the cache is trusted and no prefix is declared that is not in force.
func isTrusted(ctx context.Context, db outbox.DB) (bool, error) {
	trust, err := outbox.ReadTrust(ctx, db)
	prefixes, more := outbox.StrictPrefixes(ctx, db)
	if err := errors.Join(err, more); err != nil {
		return false, err
	}
	for _, p := range prefixes {
		if p.Since == nil {
			return false, nil
		}
	}
	return trust.Phase == string(lease.Trusted), nil
}
