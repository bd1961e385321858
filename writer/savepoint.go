package writer

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// savepoint is a transaction within the transaction of a Write.
type savepoint struct {
	pgx.Tx
	write *Tx
	mark  int // how many changes were declared before it
}

func beginSavepoint(ctx context.Context, outer pgx.Tx, write *Tx) (pgx.Tx, error) {
	inner, err := outer.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &savepoint{Tx: inner, write: write, mark: len(write.changes)}, nil
}

func (s *savepoint) Begin(ctx context.Context) (pgx.Tx, error) {
	return beginSavepoint(ctx, s.Tx, s.write)
}

// Rollback forgets what was declared since the savepoint, for it did not happen.
func (s *savepoint) Rollback(ctx context.Context) error {
	err := s.Tx.Rollback(ctx)
	if err == nil {
		s.write.changes = s.write.changes[:s.mark]
	}
	return err
}
