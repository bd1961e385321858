package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/bench/subject"
	"github.com/tidelock-cache/tidelock/bench/turns"
)

// sizes measures how the figures change with what there is: keys, payloads, keys in a transaction, relays. Each size is measured beside what is done
// by hand at the same size, by turns, and drawn.
func (b *bench) sizes(ctx context.Context) error {
	for _, part := range []func(context.Context) error{b.sizesOfTable, b.sizesOfPayload, b.sizesOfTransaction, b.sizesOfFleet} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sized is one size: what each subject did there.
type sized struct {
	size   float64
	series []*turns.Series
}

// sizesOfTable grows the number of keys.
func (b *bench) sizesOfTable(ctx context.Context) error {
	var all []sized
	drains := line{name: "relay's drain"}
	for _, n := range b.cfg.Sizes {
		cell := turns.Cell{Clients: b.cfg.Busy, Payload: b.cfg.Payloads[0], Keys: n}
		hand := subject.Hand{DB: b.site.DB, Valkey: b.site.Valkey}
		if err := b.site.Fill(ctx, n, cell.Payload); err != nil {
			return err
		}
		if err := errors.Join(b.ours.Install(ctx, b.site.Valkey), hand.Fill(ctx)); err != nil {
			return fmt.Errorf("filling the cache with %d keys: %w", n, err)
		}
		series, err := b.size(ctx, fmt.Sprintf("keys_%d", n), cell, b.pairs(hand))
		if err != nil {
			return err
		}
		all = append(all, sized{float64(n), series})
		records := min(b.cfg.Records, fleetRecords)
		d, err := b.drainOnce(ctx, records, records)
		if err != nil {
			return err
		}
		b.results.Set(fmt.Sprintf("sizes.keys_%d.drain.records_per_s", n), d.perSecond)
		fmt.Fprintf(b.table.out, "  drain beside %d keys: %.0f records/s\n", n, d.perSecond)
		drains.points = append(drains.points, point{float64(n), d.perSecond})
	}
	return errors.Join(b.draw("keys-writes", "Writes a second, by the number of keys", "keys",
		lines(all, handAutocommit, ourPut, handTransaction, ourWrite)),
		b.draw("keys-reads", "Hits a second, by the number of keys", "keys", lines(all, bareGet, ourGet)),
		b.draw("keys-drain", "Records a second that a relay drains, by the number of keys", "keys", []line{drains}))
}

// pairs are the subjects that each size is measured with.
func (b *bench) pairs(hand subject.Hand) []turns.Subject {
	return []turns.Subject{
		{Name: handAutocommit, Do: hand.Autocommit},
		{Name: ourPut, Do: b.ours.Put},
		{Name: handTransaction, Do: hand.Transaction},
		{Name: ourWrite, Do: b.ours.Write},
		{Name: bareGet, Do: hand.Get},
		{Name: ourGet, Do: b.ours.Get()},
	}
}

// payloadMost is how many bytes all payloads of a cell have together.
const payloadMost = 64 << 20

// sizesOfPayload grows the payloads, with so few clients that what is measured is not how long the queue for the disk gets.
func (b *bench) sizesOfPayload(ctx context.Context) error {
	var all []sized
	for _, size := range []int{100, 1 << 10, 16 << 10, 128 << 10, 512 << 10} {
		cell := turns.Cell{Clients: b.cfg.Few, Payload: size, Keys: min(b.cfg.Keys, payloadMost/size)}
		hand, err := b.warm(ctx, cell)
		if err != nil {
			return err
		}
		series, err := b.size(ctx, "payload_"+turns.Size(size), cell, b.pairs(hand))
		if err != nil {
			return err
		}
		all = append(all, sized{float64(size), series})
	}
	return errors.Join(b.draw("payload-writes", "Writes a second, by the size of the payload", "bytes",
		lines(all, handAutocommit, ourPut, handTransaction, ourWrite)),
		b.draw("payload-reads", "Hits a second, by the size of the payload", "bytes", lines(all, bareGet, ourGet)))
}

// sizesOfTransaction grows the number of keys in a transaction. Each client has keys of its own, so that none waits for another's lock.
func (b *bench) sizesOfTransaction(ctx context.Context) error {
	const ours, theirs = "Tidelock Write", "by hand: BEGIN UPDATE COMMIT, SETs"
	var all []sized
	for _, n := range []int{1, 10, 100} {
		cell := turns.Cell{Clients: b.cfg.Few, Payload: b.cfg.Payloads[0], Keys: b.cfg.Keys}
		hand, err := b.warm(ctx, cell)
		if err != nil {
			return err
		}
		series, err := b.size(ctx, fmt.Sprintf("transaction_%d", n), cell, []turns.Subject{
			{Name: theirs, Do: hand.TransactionOf(n)},
			{Name: ours, Do: b.ours.WriteOf(n)},
		})
		if err != nil {
			return err
		}
		for _, s := range series { // keys a second, not transactions
			for i := range s.Measures {
				s.Measures[i].PerSecond *= float64(n)
			}
		}
		all = append(all, sized{float64(n), series})
	}
	return b.draw("transaction", "Keys a second that are written, by the number of keys in a transaction", "keys in a transaction",
		lines(all, theirs, ours))
}

// size holds one size, and notes the figures of each subject and the ratio of each pair of ours and theirs.
func (b *bench) size(ctx context.Context, name string, cell turns.Cell, subjects []turns.Subject) ([]*turns.Series, error) {
	series, err := turns.Run(ctx, b.plan(), cell, subjects, b.profiler(cell))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(b.table.out, "\n%s", name)
	b.table.heading(cell)
	for i, s := range series {
		b.noise = append(b.noise, s.Of(turns.Foreign))
		b.table.subject(s)
		prefix := fmt.Sprintf("sizes.%s.%s.", name, slug(s.Subject))
		b.results.Set(prefix+"per_s", s.Of(turns.PerSecond).Median)
		b.results.Set(prefix+"p50_us", s.Of(turns.P50).Median)
		b.results.Set(prefix+"p99_us", s.Of(turns.P99).Median)
		b.results.Set(prefix+"cpu_us", s.Of(turns.Processor).Median)
		if i%2 == 1 {
			b.results.Set(prefix+"ratio", turns.Ratio(s, series[i-1], turns.PerSecond).Median)
			b.table.ratio(versus{ours: s.Subject, theirs: series[i-1].Subject}, s, series[i-1])
		}
	}
	return series, b.save()
}

// fleetRecords are the records of a drain where several are compared.
const fleetRecords = 100_000

// sizesOfFleet compares one relay with four, by turns.
func (b *bench) sizesOfFleet(ctx context.Context) error {
	records := min(b.cfg.Records, fleetRecords)
	rates := map[int][]float64{}
	if err := b.site.Fill(ctx, 1, 32); err != nil {
		return err
	}
	for range b.cfg.Rounds {
		for _, n := range []int{1, 4} {
			perSecond, err := b.drainWith(ctx, n, records)
			if err != nil {
				return err
			}
			rates[n] = append(rates[n], perSecond)
		}
	}
	one, four := turns.SpreadOf(rates[1]), turns.SpreadOf(rates[4])
	var ratios []float64
	for i := range rates[1] {
		ratios = append(ratios, rates[4][i]/rates[1][i])
	}
	ratio := turns.SpreadOf(ratios)
	b.results.Set("sizes.relays.one_records_per_s", one.Median)
	b.results.Set("sizes.relays.four_records_per_s", four.Median)
	b.results.Set("sizes.relays.ratio", ratio.Median)
	fmt.Fprintf(b.table.out, "\ndrain of %d records: one relay %.0f/s, four %.0f/s, %.2f × (%.2f-%.2f)\n", records,
		one.Median, four.Median, ratio.Median, ratio.Low, ratio.High)
	return b.save()
}

// drainWith drains with so many relays. The further ones have a moment to find their consumers.
func (b *bench) drainWith(ctx context.Context, relays, records int) (perSecond float64, err error) {
	for len(b.site.Relays) < relays {
		if err := b.site.StartRelay(); err != nil {
			return 0, err
		}
	}
	if err := pause(ctx, time.Second); err != nil {
		return 0, err
	}
	d, err := b.drainOnce(ctx, records, records)
	for len(b.site.Relays) > 1 {
		err = errors.Join(err, b.site.StopRelay())
	}
	return d.perSecond, err
}
