package entity

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/outbox"
)

var (
	//go:embed sql/table.sql
	tableSQL string
	//go:embed sql/columns.sql
	columnsSQL string
	//go:embed sql/unique.sql
	uniqueSQL string
	//go:embed sql/cascades.sql
	cascadesSQL string
)

// table is what the live schema says of a table.
type table struct {
	oid      uint32
	name     pgx.Identifier
	against  string
	triggers int
	columns  []tableColumn
	unique   [][]string
}

type tableColumn struct {
	Column
	base   string // its type in pg_catalog, empty for another schema's
	domain bool
	folds  bool // its collation takes different texts for equal
}

type cascade struct {
	table   uint32
	columns []string // that must change for it, none for a delete
}

// readTable returns what is known of a table, nil if there is none.
func readTable(ctx context.Context, db outbox.DB, name string) (*table, error) {
	var t table
	var schema, own string
	err := db.QueryRow(ctx, tableSQL, quoted(name)).Scan(&t.oid, &schema, &own, &t.against, &t.triggers)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the table %q: %w", name, err)
	}
	t.name = pgx.Identifier{schema, own}
	if err := t.readColumns(ctx, db); err != nil {
		return nil, fmt.Errorf("looking at the columns of %q: %w", name, err)
	}
	rows, err := db.Query(ctx, uniqueSQL, t.oid)
	if err == nil {
		t.unique, err = pgx.CollectRows(rows, pgx.RowTo[[]string])
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the indexes of %q: %w", name, err)
	}
	return &t, nil
}

func (t *table) readColumns(ctx context.Context, db outbox.DB) error {
	rows, err := db.Query(ctx, columnsSQL, t.oid)
	if err != nil {
		return err
	}
	t.columns, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (tableColumn, error) {
		var c tableColumn
		var required bool
		var about, elem *string
		var kind, elemKind string
		var enum, elemEnum []string
		var limit int
		err := row.Scan(&c.Name, &c.Type, &c.domain, &required, &c.Default, &c.ReadOnly, &about, &c.folds, &limit, &c.base, &kind, &enum, &elem, &elemKind, &elemEnum)
		c.Nullable, c.Shape = !required, shapeOf(c.base, kind, enum, limit)
		if about != nil {
			c.About = *about
		}
		if elem != nil {
			inner := shapeOf(*elem, elemKind, elemEnum, 0)
			if elemKind == "d" {
				inner = Shape{Kind: Any}
			}
			c.Shape = Shape{Kind: Array, Elem: &inner}
		}
		return c, err
	})
	return err
}

func readCascades(ctx context.Context, db outbox.DB, oid uint32) ([]cascade, error) {
	rows, err := db.Query(ctx, cascadesSQL, oid)
	if err != nil {
		return nil, fmt.Errorf("looking at foreign keys: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c cascade, err error) {
		var how string
		return c, row.Scan(&c.table, &how, &c.columns)
	})
	if err != nil {
		return nil, fmt.Errorf("looking at foreign keys: %w", err)
	}
	return list, nil
}
