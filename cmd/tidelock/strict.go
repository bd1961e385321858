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

type strictCmd struct {
	List   strictListCmd   `cmd:"" default:"1" help:"List the strict prefixes."`
	Add    strictAddCmd    `cmd:"" help:"Declare that all keys which begin with a prefix are strict, and wait until that is in force."`
	Remove strictRemoveCmd `cmd:"" help:"Take a declaration back, and wait until its writers have forgotten it."`
}

type strictListCmd struct{}

// Run lists the strict prefixes.
func (strictListCmd) Run(ctx context.Context, s *Settings) error {
	return onDatabase(ctx, s, func(ctx context.Context, db outbox.DB) error {
		prefixes, err := outbox.StrictPrefixes(ctx, db)
		if err != nil {
			return err
		}
		if len(prefixes) == 0 {
			fmt.Println("no prefix is strict")
			return nil
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PREFIX\tSTATE")
		for _, p := range prefixes {
			fmt.Fprintf(w, "%q\t%s\n", p.Prefix, stateOf(p))
		}
		return w.Flush()
	})
}

func stateOf(p outbox.StrictPrefix) string {
	switch {
	case p.Leaving:
		return "leaving: strict reads are refused, writers will forget it"
	case p.Since != nil:
		return fmt.Sprintf("in force for %v", time.Since(*p.Since).Round(time.Second))
	case p.Ended:
		return "not in force: what older transactions have written is not settled yet"
	case p.Announced:
		return "not in force: transactions that may have overlooked it are still under way"
	default:
		return "not in force: no guardian has seen it yet; is a relay running?"
	}
}

type strictAddCmd struct {
	Prefix string        `arg:"" help:"How the keys begin."`
	All    bool          `help:"Allow the empty prefix: every key."`
	Wait   time.Duration `help:"How long to wait until it is in force." default:"1m"`
}

// Run declares a prefix.
func (c strictAddCmd) Run(ctx context.Context, s *Settings) error {
	if c.Prefix == "" && !c.All {
		return errors.New(`the empty prefix makes every key strict: say --all if you mean it`)
	}
	return changeStrict(ctx, s, c.Prefix, c.Wait, "in force", func(ctx context.Context, db outbox.DB) error {
		return outbox.DeclareStrict(ctx, db, c.Prefix)
	}, func(p *outbox.StrictPrefix) bool { return p != nil && p.Since != nil })
}

type strictRemoveCmd struct {
	Prefix string        `arg:"" help:"The prefix, as it was declared."`
	Wait   time.Duration `help:"How long to wait until it is forgotten." default:"1m"`
}

// Run takes a prefix back.
func (c strictRemoveCmd) Run(ctx context.Context, s *Settings) error {
	return changeStrict(ctx, s, c.Prefix, c.Wait, "forgotten", func(ctx context.Context, db outbox.DB) error {
		there, err := outbox.RetractStrict(ctx, db, c.Prefix)
		if err == nil && !there {
			return fmt.Errorf("%q is no strict prefix: see \"tidelock strict list\"", c.Prefix)
		}
		return err
	}, func(p *outbox.StrictPrefix) bool { return p == nil })
}

// changeStrict changes a prefix and waits until it has come to what was wanted.
func changeStrict(ctx context.Context, s *Settings, prefix string, wait time.Duration, what string,
	change func(context.Context, outbox.DB) error, done func(*outbox.StrictPrefix) bool,
) error {
	db, err := s.database(ctx, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := change(ctx, db); err != nil {
		return err
	}
	for {
		p, err := find(ctx, db, prefix)
		if err != nil {
			return err
		}
		if done(p) {
			fmt.Printf("%q is %s\n", prefix, what)
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%q is not %s after %v: %s; it goes on by itself", prefix, what, wait, stateOf(*p))
		}
	}
}

// find returns a prefix, nil if there is none.
func find(ctx context.Context, db outbox.DB, prefix string) (*outbox.StrictPrefix, error) {
	prefixes, err := outbox.StrictPrefixes(ctx, db)
	for _, p := range prefixes {
		if p.Prefix == prefix {
			return &p, err
		}
	}
	return nil, err
}
