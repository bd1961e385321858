package main

import (
	"context"
	"time"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
	"github.com/tidelock-cache/tidelock/reader"
)

const (
	bareGet   = "bare GET"
	ourGet    = "Tidelock Get"
	ourNear   = "Tidelock Get, near"
	ourWithin = "Tidelock Get, Within(1s)"
	bareMGet  = "bare MGET of 100"
	ourMany   = "Tidelock GetMany of 100"
	manyNear  = "Tidelock GetMany of 100, near"
)

// reads holds the contests of hits.
func (b *bench) reads(ctx context.Context) error {
	within, err := reader.Within(time.Second)
	if err != nil {
		return err
	}
	for _, cell := range b.cells() {
		hand, err := b.warm(ctx, cell)
		if err != nil {
			return err
		}
		err = b.hold(ctx, contest{
			cell: cell,
			subjects: append([]turns.Subject{
				{Name: bareGet, Do: hand.Get},
				{Name: ourGet, Do: b.ours.Get()},
				{Name: ourNear, Do: b.near.Get()},
				{Name: ourWithin, Do: b.ours.Get(within)},
			}, b.bare(cell, servedGet)...),
			compare: []versus{
				{"get", ourGet, bareGet},
				{"near", ourNear, bareGet},
				{"get_vs_valkey_benchmark", ourGet, servedGet},
				{"within", ourWithin, ourGet},
			},
		})
		if err != nil {
			return err
		}
		if err := b.reads100(ctx, cell, hand); err != nil {
			return err
		}
	}
	return nil
}

// manyMost is how many bytes reads of several keys may have under way together. Beyond it they measure how long a queue gets.
const manyMost = 16 << 20

func (b *bench) reads100(ctx context.Context, cell turns.Cell, hand subject.Hand) error {
	if cell.Payload*subject.Many*cell.Clients > manyMost {
		return nil
	}
	return b.hold(ctx, contest{
		cell: cell,
		subjects: []turns.Subject{
			{Name: bareMGet, Do: hand.GetMany},
			{Name: ourMany, Do: b.ours.GetMany()},
			{Name: manyNear, Do: b.near.GetMany()},
		},
		compare: []versus{{"get_many", ourMany, bareMGet}, {"near_many", manyNear, bareMGet}},
	})
}

// warm fills the table and the cache, for Tidelock and by hand.
func (b *bench) warm(ctx context.Context, cell turns.Cell) (subject.Hand, error) {
	hand := subject.Hand{DB: b.site.DB, Valkey: b.site.Valkey}
	if err := b.site.Fill(ctx, cell.Keys, cell.Payload); err != nil {
		return hand, err
	}
	if err := hand.Fill(ctx); err != nil {
		return hand, err
	}
	return hand, b.ours.Fill(ctx, cell.Keys)
}
