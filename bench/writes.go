package main

import (
	"context"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

const (
	handAutocommit  = "by hand: UPDATE, SET"
	handTransaction = "by hand: BEGIN UPDATE COMMIT, SET"
	handDelete      = "by hand: UPDATE, DEL"
	ourPut          = "Tidelock Put"
	ourWrite        = "Tidelock Write"
)

// writes holds the contests of writes to keys that the cache holds.
func (b *bench) writes(ctx context.Context) error {
	for _, cell := range b.cells() {
		if err := b.writesIn(ctx, cell); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) writesIn(ctx context.Context, cell turns.Cell) error {
	if err := b.site.Fill(ctx, cell.Keys, cell.Payload); err != nil {
		return err
	}
	hand := subject.Hand{DB: b.site.DB, Valkey: b.site.Valkey}
	if err := hand.Fill(ctx); err != nil {
		return err
	}
	if err := b.ours.Fill(ctx, cell.Keys); err != nil {
		return err
	}
	return b.hold(ctx, contest{
		cell: cell,
		subjects: append([]turns.Subject{
			{Name: handAutocommit, Do: hand.Autocommit},
			{Name: ourPut, Do: b.ours.Put},
			{Name: handTransaction, Do: hand.Transaction},
			{Name: ourWrite, Do: b.ours.Write},
			{Name: handDelete, Do: hand.Delete},
		}, b.bare(cell, bareUpdate, bareSet)...),
		compare: []versus{
			{"put", ourPut, handAutocommit},
			{"put_vs_delete", ourPut, handDelete},
			{"put_vs_pgbench", ourPut, bareUpdate},
			{"write", ourWrite, handTransaction},
		},
	})
}
