package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/relay"
)

type repairCmd struct {
	Since string `help:"Repair what was changed since: a time (RFC 3339) or how long ago (90m, 26h)." placeholder:"TIME" xor:"what"`
	All   bool   `help:"Repair every key." xor:"what"`
	Drop  bool   `help:"Delete every entry of ours from the cache instead, newer ones too; other data stays." xor:"what"`
}

// Run invalidates the entries that are older than Postgres says. It may run at any time, beside everything else.
func (c *repairCmd) Run(ctx context.Context, s *Settings) error {
	if c.Since == "" && !c.All && !c.Drop {
		return errors.New("say what: --since TIME, --all or --drop")
	}
	db, err := s.database(ctx, 2)
	if err != nil {
		return err
	}
	defer db.Close()
	valkey, err := s.cache(ctx, relayTimeout, zap.NewNop())
	if err != nil {
		return err
	}
	defer valkey.Close()
	log, err := s.logger()
	if err != nil {
		return err
	}
	progress := newProgress()
	if c.Drop {
		servers, err := valkey.Watch(ctx, "", nil)
		if err != nil {
			return err
		}
		for _, server := range servers {
			dropped, err := dropAll(ctx, valkey, server, progress)
			if err != nil {
				return err
			}
			progress.end(fmt.Sprintf("deleted %d entries", dropped))
		}
		return nil
	}
	xid, err := c.from(ctx, db)
	if err != nil {
		return err
	}
	if err := relay.Repair(ctx, db, valkey, xid, log, progress.at); err != nil {
		return err
	}
	progress.end("their entries are not older than Postgres")
	return nil
}

func dropAll(ctx context.Context, c *cache.Cache, server cache.Server, progress *progress) (int64, error) {
	visit, err := c.Visit(ctx, server)
	if err != nil {
		return 0, err
	}
	defer visit.Close()
	return visit.DropAbove(ctx, -1, progress.at)
}

// from returns the transaction to repair from.
func (c *repairCmd) from(ctx context.Context, db outbox.DB) (int64, error) {
	if c.All {
		return 0, nil
	}
	return since(ctx, db, c.Since)
}

// since returns the transaction below which everything was settled at a time, given as one or as how long ago it is.
func since(ctx context.Context, db outbox.DB, text string) (int64, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		ago, err := time.ParseDuration(text)
		if err != nil || ago <= 0 {
			return 0, fmt.Errorf("--since %q is neither a time like 2006-01-02T15:04:05Z nor a duration like 90m", text)
		}
		at = time.Now().Add(-ago)
	}
	if at.After(time.Now()) {
		return 0, fmt.Errorf("--since %s lies in the future", at.Format(time.RFC3339))
	}
	xid, known, err := outbox.Since(ctx, db, at)
	if err != nil {
		return 0, err
	}
	if !known {
		return 0, fmt.Errorf("nothing is known of the horizon at %s: a relay notes it once a minute, for as long as versions are kept; use --all", at.Format(time.RFC3339))
	}
	return xid, nil
}

// progress tells how far a repair is: on a terminal on one line.
type progress struct {
	live  bool
	keys  int64
	shown time.Time
}

func newProgress() *progress { return &progress{live: term.IsTerminal(int(os.Stdout.Fd()))} }

func (p *progress) at(keys int64) {
	p.keys = keys
	if p.live && time.Since(p.shown) > 200*time.Millisecond {
		p.shown = time.Now()
		fmt.Printf("\rlooked at %d keys", keys)
	}
}

// clear makes room for what is printed next.
func (p *progress) clear() {
	if p.live {
		fmt.Print("\r")
	}
}

func (p *progress) end(what string) {
	p.clear()
	fmt.Printf("looked at %d keys; %s\n", p.keys, what)
}
