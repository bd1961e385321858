package drive

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// tracer finds the moments in what goes to Postgres. So the product needs no hooks, and what is attacked is what is shipped.
type tracer struct{ points *points }

// statement is what a text of SQL means to the points.
type statement int

const (
	other statement = iota
	commit
	retire
	take
	read
	secondLook // at the versions, by a reader
	office     // the guardian takes it
	horizon    // and reads it, with the servers on record
	register
	changed
	repaired
)

// before and after are the moments on either side of a statement.
var (
	before = map[statement]Moment{commit: BeforeCommit, retire: BeforeRetire, register: BeforeRegister, changed: BeforeMend, repaired: BeforeRepaired}
	after  = map[statement]Moment{commit: AfterCommit, take: AfterTake, read: AfterRead, secondLook: BeforeFill, office: BeforeHorizon, horizon: BeforeWatch}
)

// recognize reads the statement, without the comment that stands before it.
func recognize(sql string) statement {
	for strings.HasPrefix(sql, "--") {
		_, sql, _ = strings.Cut(sql, "\n")
	}
	switch {
	case strings.EqualFold(sql, "commit"):
		return commit
	case strings.HasPrefix(sql, "WITH gone AS"):
		return retire
	case strings.HasPrefix(sql, "WITH due AS"):
		return take
	case strings.HasPrefix(sql, "SELECT o.version, o.key"):
		return read
	case strings.HasPrefix(sql, "WITH here AS"):
		return office
	case strings.HasPrefix(sql, "SELECT h.xid"):
		return horizon
	case strings.HasPrefix(sql, "INSERT INTO tidelock.servers"):
		return register
	case strings.HasPrefix(sql, "SELECT key, version FROM tidelock.versions WHERE xid"):
		return changed
	case strings.HasPrefix(sql, "UPDATE tidelock.servers SET repair_from = NULL"):
		return repaired
	}
	return other
}

// meaning marks a context with the statement that runs in it. The SQL of some does not tell what they are: one that commits by itself, or
// the second look at the versions.
type meaning struct{}

func meaningOf(ctx context.Context) statement {
	s, _ := ctx.Value(meaning{}).(statement)
	return s
}

func (t tracer) start(ctx context.Context, s statement) context.Context {
	if m, ok := before[s]; ok {
		t.points.reach(m)
	}
	return context.WithValue(ctx, meaning{}, s)
}

func (t tracer) end(ctx context.Context, err error) {
	if m, ok := after[meaningOf(ctx)]; ok && err == nil {
		t.points.reach(m)
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	s := meaningOf(ctx)
	if s == other {
		s = recognize(data.SQL)
	}
	return t.start(ctx, s)
}

// TraceQueryEnd implements pgx.QueryTracer. The result has been read, and its caller has yet to go on.
func (t tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	s := other
	for _, query := range data.Batch.QueuedQueries {
		if s == other {
			s = recognize(query.SQL)
		}
	}
	return t.start(ctx, s)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (t tracer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	t.end(ctx, data.Err)
}
