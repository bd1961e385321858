package serve

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
	"github.com/tidelock-cache/tidelock/serve/entity"
	"github.com/tidelock-cache/tidelock/writer"
)

// Server answers requests. It is an http.Handler, safe for any number of goroutines.
type Server struct {
	cfg      Config
	log      *zap.Logger
	trace    *traces.Tracer
	entities map[string]*served
	order    []string // the entities' names, as declared
	onWrite  *writer.Writer
	onRead   *writer.Writer
	turns    turns
	places   *semaphore.Weighted
	clients  *clients
	docs     documents
	counts   counts
	stop     context.CancelFunc // of work
	work     sync.WaitGroup
}

// served is an entity with what reads it.
type served struct {
	*entity.Entity
	reader *reader.Raw
}

// New checks the entities against the live schema and begins the background work. What is declared wrongly is an entity.Errors. It fails when Postgres does not
// answer; the cache and NATS may be down.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := checkSession(ctx, cfg.DB); err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, cfg.DB); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log, trace: traces.New(cfg.Traces, "serve"), entities: make(map[string]*served), places: semaphore.NewWeighted(int64(cfg.concurrent())), clients: newClients(cfg), counts: newCounts()}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	entities, err := cfg.File.Check(ctx, cfg.DB)
	if err != nil {
		return nil, err
	}
	if err := checkStrict(ctx, cfg.DB, cfg.Leases, entities); err != nil {
		return nil, err
	}
	if err := s.open(ctx, entities); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open makes the writers and the readers.
func (s *Server) open(ctx context.Context, entities []*entity.Entity) error {
	for _, e := range entities {
		r, err := reader.NewRaw(reader.Config{
			Cache: s.cfg.Cache, DB: s.cfg.DB, TTL: e.TTL, AbsentTTL: e.AbsentTTL, Leases: s.cfg.Leases, LoadTimeout: min(s.cfg.timeout(), loadTimeout), Traces: s.cfg.Traces, Log: s.cfg.Log,
			Load: func(ctx context.Context, keys []string) (map[string][]byte, error) {
				return e.Load(ctx, s.cfg.DB, keys)
			},
		})
		if err != nil {
			return err
		}
		s.entities[e.Name], s.order = &served{e, r}, append(s.order, e.Name)
		if e.AfterTriggers > 0 {
			s.log.Warn("table_has_triggers", zap.String("entity", e.Name), zap.Int("after", e.AfterTriggers),
				zap.String("mind", "a trigger that changes a row after its statement makes the cached row wrong"))
		}
	}
	for at, allocate := range map[**writer.Writer]writer.Allocation{&s.onWrite: writer.AllocateOnWrite, &s.onRead: writer.AllocateOnRead} {
		w, err := writer.New(ctx, writer.Config{DB: s.cfg.DB, Cache: s.cfg.Cache, NATS: s.cfg.NATS, Leases: s.cfg.Leases, Allocate: allocate, Traces: s.cfg.Traces, Log: s.cfg.Log})
		if err != nil {
			return err
		}
		*at = w
	}
	if err := s.docs.make(s); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.work.Go(func() { s.prune(background) })
	return nil
}

// Close lets the writes under way finish and ends the background work.
func (s *Server) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.work.Wait()
	for _, w := range []*writer.Writer{s.onWrite, s.onRead} {
		if w != nil {
			w.Close()
		}
	}
	for _, e := range s.entities {
		e.reader.Close()
	}
}

// writer returns the one to write these entities with. In one transaction there is one policy: what any of them leaves to its first reader, all do.
func (s *Server) writer(entities ...*served) *writer.Writer {
	for _, e := range entities {
		if e.OnRead {
			return s.onRead
		}
	}
	return s.onWrite
}

// checkSession sees to it that one row is one text, and that what is written for one level of isolation runs at that level.
func checkSession(ctx context.Context, db outbox.DB) error {
	for name, want := range entity.Session {
		var got string
		if err := db.QueryRow(ctx, `SELECT pg_catalog.current_setting($1)`, name).Scan(&got); err != nil {
			return fmt.Errorf("looking at the session: %w", err)
		}
		if !strings.EqualFold(got, want) {
			return fmt.Errorf("serve: the sessions of DB have %s = %q, and must have %q: see entity.Tune; a pooler must let it pass", name, got, want)
		}
	}
	return nil
}

// checkSchema returns outbox.ErrNoSchema unless the schema has what only a server needs.
func checkSchema(ctx context.Context, db outbox.DB) error {
	if err := outbox.Check(ctx, db); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, `SELECT 1 FROM tidelock.requests WHERE false`); err != nil {
		return outbox.Explain(err)
	}
	return nil
}

// checkStrict sees to it that the file and the database agree on which entities are strict.
func checkStrict(ctx context.Context, db outbox.DB, leases *lease.Client, entities []*entity.Entity) error {
	strict, err := outbox.ReadStrict(ctx, db)
	if err != nil {
		return err
	}
	for _, e := range entities {
		switch is := strict.Has(e.Prefix()); {
		case e.Strict && !is:
			return fmt.Errorf("serve: the entity %q is strict, and the database does not know it: run \"tidelock strict add %s\"", e.Name, e.Prefix())
		case is && leases == nil:
			return fmt.Errorf("serve: the keys of the entity %q are strict: give NATS, over which leases are had", e.Name)
		}
	}
	return nil
}
