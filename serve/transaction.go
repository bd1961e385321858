package serve

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/writer"
)

//go:embed sql/versions.sql
var versionsSQL string

var versionsText = mutant.Text("version-under-lock", versionsSQL, " FOR UPDATE", "")

// claim is the Idempotency-Key that a transaction has to take first, and what it keeps under it.
type claim struct{ client, key, fingerprint string }

// performOwn does operations in a transaction of their own.
func (s *Server) performOwn(q *request, operations []*operation, c *claim) (*performed, error) {
	entities := make([]*served, len(operations))
	for i, o := range operations {
		entities[i] = o.e
	}
	rows := make([][]byte, len(operations))
	result, err := s.writer(entities...).Write(q.Context(), func(ctx context.Context, tx *writer.Tx) error {
		if err := c.take(ctx, tx); err != nil {
			return err
		}
		if err := run(ctx, tx, operations, rows); err != nil {
			return err
		}
		return c.keep(ctx, tx, operations, rows)
	})
	if err != nil {
		s.renew(q.Context(), err)
		return nil, err
	}
	return newPerformed(operations, rows, result), nil
}

// run runs the statements, puts what they return into rows, and checks what was expected. The rows are locked in the order of their cache keys, as everywhere,
// and before the keys.
func run(ctx context.Context, tx *writer.Tx, operations []*operation, rows [][]byte) error {
	order := make([]int, len(operations))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(operations[a].key, operations[b].key) })
	found, err := before(ctx, tx, operations, mutant.On("version-under-lock"))
	if err != nil {
		return err
	}
	var b pgx.Batch
	for _, i := range order {
		b.Queue(operations[i].statement.SQL, operations[i].statement.Args...)
	}
	results := tx.SendBatch(ctx, &b)
	for _, i := range order {
		if err := operations[i].take(results.QueryRow(), &rows[i]); err != nil {
			_ = results.Close()
			return of(i, operations, err)
		}
	}
	if err := results.Close(); err != nil {
		return err
	}
	if !mutant.On("version-under-lock") {
		if found, err = before(ctx, tx, operations, true); err != nil {
			return err
		}
	}
	for i, o := range operations {
		if !o.creates && !o.condition.holds(found[o.key].version) {
			failure := o.condition.failed()
			if found[o.key].pruned {
				failure.outdated = o.key
			}
			return of(i, operations, failure)
		}
		if err := tx.Change(o.change(rows[i])); err != nil {
			return of(i, operations, err)
		}
	}
	return nil
}

// take reads what a statement has returned.
func (o *operation) take(row pgx.Row, into *[]byte) error {
	var payload string
	switch err := row.Scan(&payload); {
	case errors.Is(err, pgx.ErrNoRows):
		return o.missed()
	case err != nil:
		return err
	}
	*into = nil
	if o.method != "delete" {
		*into = []byte(payload)
	}
	return nil
}

// version is what a key had before a transaction; pruned: Postgres has forgotten it, and the floor stands in for it.
type version struct {
	version int64
	pruned  bool
}

// before returns the versions of those keys whose version matters, as they were before this transaction.
func before(ctx context.Context, tx pgx.Tx, operations []*operation, look bool) (map[string]version, error) {
	var keys []string
	for _, o := range operations {
		if o.condition.byVersion() && look {
			keys = append(keys, o.key)
		}
	}
	found := make(map[string]version, len(keys))
	if keys == nil {
		return found, nil
	}
	rows, err := tx.Query(ctx, versionsText, keys)
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	var key string
	var v version
	_, err = pgx.ForEachRow(rows, []any{&key, &v.version, &v.pruned}, func() error {
		found[key] = v
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	return found, nil
}

// renew drops the entry of a key whose version Postgres has forgotten: as long as the cache had it, who reads it again would be given the same version again,
// and refused again.
func (s *Server) renew(ctx context.Context, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok || p.outdated == "" {
		return
	}
	if err := s.cfg.Cache.Drop(ctx, p.outdated); err != nil {
		s.log.Debug("drop_failed", zap.Error(err))
	}
}

// of says which of several operations has failed. What the writer repeats it must see as it is.
func of(i int, operations []*operation, err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); len(operations) == 1 || ok && strings.HasPrefix(e.Code, "40") {
		return err
	}
	return at(i, err)
}
