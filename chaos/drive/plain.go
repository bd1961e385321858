package drive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/reader"
)

// plain is how teams do without Tidelock: the row is committed, then the cache is set or its key deleted, or there is no cache. An error of the
// cache's is logged, and nobody comes back to it.
type plain struct {
	kind   Subject
	db     *pgxpool.Pool
	store  *store // nil for Postgres
	points *points
	log    *zap.Logger
}

func openPlain(p *process, cfg Config, log *zap.Logger) (subject, error) {
	db, err := openDatabase(cfg.DatabaseURL, cfg.conns(), p.points)
	if err != nil {
		return nil, err
	}
	s := &plain{kind: cfg.subject(), db: db, points: p.points, log: log}
	if s.kind == Postgres {
		return s, nil
	}
	if s.store, err = openStore(cfg.ValkeyURL, cfg.Cache.timeout(), cfg.Cache.ttl(), log); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func (s *plain) close() {
	if s.store != nil {
		s.store.close()
	}
	s.db.Close()
}

func (s *plain) write(ctx context.Context, t *transaction) (cache.Token, error) {
	payloads, err := s.commit(ctx, t)
	if err != nil || s.store == nil {
		return cache.Token{}, err
	}
	for i, payload := range payloads {
		if s.kind == Naive {
			err = s.store.set(ctx, t.ops[i].Key, payload)
		} else {
			err = s.store.del(ctx, t.ops[i].Key)
		}
		if err != nil {
			s.log.Debug("cache_failed", zap.String("key", t.ops[i].Key), zap.Error(err))
			t.ops[i].Deferred = true
		}
	}
	return cache.Token{}, nil
}

// commit writes one row with a statement that commits by itself, several in a transaction.
func (s *plain) commit(ctx context.Context, t *transaction) ([][]byte, error) {
	conn, err := s.db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connecting to postgres: %w", err)
	}
	defer conn.Release()
	if len(t.ops) > 1 || t.abort {
		return s.transact(ctx, conn, t)
	}
	var payload []byte
	ctx = context.WithValue(ctx, meaning{}, commit)
	err = conn.QueryRow(ctx, upsertSQL, t.arguments(t.ops[0])...).Scan(&payload, &t.ops[0].N)
	return [][]byte{payload}, committed(err)
}

func (s *plain) transact(ctx context.Context, conn *pgxpool.Conn, t *transaction) ([][]byte, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("beginning the transaction: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = tx.Rollback(ctx) // does nothing to one that has ended
	}()
	payloads, err := upsert(ctx, tx, t)
	if err != nil {
		return nil, err
	}
	if t.abort {
		return nil, errAborted
	}
	return payloads, committed(tx.Commit(ctx))
}

func (s *plain) read(ctx context.Context, keys []string, _ reader.Option) []found {
	results := make([]found, len(keys))
	for i, key := range keys {
		results[i] = s.readOne(ctx, key)
	}
	return results
}

// readOne asks the cache, and on a miss fills it with what it reads from Postgres. When the cache does not answer it reads from Postgres alone.
func (s *plain) readOne(ctx context.Context, key string) found {
	missed := false
	if s.store != nil {
		payload, err := s.store.get(ctx, key)
		if err == nil {
			return foundIn(payload, 0, true)
		}
		missed = errors.Is(err, errMiss)
	}
	var payload []byte
	err := s.db.QueryRow(ctx, selectSQL, key).Scan(&payload)
	if errors.Is(err, pgx.ErrNoRows) {
		return found{}
	}
	if err != nil {
		return found{err: fmt.Errorf("reading a row: %w", err)}
	}
	s.points.reach(AfterLoad)
	if missed {
		if err := s.store.set(ctx, key, payload); err != nil {
			s.log.Debug("fill_failed", zap.String("key", key), zap.Error(err))
		}
	}
	return foundIn(payload, 0, false)
}
