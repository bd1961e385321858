package drive

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tidelock-cache/tidelock/chaos/history"
)

const (
	// payloadSQL makes of a row what the cache is to hold. One that is gone leaves a mark, for subjects that know no absence.
	payloadSQL = `CASE WHEN gone THEN json_build_object('n', n, 'op', op, 'gone', true) ELSE json_build_object('n', n, 'op', op, 'pad', pad) END::text`
	// upsertSQL is a write. $1 the row, $2 the write's ID, $3 whether the row is gone, $4 the padding.
	upsertSQL = `INSERT INTO chaos_rows AS r (id, n, op, gone, pad) VALUES ($1, 1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET n = r.n + 1, op = excluded.op, gone = excluded.gone, pad = excluded.pad
RETURNING ` + payloadSQL + `, n`
	// brokenSQL is a write that Postgres refuses once the row is written.
	brokenSQL = upsertSQL + `, 1 / (n - n)`
	// loadSQL reads the rows that are not gone. $1 their names.
	loadSQL = `SELECT id, ` + payloadSQL + ` FROM chaos_rows WHERE id = ANY ($1) AND NOT gone`
	// selectSQL reads one row, gone or not. $1 its name.
	selectSQL = `SELECT ` + payloadSQL + ` FROM chaos_rows WHERE id = $1`
)

// row is a payload.
type row struct {
	N    int64 `json:"n"`
	Op   int64 `json:"op"`
	Gone bool  `json:"gone"`
}

func decodeRow(payload []byte) (row, error) {
	var r row
	if err := json.Unmarshal(payload, &r); err != nil {
		return row{}, fmt.Errorf("decoding a payload: %w", err)
	}
	return r, nil
}

// arguments are those of upsertSQL.
func (t *transaction) arguments(op history.Op) []any {
	return []any{op.Key, op.ID, op.Kind == history.Delete, t.pad}
}

// upsert writes the rows of a transaction, in their order, notes the N of each, and returns their payloads.
func upsert(ctx context.Context, tx pgx.Tx, t *transaction) ([][]byte, error) {
	payloads := make([][]byte, len(t.ops))
	for i := range t.ops {
		if err := tx.QueryRow(ctx, upsertSQL, t.arguments(t.ops[i])...).Scan(&payloads[i], &t.ops[i].N); err != nil {
			return nil, fmt.Errorf("writing a row: %w", err)
		}
	}
	return payloads, nil
}

// load reads the payloads of the rows that are not gone.
func load(ctx context.Context, db *pgxpool.Pool, keys []string) (map[string][]byte, error) {
	rows, err := db.Query(ctx, loadSQL, keys)
	if err != nil {
		return nil, fmt.Errorf("loading rows: %w", err)
	}
	payloads := make(map[string][]byte, len(keys))
	var key, payload string
	_, err = pgx.ForEachRow(rows, []any{&key, &payload}, func() error {
		payloads[key] = []byte(payload)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading rows: %w", err)
	}
	return payloads, nil
}
