package chaos

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

// loss is what a Postgres lacks that took the place of another one.
type loss struct {
	at int64 // whatever began before was told to the other one, or may have been
	// survivors are how far each row had come: its counter, and its key's version.
	survivors map[string]survivor
}

type survivor struct{ n, version int64 }

// findLoss notes how far the rows had come, on a server that nobody writes to yet.
func findLoss(ctx context.Context, at string, when int64) (*loss, error) {
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("connecting to the new primary: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT r.id, r.n, coalesce(v.version, 0) FROM chaos_rows r LEFT JOIN tidelock.versions v ON v.key = r.id")
	if err != nil {
		return nil, fmt.Errorf("looking for what was lost: %w", err)
	}
	l := &loss{at: when, survivors: map[string]survivor{}}
	var id string
	var s survivor
	if _, err := pgx.ForEachRow(rows, []any{&id, &s.n, &s.version}, func() error { l.survivors[id] = s; return nil }); err != nil {
		return nil, fmt.Errorf("looking for what was lost: %w", err)
	}
	return l, nil
}

// without is the history without what was lost. That a standby lacks commits is between Postgres and whoever promotes it: the writes
// that it lacks become unknown, so that none is missed. What was read before it took over, or is such a write, is left out, and a read
// that asks for the version of one asks for nothing. An entry of a deletion does not name it, but has its version.
func (l *loss) without(ops []history.Op) []history.Op {
	if l == nil {
		return ops
	}
	lost, unknown, versions := map[int64]bool{}, map[int64]bool{}, map[string][]int64{}
	deleted, acknowledged := map[string]bool{}, map[int64]bool{}
	var kept []history.Op
	for _, op := range ops {
		if op.Kind == history.Read {
			continue
		}
		if l.lacks(op) {
			lost[op.ID] = true
			versions[op.Key] = append(versions[op.Key], op.Version)
			op.Outcome, op.N, op.Version = history.Unknown, 0, 0
		}
		unknown[op.ID] = op.Outcome == history.Unknown && op.Begin < l.at
		deleted[op.Key] = deleted[op.Key] || unknown[op.ID] && op.Kind == history.Delete
		acknowledged[op.Version] = op.Outcome == history.OK
		kept = append(kept, op)
	}
	for _, op := range ops {
		s := l.survivors[op.Key]
		switch {
		case op.Kind != history.Read || op.Begin < l.at:
			continue
		case lost[op.ID] || unknown[op.ID] && op.N > s.n:
			continue
		case op.ID == 0 && (slices.Contains(versions[op.Key], op.Version) || deleted[op.Key] && op.Version > s.version && !acknowledged[op.Version]):
			continue
		}
		if slices.Contains(versions[op.Key], op.Need) {
			op.Level, op.Need = history.Default, 0
		}
		kept = append(kept, op)
	}
	return kept
}

// lacks reports whether a write was acknowledged, and is not there or may have been so.
func (l *loss) lacks(op history.Op) bool {
	s := l.survivors[op.Key]
	return op.Outcome == history.OK && op.Begin < l.at && (op.N > s.n || op.Version > s.version)
}
