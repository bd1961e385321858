package rig

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Moment is where a Gate holds a statement.
type Moment int

const (
	// Before holds a statement before it is sent.
	Before Moment = iota
	// After holds it when its result has been read, before its caller goes on.
	After
)

// Gate holds the statements of one pool that contain a given text, so that a test can build a schedule around them.
type Gate struct {
	moment  Moment
	text    string
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
	skip    atomic.Int32 // statements yet to be let through
}

// Gated returns a pool on the database of another one, with a closed Gate for its statements that contain text.
func Gated(t testing.TB, db *pgxpool.Pool, moment Moment, text string) (*pgxpool.Pool, *Gate) {
	t.Helper()
	g := &Gate{moment: moment, text: text, reached: make(chan struct{}, 1), open: make(chan struct{})}
	config := db.Config()
	config.ConnConfig.Tracer = g
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatalf("making a pool: %v", err)
	}
	t.Cleanup(pool.Close)
	t.Cleanup(g.Open)
	return pool, g
}

// Skip has the gate let the next n statements through.
func (g *Gate) Skip(n int) { g.skip.Store(int32(n)) }

// Reached bears a signal once a statement stands at the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets through all that stand at the gate, and whoever comes later.
func (g *Gate) Open() { g.once.Do(func() { close(g.open) }) }

// hold ends with the statement's own deadline too, so that a test which fails does not hang.
func (g *Gate) hold(ctx context.Context) {
	select {
	case g.reached <- struct{}{}:
	default:
	}
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

// gated marks the context of a statement that the gate is to hold at its end.
type gated struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (g *Gate) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return g.start(ctx, data.SQL)
}

func (g *Gate) start(ctx context.Context, sql string) context.Context {
	if !strings.Contains(sql, g.text) || g.skip.Add(-1) >= 0 {
		return ctx
	}
	if g.moment == After {
		return context.WithValue(ctx, gated{}, true)
	}
	g.hold(ctx)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (g *Gate) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) { g.end(ctx) }

// TraceBatchStart implements pgx.BatchTracer. A batch is held as a whole.
func (g *Gate) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	var all []string
	for _, query := range data.Batch.QueuedQueries {
		all = append(all, query.SQL)
	}
	return g.start(ctx, strings.Join(all, ";"))
}

// TraceBatchQuery implements pgx.BatchTracer.
func (g *Gate) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (g *Gate) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) { g.end(ctx) }

func (g *Gate) end(ctx context.Context) {
	if ctx.Value(gated{}) != nil {
		g.hold(ctx)
	}
}
