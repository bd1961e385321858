package entity

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/outbox"
)

// checked is an entity on its way, with where it was declared.
type checked struct {
	*Entity
	spec  *entitySpec
	pos   position
	table table
}

// Check holds the file against the live schema and returns what it declares. What does not fit is an Errors; any other error is the driver's.
func (f *File) Check(ctx context.Context, db outbox.DB) ([]*Entity, error) {
	f.wrong = nil
	var all []*checked
	for i := range f.spec.Entities {
		s := &f.spec.Entities[i]
		e, err := f.check(ctx, db, s.name, &s.value)
		if err != nil {
			return nil, err
		}
		if e != nil {
			all = append(all, e)
		}
	}
	if err := f.checkTogether(ctx, db, all); err != nil {
		return nil, err
	}
	if err := f.errors(); err != nil {
		return nil, err
	}
	entities := make([]*Entity, len(all))
	for i, e := range all {
		entities[i] = e.Entity
		entities[i].load = e.loadSQL()
	}
	return entities, nil
}

// check returns one entity, nil if there is no such table.
func (f *File) check(ctx context.Context, db outbox.DB, name at[string], s *entitySpec) (*checked, error) {
	t, err := readTable(ctx, db, s.Table.value)
	if err != nil {
		return nil, err
	}
	switch {
	case t == nil:
		f.fail(s.Table.pos, "there is no table %q", s.Table.value)
		return nil, nil
	case t.against != "":
		f.fail(s.Table.pos, "the table %q cannot be served: %s", s.Table.value, t.against)
		return nil, nil
	}
	e := &checked{spec: s, pos: name.pos, table: *t, Entity: &Entity{
		Name: name.value, About: s.About.value, Table: t.name, TTL: time.Duration(s.TTL.value), AbsentTTL: time.Duration(s.AbsentTTL.value),
		OnRead: s.Allocate.value == "read", Strict: s.Strict.value, Insert: s.Insert.value || s.Insert.pos == (position{}), methods: s.Methods.values(), AfterTriggers: t.triggers,
	}}
	if len(e.methods) == 0 {
		e.methods = methods
	}
	if e.template, err = parseTemplate(s.Cache.value, s.Key.values()); err != nil {
		f.fail(s.Cache.pos, "%v", err)
	}
	f.checkColumns(e)
	f.checkKey(e)
	f.checkInsert(e)
	return e, nil
}

func (f *File) checkColumns(e *checked) {
	for i, word := range append(slices.Clone(e.spec.Key), e.spec.Columns...) {
		at := slices.IndexFunc(e.table.columns, func(c tableColumn) bool { return c.Name == word.value })
		switch {
		case at < 0:
			f.fail(word.pos, "the table %q has no column %q", e.spec.Table.value, word.value)
			continue
		case i >= len(e.spec.Key) && slices.Contains(e.spec.Key.values(), word.value):
			continue // the key is exposed anyway
		}
		column := e.table.columns[at].Column
		column.ReadOnly = column.ReadOnly || slices.Contains(e.spec.ReadOnly.values(), word.value)
		e.Columns = append(e.Columns, column)
		if i < len(e.spec.Key) {
			e.Key = append(e.Key, column)
		}
	}
}

// checkKey sees to it that the key means one row, and that a value of it has one spelling.
func (f *File) checkKey(e *checked) {
	for i, c := range e.Key {
		at := slices.IndexFunc(e.table.columns, func(o tableColumn) bool { return o.Name == c.Name })
		column, pos := e.table.columns[at], e.spec.Key[min(i, len(e.spec.Key)-1)].pos
		switch {
		case column.domain || !slices.Contains([]string{"int2", "int4", "int8", "text", "varchar", "uuid"}, column.base):
			f.fail(pos, "the column %q has the type %s: a key may be smallint, integer, bigint, text, varchar or uuid, whose values have one spelling", c.Name, c.Type)
		case column.folds:
			f.fail(pos, "the column %q has a collation by which different texts are equal: one row would have several cache keys", c.Name)
		case c.Nullable:
			f.fail(pos, "the column %q may be null: declare it NOT NULL", c.Name)
		}
	}
	if len(e.Key) < len(e.spec.Key) || len(e.spec.Key) == 0 {
		return
	}
	want := slices.Sorted(slices.Values(names(e.Key)))
	if !slices.ContainsFunc(e.table.unique, func(u []string) bool { return slices.Equal(slices.Sorted(slices.Values(u)), want) }) {
		f.fail(e.spec.Key[0].pos, "no primary key and no unique index of the table %q is on exactly (%s): the key would not mean one row",
			e.spec.Table.value, strings.Join(names(e.Key), ", "))
	}
}

// checkInsert names the columns without which PUT cannot make a row.
func (f *File) checkInsert(e *checked) {
	e.Insert = e.Insert && e.Allows("put")
	if !e.Insert {
		return
	}
	for _, c := range e.table.columns {
		at := slices.IndexFunc(e.Columns, func(o Column) bool { return o.Name == c.Name })
		given := at >= 0 && !e.Columns[at].ReadOnly
		if !given && !c.Nullable && !c.Default && !c.ReadOnly || c.ReadOnly && slices.Contains(e.spec.Key.values(), c.Name) {
			f.fail(e.pos, "PUT cannot make a row of %q: the column %q must have a value, and cannot be given one; expose it, give it a default, or say \"insert: false\"",
				e.Name, c.Name)
		}
	}
}

// checkTogether sees to it that a write of one entity leaves nothing old of another.
func (f *File) checkTogether(ctx context.Context, db outbox.DB, all []*checked) error {
	for i, e := range all {
		for _, other := range all[:i] {
			if e.table.oid == other.table.oid {
				f.fail(e.spec.Table.pos, "the entities %q and %q have one table: a write of one would leave the other's entries in the cache old", other.Name, e.Name)
			}
			if e.template.literals != nil && other.template.literals != nil && e.template.overlaps(other.Prefix()) {
				f.fail(e.spec.Cache.pos, "the cache keys of %q and %q may be the same: let neither template begin with how the other one begins", other.Name, e.Name)
			}
		}
		cascades, err := readCascades(ctx, db, e.table.oid)
		if err != nil {
			return err
		}
		for _, c := range cascades {
			f.checkCascade(e, all, c)
		}
	}
	return nil
}

func (f *File) checkCascade(e *checked, all []*checked, c cascade) {
	at := slices.IndexFunc(all, func(o *checked) bool { return o.table.oid == c.table })
	if at < 0 {
		return
	}
	if c.columns == nil && e.Allows("delete") {
		f.fail(e.pos, "a DELETE of %q would change rows of %q by a foreign key, behind the cache's back: leave \"delete\" out of its methods, or the ON DELETE action out of the foreign key",
			e.Name, all[at].Name)
	}
	for _, name := range c.columns {
		if slices.ContainsFunc(e.Columns[len(e.Key):], func(o Column) bool { return o.Name == name && !o.ReadOnly }) {
			f.fail(e.pos, "a write of the column %q of %q would change rows of %q by a foreign key, behind the cache's back: make it read-only", name, e.Name, all[at].Name)
		}
	}
}

// quoted returns a table's name for a statement.
func quoted(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }
