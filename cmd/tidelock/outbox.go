package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/tidelock-cache/tidelock/outbox"
)

type outboxCmd struct {
	Status outboxStatusCmd `cmd:"" default:"1" help:"How much waits, how old the oldest is, and how much was set aside."`
	List   outboxListCmd   `cmd:"" help:"List records, oldest first."`
	Retry  outboxRetryCmd  `cmd:"" help:"Put records that were set aside back in line."`
}

// operatorTimeout bounds what an operator waits for.
const operatorTimeout = 15 * time.Second

// onDatabase runs do on the database within the operator's patience.
func onDatabase(ctx context.Context, s *Settings, do func(ctx context.Context, db outbox.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	db, err := s.database(ctx, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(ctx, db)
}

type outboxStatusCmd struct{}

// Run prints the counts and the oldest records.
func (outboxStatusCmd) Run(ctx context.Context, s *Settings) error {
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		stats, err := outbox.Count(ctx, db)
		if err != nil {
			return err
		}
		fmt.Printf("pending    %d\n", stats.Pending)
		if stats.Pending > 0 {
			fmt.Printf("oldest     %v\n", stats.Oldest.Round(time.Millisecond))
		}
		fmt.Printf("set aside  %d\n", stats.Aside)
		if stats.Aside > 0 {
			fmt.Println("\nsee them with \"tidelock outbox list --aside\", bring them back with \"tidelock outbox retry\"")
		}
		return nil
	})
}

type outboxListCmd struct {
	Key   string `help:"Only this key's."`
	Aside bool   `help:"Only those set aside." xor:"which"`
	Due   bool   `name:"pending" help:"Only those pending." xor:"which"`
	Limit int    `help:"At most so many." default:"20"`
}

// Run lists records.
func (c outboxListCmd) Run(ctx context.Context, s *Settings) error {
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		filter := outbox.Filter{Key: c.Key}
		if c.Aside || c.Due {
			filter.Aside = &c.Aside
		}
		items, err := outbox.List(ctx, db, filter, c.Limit)
		if err != nil {
			return err
		}
		if len(items) == 0 {
			fmt.Println("no such records")
			return nil
		}
		return printItems(items)
	})
}

func printItems(items []outbox.Item) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tKEY\tKIND\tBYTES\tAGE\tATTEMPTS\tSTATE")
	for _, i := range items {
		state := "pending"
		if i.Aside != "" {
			state = "set aside: " + i.Aside
		} else if wait := time.Until(i.Due); wait > 0 {
			state = fmt.Sprintf("pending, due in %v", wait.Round(time.Millisecond))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%v\t%d\t%s\n", i.Version, i.Key, i.Kind, i.Size, time.Since(i.Created).Round(time.Second), i.Attempts, state)
	}
	return w.Flush()
}

type outboxRetryCmd struct {
	Versions []int64 `arg:"" optional:"" help:"Versions of the records, as \"tidelock outbox list --aside\" shows them."`
	All      bool    `help:"All that were set aside."`
}

// Run puts records back in line.
func (c outboxRetryCmd) Run(ctx context.Context, s *Settings) error {
	if c.All == (len(c.Versions) > 0) {
		return errors.New("say which: versions as arguments, or --all")
	}
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		n, err := outbox.Retry(ctx, db, c.Versions...)
		if err != nil {
			return err
		}
		fmt.Printf("%d records are back in line\n", n)
		return nil
	})
}
