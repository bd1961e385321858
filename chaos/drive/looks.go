package drive

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/reader"
)

// looks tells a reader's second look at the versions from its first: it comes after the load, in the same context.
type looks struct {
	reader.DB
	points *points
	after  sync.Map // contexts of loads that have read the rows
}

// loaded is called once the rows are read.
func (l *looks) loaded(ctx context.Context) {
	if !l.points.has(BeforeFill) {
		return
	}
	l.after.Store(ctx, true)
	context.AfterFunc(ctx, func() { l.after.Delete(ctx) }) // there may be no second look
}

// Query implements reader.DB.
func (l *looks) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if _, second := l.after.LoadAndDelete(ctx); second {
		ctx = context.WithValue(ctx, meaning{}, secondLook)
	}
	return l.DB.Query(ctx, sql, args...)
}
