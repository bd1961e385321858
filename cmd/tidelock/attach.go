package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

type attachCmd struct {
	Entity   string        `arg:"" help:"The entity, as the file names it."`
	Entities string        `help:"The file that declares the entities: see docs/http.md." required:"" placeholder:"FILE" env:"TIDELOCK_ENTITIES" type:"existingfile"`
	Wait     time.Duration `help:"How long to wait for transactions that are writing to the table; others wait behind this meanwhile." default:"5s"`
}

// Run attaches an entity's table.
func (c *attachCmd) Run(ctx context.Context, s *Settings) error {
	file, err := entity.Read(c.Entities)
	if err != nil {
		return err
	}
	db, err := s.database(ctx, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	entities, err := file.Check(ctx, db)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(entities, func(e *entity.Entity) bool { return e.Name == c.Entity })
	if at < 0 {
		return fmt.Errorf("%s declares no entity %q", c.Entities, c.Entity)
	}
	e := entities[at]
	if e.Strict {
		return fmt.Errorf("%q is strict: nobody would wait, on behalf of psql, until every strict read sees a change; leave \"strict\" out, or do not attach it", e.Name)
	}
	if err := outbox.Attach(ctx, db, outbox.Attachment{Entity: e.Name, Table: e.Table, Prefix: e.Prefix(), Key: e.KeySQL(), TTL: e.TTL, Allocate: !e.OnRead}, c.Wait); err != nil {
		return err
	}
	fmt.Printf("%q is attached: every statement that changes rows of %s is recorded, whoever sends it\n", e.Name, e.Table.Sanitize())
	fmt.Printf("what was changed behind the cache's back until now is not: \"tidelock verify --entities FILE\" finds it\n")
	return nil
}

type detachCmd struct {
	Entity string        `arg:"" help:"The entity, as \"tidelock attached\" names it."`
	Wait   time.Duration `help:"How long to wait for transactions that use the table; others wait behind this meanwhile." default:"5s"`
}

// Run detaches an entity's table.
func (c *detachCmd) Run(ctx context.Context, s *Settings) error {
	db, err := s.database(ctx, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	was, err := outbox.Detach(ctx, db, c.Entity, c.Wait)
	if err != nil {
		return err
	}
	if !was {
		return fmt.Errorf("%q is not attached: see \"tidelock attached\"", c.Entity)
	}
	fmt.Printf("%q is detached: its table may be changed behind the cache's back again\n", c.Entity)
	return nil
}

type attachedCmd struct{}

// Run lists the attached tables.
func (attachedCmd) Run(ctx context.Context, s *Settings) error {
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		list, err := outbox.AttachedTables(ctx, db)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			fmt.Println("no table is attached")
			return nil
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ENTITY\tTABLE\tKEYS\tSTATE")
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s…\t%s\n", a.Entity, a.Table, a.Prefix, attachedState(a))
		}
		return w.Flush()
	})
}

func attachedState(a outbox.Attached) string {
	switch {
	case a.Gone:
		return fmt.Sprintf("the table was dropped: run \"tidelock detach %s\"", a.Entity)
	case a.Table != a.Name:
		return fmt.Sprintf("the table was called %s when it was attached: attach it again", a.Name)
	case len(a.Missing) > 0:
		return fmt.Sprintf("triggers are missing or disabled on %s: attach it again", strings.Join(a.Missing, ", "))
	default:
		return "attached since " + a.Since.Format("2006-01-02 15:04:05 MST")
	}
}
