package drive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/chaos/history"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/writer"
)

// tidelock is the subject that the guarantee is about.
type tidelock struct {
	db      *pgxpool.Pool
	nats    *nats.Conn    // nil without
	leases  *lease.Client // likewise
	cache   *cache.Cache
	writer  *writer.Writer
	reader  *reader.Raw
	timeout time.Duration
	log     *zap.Logger
}

func openTidelock(p *process, cfg Config, log *zap.Logger) (_ subject, err error) {
	s := &tidelock{timeout: cfg.timeout(), log: log}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.db, err = openDatabase(cfg.DatabaseURL, cfg.conns(), p.points); err != nil {
		return nil, err
	}
	if cfg.NATSURL != "" {
		if s.nats, err = openNATS(cfg.NATSURL, cfg.Process, log); err != nil {
			return nil, err
		}
		if s.leases, err = lease.NewClient(lease.Config{DB: s.db, NATS: s.nats, Log: log}); err != nil {
			return nil, err
		}
	}
	s.cache, err = openCache(p, cache.Config{URL: cfg.ValkeyURL, Timeout: cfg.Cache.timeout(), PayloadMax: cfg.Cache.payloadMax(), PlaceholderTTL: cfg.Cache.PlaceholderTTL, Log: log})
	if err != nil {
		return nil, err
	}
	looks := &looks{DB: s.db, points: p.points}
	s.reader, err = reader.NewRaw(reader.Config{Cache: s.cache, DB: looks, TTL: cfg.Cache.ttl(), AbsentTTL: cfg.Cache.AbsentTTL, Leases: s.leases, SettleTimeout: cfg.SettleTimeout, Log: log,
		Load: func(ctx context.Context, keys []string) (map[string][]byte, error) {
			p.points.reach(BeforeLoad)
			rows, err := load(ctx, s.db, keys)
			p.points.reach(AfterLoad)
			looks.loaded(ctx)
			return rows, err
		}})
	if err != nil {
		return nil, err
	}
	s.writer, err = persist(p, log, "opening the writer", func() (*writer.Writer, error) { return s.newWriter(p, cfg) })
	return s, err
}

func (s *tidelock) newWriter(ctx context.Context, cfg Config) (*writer.Writer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	allocate := writer.AllocateOnWrite
	if cfg.Writes.AllocateOnRead {
		allocate = writer.AllocateOnRead
	}
	return writer.New(ctx, writer.Config{DB: s.db, Cache: s.cache, NATS: s.nats, Allocate: allocate, TTL: cfg.Cache.ttl(), Grace: cfg.Writes.Grace, CommitTimeout: s.timeout,
		Leases: s.leases, SettleTimeout: cfg.SettleTimeout, Log: s.log})
}

func (s *tidelock) close() {
	if s.writer != nil {
		s.writer.Close()
	}
	if s.reader != nil {
		s.reader.Close()
	}
	if s.cache != nil {
		s.cache.Close()
	}
	if s.leases != nil {
		s.leases.Close()
	}
	if s.nats != nil {
		s.nats.Close()
	}
	if s.db != nil {
		s.db.Close()
	}
}

func (s *tidelock) read(ctx context.Context, keys []string, demand reader.Option) []found {
	if len(keys) > 1 {
		return s.readMany(ctx, keys, demand)
	}
	p, err := s.reader.Get(ctx, keys[0], demand)
	switch {
	case errors.Is(err, reader.ErrNotFound):
		return []found{{version: p.Version, hit: p.Hit}}
	case err != nil:
		return []found{{err: err}}
	}
	return []found{foundIn(p.Bytes, p.Version, p.Hit)}
}

// readMany returns what could be read, even when the rest could not.
func (s *tidelock) readMany(ctx context.Context, keys []string, demand reader.Option) []found {
	payloads, err := s.reader.GetMany(ctx, keys, demand)
	partly, named := errors.AsType[*reader.LoadError](err)
	results := make([]found, len(keys))
	for i, key := range keys {
		if p, exists := payloads[key]; exists {
			results[i] = foundIn(p.Bytes, p.Version, p.Hit)
		} else if err != nil && (!named || slices.Contains(partly.Keys, key)) {
			results[i].err = err
		}
	}
	return results
}

func (s *tidelock) write(ctx context.Context, t *transaction) (cache.Token, error) {
	write := s.byWrite
	switch t.way {
	case byPut:
		write = s.put
	case byRecord:
		write = s.record
	}
	result, err := write(ctx, t)
	if err != nil {
		return cache.Token{}, unsettled(err)
	}
	t.note(result)
	return result.Token(), nil
}

// note completes the operations with what the writer says of their keys.
func (t *transaction) note(result writer.Result) {
	for _, k := range result.Keys {
		for i := range t.ops {
			if t.ops[i].Key == k.Key {
				t.ops[i].Version, t.ops[i].Deferred = k.Version, k.Outcome == writer.Deferred
			}
		}
	}
}

// put leaves N open: the statement returns it, the result does not.
func (s *tidelock) put(ctx context.Context, t *transaction) (writer.Result, error) {
	op := t.ops[0]
	put := writer.Put{Key: op.Key, SQL: upsertSQL, Args: t.arguments(op)}
	if t.abort {
		put.SQL = brokenSQL
	}
	if op.Kind == history.Delete {
		put.Kind = outbox.Absent
	}
	return s.writer.Put(ctx, put)
}

func (s *tidelock) byWrite(ctx context.Context, t *transaction) (writer.Result, error) {
	return s.writer.Write(ctx, func(ctx context.Context, tx *writer.Tx) error {
		changes, err := s.change(ctx, tx, t)
		if err != nil {
			return err
		}
		if t.abort {
			return errAborted
		}
		return tx.Change(changes...)
	})
}

// change writes the rows and says what that means to the cache. A value that the cache would not take must not be set, so its key is invalidated.
func (s *tidelock) change(ctx context.Context, tx pgx.Tx, t *transaction) ([]writer.Change, error) {
	payloads, err := upsert(ctx, tx, t)
	if err != nil {
		return nil, err
	}
	changes := make([]writer.Change, len(payloads))
	for i, payload := range payloads {
		switch op := t.ops[i]; {
		case op.Kind == history.Delete:
			changes[i] = writer.Absent(op.Key)
		case t.oversize:
			changes[i] = writer.Invalidate(op.Key)
		default:
			changes[i] = writer.Set(op.Key, payload)
		}
	}
	return changes, nil
}

// record owns its transaction. It calls Apply also after a COMMIT of which it knows nothing, and after a rollback: Apply has to find out.
func (s *tidelock) record(ctx context.Context, t *transaction) (writer.Result, error) {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return writer.Result{}, fmt.Errorf("beginning the transaction: %w", err)
	}
	defer s.rollback(ctx, tx)
	changes, err := s.change(ctx, tx, t)
	if err != nil {
		return writer.Result{}, err
	}
	pending, err := s.writer.Record(ctx, tx, changes...)
	if err != nil {
		return writer.Result{}, err
	}
	if err = errAborted; t.abort {
		s.rollback(ctx, tx)
	} else {
		err = committed(tx.Commit(ctx))
	}
	if err != nil && !t.abort && !errors.Is(err, writer.ErrUnknown) {
		return writer.Result{}, err
	}
	result, applyErr := s.apply(ctx, pending)
	if err == nil && applyErr != nil && t.strict() {
		return result, fmt.Errorf("%w: %w", writer.ErrUnknown, applyErr)
	}
	if err == nil && applyErr != nil {
		s.log.Warn("apply_failed", zap.Error(applyErr))
		t.deferAll()
	}
	return result, err
}

func (s *tidelock) apply(ctx context.Context, pending *writer.Pending) (writer.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	return pending.Apply(ctx)
}

// deferAll notes that nothing is known of the cache.
func (t *transaction) deferAll() {
	for i := range t.ops {
		t.ops[i].Deferred = true
	}
}

// rollback does nothing to a transaction that has ended.
func (s *tidelock) rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx)
}
