package main

import (
	"context"
	"errors"
	"time"

	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/outbox"
	"github.com/tidelock-cache/tidelock/reader"
)

const (
	ourStrict      = "Tidelock Get, Strict"
	ourStrictPut   = "Tidelock Put, strict key"
	ourStrictWrite = "Tidelock Write, strict key"
)

// strict holds the contests of what strict keys cost while all is well, against Tidelock's own defaults.
func (b *bench) strict(ctx context.Context) error {
	if err := b.declare(ctx, "strict:"); err != nil {
		return err
	}
	for _, n := range b.cfg.Clients {
		cell := turns.Cell{Clients: n, Payload: b.cfg.Payloads[0], Keys: b.cfg.Keys}
		if err := b.strictIn(ctx, cell); err != nil {
			return err
		}
	}
	return nil
}

// declare makes the keys strict and waits until that is in force, and leases say so.
func (b *bench) declare(ctx context.Context, prefix string) error {
	if err := outbox.DeclareStrict(ctx, b.site.DB, prefix); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the strict prefix does not come into force"))
	defer cancel()
	for {
		all, err := outbox.StrictPrefixes(ctx, b.site.DB)
		if err != nil {
			return err
		}
		for _, one := range all {
			if one.Prefix == prefix && one.Since != nil {
				return b.strictly.AwaitStrict(ctx, prefix)
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return context.Cause(ctx)
		}
	}
}

func (b *bench) strictIn(ctx context.Context, cell turns.Cell) error {
	if _, err := b.warm(ctx, cell); err != nil {
		return err
	}
	if err := b.strictly.Fill(ctx, cell.Keys); err != nil {
		return err
	}
	err := b.hold(ctx, contest{
		cell:     cell,
		subjects: []turns.Subject{{Name: ourGet, Do: b.ours.Get()}, {Name: ourStrict, Do: b.strictly.Get(reader.Strict())}},
		compare:  []versus{{"strict", ourStrict, ourGet}},
	})
	if err != nil {
		return err
	}
	return b.hold(ctx, contest{
		cell: cell,
		subjects: []turns.Subject{
			{Name: ourPut, Do: b.ours.Put},
			{Name: ourStrictPut, Do: b.strictly.Put},
			{Name: ourWrite, Do: b.ours.Write},
			{Name: ourStrictWrite, Do: b.strictly.Write},
		},
		compare: []versus{{"strict_put", ourStrictPut, ourPut}, {"strict_write", ourStrictWrite, ourWrite}},
	})
}
