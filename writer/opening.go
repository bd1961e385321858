package writer

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// opening is the transaction of a Write. Its BEGIN goes with its first statement, in one round trip; only where that statement cannot be in a batch it goes before.
type opening struct {
	conn *pgxpool.Conn
	ctx  context.Context // of the Write, for methods that have none
	tx   pgx.Tx          // nil until it has begun, closed if it could not
	err  error           // why it could not
}

// begin begins the transaction unless it has begun, or could not. It returns one in any case, which is closed where there is an error.
func (o *opening) begin(ctx context.Context) (pgx.Tx, error) {
	if o.tx == nil {
		if o.tx, o.err = o.conn.Conn().Begin(ctx); o.err != nil {
			o.fail(o.err)
		}
	}
	return o.tx, o.err
}

func (o *opening) fail(err error) {
	var b pgx.Batch
	b.BeginTx(pgx.TxOptions{})
	o.tx, o.err = pgx.FailedBatchResults(&b, err).Tx(), err
}

// first sends BEGIN and the first statement, and returns the statement's rows.
func (o *opening) first(ctx context.Context, sql string, args []any) *firstRows {
	var b pgx.Batch
	b.BeginTx(pgx.TxOptions{})
	b.Queue(sql, args...)
	results := o.conn.SendBatch(ctx, &b)
	_, began := results.Exec()
	rows, err := results.Query()
	first := &firstRows{Rows: rows, results: results}
	if err != nil {
		first.Close()
	}
	_, refused := errors.AsType[*pgconn.PgError](began)
	switch {
	case began == nil:
		o.tx = results.Tx()
	case refused || o.conn.Conn().IsClosed(): // the statement could not be prepared, or the connection is lost
		o.fail(began)
	default: // nothing was sent: an argument cannot be encoded, say. That is the statement's trouble, and the next may do.
	}
	return first
}

// batchable reports whether a statement with these arguments may be in a batch, which knows no options.
func batchable(args []any) bool {
	for _, arg := range args {
		switch arg.(type) {
		case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID:
			return false
		case pgx.QueryRewriter: // options may follow
		default:
			return true
		}
	}
	return true
}

// single reports whether it is surely one statement: it has arguments.
func single(args []any) bool {
	if len(args) == 0 {
		return false
	}
	_, rewritten := args[0].(pgx.QueryRewriter)
	return !rewritten
}

func (o *opening) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if o.tx == nil && single(args) && batchable(args) {
		rows := o.first(ctx, sql, args)
		rows.Close()
		return rows.CommandTag(), rows.Err()
	}
	tx, err := o.begin(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tx.Exec(ctx, sql, args...)
}

func (o *opening) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if o.tx == nil && batchable(args) {
		rows := o.first(ctx, sql, args)
		return rows, rows.Err()
	}
	tx, err := o.begin(ctx)
	if err != nil {
		return pgx.FailedBatchResults(&pgx.Batch{}, err).Query()
	}
	return tx.Query(ctx, sql, args...)
}

func (o *opening) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := o.Query(ctx, sql, args...)
	return row{rows}
}

func (o *opening) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	tx, err := o.begin(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return tx.SendBatch(ctx, b)
}

func (o *opening) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, from pgx.CopyFromSource) (int64, error) {
	tx, err := o.begin(ctx)
	if err != nil {
		return 0, err
	}
	return tx.CopyFrom(ctx, table, columns, from)
}

func (o *opening) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	tx, err := o.begin(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Prepare(ctx, name, sql)
}

func (o *opening) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := o.begin(ctx)
	if err != nil {
		return nil, err
	}
	return tx.Begin(ctx)
}

func (o *opening) LargeObjects() pgx.LargeObjects {
	tx, _ := o.begin(o.ctx)
	return tx.LargeObjects()
}

// Conn closes the connection if the transaction could not begin, for what is done on it would be in none.
func (o *opening) Conn() *pgx.Conn {
	if _, err := o.begin(o.ctx); err != nil {
		_ = o.conn.Conn().Close(o.ctx)
	}
	return o.conn.Conn()
}

func (o *opening) Commit(ctx context.Context) error {
	tx, _ := o.begin(ctx)
	return tx.Commit(ctx)
}

func (o *opening) Rollback(ctx context.Context) error {
	tx, _ := o.begin(ctx)
	return tx.Rollback(ctx)
}

// firstRows are the rows of the first statement. When they are closed the connection is free for the next.
type firstRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error // of what came after the rows
}

func (r *firstRows) Close() {
	r.Rows.Close()
	if err := r.results.Close(); r.Rows.Err() == nil {
		r.err = err
	}
}

func (r *firstRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

func (r *firstRows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// row is the first of rows.
type row struct{ rows pgx.Rows }

func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errors.New("cannot scan into *pgtype.DriverBytes from QueryRow: they are valid until the rows are closed")
		}
	}
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
