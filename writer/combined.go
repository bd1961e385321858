package writer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidelock-cache/tidelock/outbox"
)

// combinedMost is the largest group whose Puts each go combined with their record: of more, records in one statement cost less than round trips.
const combinedMost = 8

// formsMost is how many statements are remembered. Texts that are made anew for every Put are not worth it.
const formsMost = 1000

// forms remembers which statements can be combined with their record.
type forms struct {
	mu sync.Mutex
	of map[form]*outbox.Combined // nil for one that cannot be
}

type form struct {
	sql  string
	kind outbox.Kind
}

// find returns how a Put is combined, nil if it cannot be. What is not known yet it asks Postgres.
func (f *forms) find(ctx context.Context, conn *pgx.Conn, put Put) (*outbox.Combined, error) {
	key := form{put.SQL, put.Kind}
	f.mu.Lock()
	combined, known := f.of[key]
	full := len(f.of) >= formsMost
	f.mu.Unlock()
	if known || full {
		return combined, nil
	}
	combined, err := combine(ctx, conn.PgConn(), put)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.of[key] = combined
	f.mu.Unlock()
	return combined, nil
}

// combine returns nil for a statement that Postgres will not prepare by itself, or not as a part of another one. An error is one of the connection.
func combine(ctx context.Context, conn *pgconn.PgConn, put Put) (*outbox.Combined, error) {
	alone, err := conn.Prepare(ctx, "", put.SQL, nil)
	if err != nil || len(alone.Fields) == 0 {
		return nil, unlessRefused(err)
	}
	combined, ok := outbox.Combine(put.SQL, len(alone.ParamOIDs), put.Kind, alone.Fields[0].DataTypeOID)
	if !ok {
		return nil, nil
	}
	if _, err := conn.Prepare(ctx, "", combined.SQL, nil); err != nil {
		return nil, unlessRefused(err)
	}
	return &combined, nil
}

func unlessRefused(err error) error {
	if statementFailed(err) {
		return nil
	}
	return err
}

// combinable returns how each Put of a group is combined, nothing if one of them is not, or if they would not all fare better so. Two Puts of one key are one change of
// the cache, and triggers of an attached table would record once more what was recorded before they ran.
func (w *Writer) combinable(ctx context.Context, conn *pgx.Conn, group []*queued, strict outbox.Strict, patient bool) ([]*outbox.Combined, error) {
	if patient || len(group) > combinedMost || strict.Attached() {
		return nil, nil
	}
	all := make([]*outbox.Combined, len(group))
	for i, q := range group {
		if q.plain || i > 0 && q.put.Key == group[i-1].put.Key {
			return nil, nil
		}
		combined, err := w.forms.find(ctx, conn, q.put)
		if err != nil || combined == nil {
			return nil, err
		}
		all[i] = combined
	}
	return all, nil
}

// runCombined commits a group in one round trip. A Put whose statement fails, or does not return what it must, is marked to be run by itself, which will say why: then
// the error is errPlain.
func (w *Writer) runCombined(ctx context.Context, conn *pgx.Conn, group []*queued, combined []*outbox.Combined, strict outbox.Strict) (failed *queued, err error) {
	defer func() {
		if p := recover(); p != nil { // an argument's method, on its way into the batch: nothing was sent
			failed, err = nil, fmt.Errorf("encoding the arguments: panic: %v", p)
		}
	}()
	results := conn.SendBatch(ctx, w.combinedBatch(group, combined, strict))
	done, at, err := readCombined(results, group, combined)
	if e := results.Close(); err == nil {
		err = e
	}
	if done {
		for _, q := range group {
			q.strict = strict
		}
		return nil, nil
	}
	return explainCombined(ctx, group, at, err)
}

func (w *Writer) combinedBatch(group []*queued, combined []*outbox.Combined, strict outbox.Strict) *pgx.Batch {
	var b pgx.Batch
	b.Queue("begin")
	b.Queue("set local lock_timeout = '100ms'")
	for i, q := range group {
		q.record = w.records([]Change{{Key: q.put.Key, Kind: q.put.Kind, TTL: q.put.TTL}})[0]
		q.record.Trace = w.traceparent(q.ctx)
		combined[i].Queue(&b, q.put.Args, q.record, w.cache.PayloadMax(), w.cfg.grace(), strict)
	}
	b.Queue("commit")
	return &b
}

// readCombined returns whether the group is committed, and after an error which Put it is of: -1 before the first one, their number for the COMMIT.
func readCombined(results pgx.BatchResults, group []*queued, combined []*outbox.Combined) (done bool, at int, err error) {
	for range 2 {
		if _, err := results.Exec(); err != nil {
			return false, -1, err
		}
	}
	for i, q := range group {
		if err := combined[i].Take(results.QueryRow(), &q.record); err != nil {
			return false, i, err
		}
	}
	tag, err := results.Exec()
	return tag.String() == "COMMIT", len(group), err
}

// explainCombined says what it means that a group is not committed. What Postgres answers to a statement it answers before it comes to the COMMIT.
func explainCombined(ctx context.Context, group []*queued, at int, err error) (failed *queued, _ error) {
	_, answered := errors.AsType[*pgconn.PgError](err)
	_, unsent := errors.AsType[pgx.ErrPreprocessingBatch](err)
	switch {
	case err == nil:
		return nil, pgx.ErrTxCommitRollback
	case unsent: // the COMMIT comes last
	case !answered || at == len(group):
		return nil, commitError(ctx, err)
	case !statementFailed(err) || retryable(err):
		return nil, err
	case errors.Is(outbox.Explain(err), outbox.ErrStrictChanged):
		return nil, outbox.Explain(err)
	case lockTimeout(err) && at >= 0:
		return group[at], err
	}
	for i, q := range group {
		q.plain = at < 0 || at == i
	}
	return nil, errPlain
}

// errPlain says that a group must be run anew, and not combined.
var errPlain = errors.New("a statement must be run by itself")
