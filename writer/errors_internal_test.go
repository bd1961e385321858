package writer

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// TestCommitErrors holds which errors of the round trip with the COMMIT leave its outcome open.
func TestCommitErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		unknown bool
	}{
		"a statement failed":          {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}, false},
		"a pooler lost the server":    {&pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "08P01"}, true},
		"rolled back":                 {pgx.ErrTxCommitRollback, false},
		"could not be sent":           {&pgconn.ConnectError{}, true}, // claims nothing
		"the server goes down":        {&pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, true},
		"the connection was lost":     {errors.New("unexpected EOF"), true},
		"the connection is closed":    {pgconn.ErrConnClosed, true},
		"as a batch wraps the latter": {fmt.Errorf("reading: %w", pgconn.ErrConnClosed), true},
	} {
		if got := errors.Is(commitError(context.Background(), c.err), ErrUnknown); got != c.unknown {
			t.Errorf("%s: unknown %v, want %v", name, got, c.unknown)
		}
	}
}
