package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// subject is a way to keep rows and cache in step. Its methods may be called from any number of goroutines.
type subject interface {
	// write does a transaction and completes its operations with what the writer knows of them afterwards. After an error that is writer.ErrUnknown it may
	// have happened, after any other it has not. The token is zero where there are none.
	write(ctx context.Context, t *transaction) (cache.Token, error)
	// read returns what each row holds. A subject without versions cannot meet the demand.
	read(ctx context.Context, keys []string, demand reader.Option) []found
	// close ends all background work.
	close()
}

// subjects open each of them. They return an error for settings that can never do, or when p ends.
var subjects = map[Subject]func(p *process, cfg Config, log *zap.Logger) (subject, error){
	Tidelock: openTidelock,
	Naive:    openPlain,
	Aside:    openPlain,
	Postgres: openPlain,
}

// way is one of the writer's three.
type way int

const (
	byPut way = iota
	byWrite
	byRecord
)

// transaction is one to be done: an operation a row, sorted by key, so that no two lock each other out.
type transaction struct {
	ops      []history.Op
	way      way
	pad      string
	oversize bool
	abort    bool
}

// found is what a read saw. The zero found says that there is no row.
type found struct {
	id, n, version int64
	hit            bool
	err            error
}

// foundIn is what a payload says. A mark of a row that is gone tells its N, but it is no row.
func foundIn(payload []byte, version int64, hit bool) found {
	r, err := decodeRow(payload)
	if err != nil {
		return found{err: err}
	}
	if r.Gone {
		r.Op = 0
	}
	return found{id: r.Op, n: r.N, version: version, hit: hit}
}

// errAborted is that of a transaction which was rolled back on purpose.
var errAborted = errors.New("rolled back on purpose")

// committed says what the error of a COMMIT means, or of a statement that commits by itself: unknown, unless it was never sent, or Postgres has
// refused it. FATAL is no refusal: a backend that is told to go may have committed by then.
func committed(err error) error {
	if err == nil || pgconn.SafeToRetry(err) && !errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.SeverityUnlocalized == "ERROR" {
		return err
	}
	return fmt.Errorf("%w: %w", writer.ErrUnknown, err)
}

// outcome is what the error of a write means.
func outcome(err error) history.Outcome {
	switch {
	case err == nil:
		return history.OK
	case errors.Is(err, writer.ErrUnknown):
		return history.Unknown
	default:
		return history.Fail
	}
}
