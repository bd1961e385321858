package writer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/outbox"
)

var (
	// ErrUnknown says that the COMMIT was sent and its outcome is not known: the write may have happened. Read before
	// repeating it, unless the statement can be repeated. If it has happened its record is in the outbox, and a relay settles it.
	ErrUnknown = errors.New("the outcome of the commit is unknown")
	// ErrClosed is returned by a writer after Close.
	ErrClosed = errors.New("the writer is closed")
	// ErrNotCommitted is returned by Pending.Apply when the transaction has not committed. The cache was not touched.
	ErrNotCommitted = errors.New("the transaction has not committed")
	// ErrOwnTx is returned by Tx.Commit and Tx.Rollback: Write ends the transaction. Return an error to roll it back.
	ErrOwnTx = errors.New("Write ends this transaction: return nil to commit it, an error to roll it back")
	// ErrOneRow is returned by Put when its statement does not return exactly one row. The statement was rolled back.
	ErrOneRow = errors.New("the statement must return exactly one row")
	// ErrPayloadColumn is returned by Put when the first column returned is not text, json, jsonb or bytea, or is null.
	ErrPayloadColumn = errors.New("the first column returned must be a text, json, jsonb or bytea that is not null")
)

// retryable reports whether Postgres ended the transaction for the sake of others: it may succeed when run again.
func retryable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

// lockTimeout reports whether a statement of a group waited too long for a lock.
func lockTimeout(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}

// statementFailed reports whether err is Postgres's answer to a statement, after which the connection lives.
func statementFailed(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR"
}

// ofConnection reports whether a pooler says, in place of Postgres, that it has lost the connection: what became of the batch it does not know.
func ofConnection(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(e.Code, "08")
}

// lost reports whether err speaks of the connection or of time rather than of a statement: running it again, one by one,
// would only fail one by one.
func lost(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.SeverityUnlocalized != "ERROR"
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded)
}

// commitError is the one place that says what an error of the last batch, the one with the COMMIT, means.
func commitError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case statementFailed(err) && !ofConnection(err):
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return outbox.Explain(err)
	case errors.Is(err, pgx.ErrTxCommitRollback), notSent(err), mutant.On("unknown-commit"):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

// notSent reports whether nothing has reached Postgres. A connection that is found closed says it of the receiving too: pgconn may have
// swallowed the error that closed it after the COMMIT was sent.
func notSent(err error) bool {
	return pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed)
}
