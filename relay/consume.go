package relay

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/mutant"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
)

// fetchWait is how long one fetch waits for a chunk.
const fetchWait = time.Second

// consume works on chunks, one at a time, until ctx ends. While the cache is down it fetches nothing: a message that is
// put off counts against the consumer's limit, and the stream is not where work is remembered.
func (r *Relay) consume(ctx context.Context) {
	pause := patience(ctx)
	var consumer jetstream.Consumer
	for r.cfg.Cache.Wait(ctx) == nil {
		err := r.consumeOnce(ctx, &consumer)
		if err == nil {
			pause.Reset()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		consumer = nil
		r.log.Warn("consume_failed", zap.Error(err))
		sleep(ctx, max(pause.NextBackOff(), 0))
	}
}

func (r *Relay) consumeOnce(ctx context.Context, consumer *jetstream.Consumer) (err error) {
	if err := r.retireKept(ctx); err != nil {
		return err
	}
	if *consumer == nil {
		if *consumer, err = r.ensure(ctx); err != nil {
			return err
		}
	}
	waiting, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	batch, err := (*consumer).Fetch(1, jetstream.FetchContext(waiting))
	if err != nil {
		return err
	}
	for message := range batch.Messages() {
		if err := r.handle(ctx, message); err != nil {
			return err
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// handle settles one chunk and acknowledges it. After an error it does not: the chunk comes again, or its records do.
func (r *Relay) handle(ctx context.Context, message jetstream.Msg) (err error) {
	claims, err := decodeChunk(message.Data())
	if err != nil {
		r.log.Warn("malformed_chunk", zap.Error(err))
		return message.Term()
	}
	ctx, span := r.traceProcess(ctx, message, len(claims))
	defer func() { traces.End(span, err) }()
	bounded, cancel := bounded(ctx, r.cfg.lease())
	defer cancel()
	if err := r.follow(bounded); err != nil {
		return err
	}
	if err := r.settle(bounded, claims); err != nil {
		return err
	}
	if err := message.Ack(); err != nil {
		return err
	}
	select {
	case r.freed <- struct{}{}:
	default:
	}
	return nil
}

// follow has values written in the format that everybody writes.
func (r *Relay) follow(ctx context.Context) error {
	format, err := outbox.Format(ctx, r.cfg.DB)
	if err != nil {
		return err
	}
	if err := r.cfg.Cache.SetFormat(format); err != nil {
		r.log.Warn("entry_format_unknown", zap.Error(err))
	}
	return nil
}

// settle brings a chunk's records to the cache: tickets first, then Postgres, then the cache. The order is the rule: what
// Postgres says after the ticket was taken is the latest that the ticket may be used for. A value whose ticket was in vain, because its entry was lost or
// invalidated meanwhile, is brought once more, with the ticket that it was given instead.
func (r *Relay) settle(ctx context.Context, claims []outbox.Claim) error {
	again, tickets, err := r.bring(ctx, claims, r.tickets(ctx, claims), true)
	if err == nil && len(again) > 0 {
		_, _, err = r.bring(ctx, again, tickets, false)
	}
	return err
}

// bring applies and closes the records that are claimed, with the tickets that there are. Those that were given another ticket it leaves, and returns; without
// allocate none is.
func (r *Relay) bring(ctx context.Context, claims []outbox.Claim, tickets map[string]string, allocate bool) (again []outbox.Claim, fresh map[string]string, err error) {
	records, err := outbox.Read(ctx, r.cfg.DB, versionsOf(claims))
	if err != nil {
		return nil, nil, err
	}
	if mutant.On("relay-ticket-before-read") {
		tickets = r.tickets(ctx, claims)
	}
	if !allocate && mutant.On("relay-check-before-allocate") {
		for i := range records {
			if records[i].Superseded { // it has come without its payload
				records[i].Superseded, records[i].Payload = false, []byte{}
			}
		}
	}
	r.load(ctx, tickets, records)
	spans := r.traceRecords(ctx, records)
	replies := r.cfg.Cache.Apply(ctx, changes(records, tickets, allocate)...)
	tell(spans, replies)
	fresh = make(map[string]string)
	n := 0
	for i, record := range records {
		if replies[i].Outcome == cache.Check {
			again = append(again, outbox.Claim{Version: record.Version, Key: record.Key, Allocate: true})
			fresh[record.Key] = replies[i].Ticket
			continue
		}
		records[n], replies[n] = record, replies[i]
		n++
	}
	return again, fresh, r.close(ctx, records[:n], replies[:n])
}

func (r *Relay) tickets(ctx context.Context, claims []outbox.Claim) map[string]string {
	var keys []string
	for _, c := range claims {
		if c.Allocate {
			keys = append(keys, c.Key)
		}
	}
	tickets := make(map[string]string, len(keys))
	if len(keys) > 0 {
		for i, ticket := range r.cfg.Cache.Reserve(ctx, keys) {
			tickets[keys[i]] = ticket
		}
	}
	return tickets
}

// kinds says what a record makes of an entry.
var kinds = map[outbox.Kind]cache.Kind{
	outbox.Set:        cache.Value,
	outbox.Absent:     cache.Absent,
	outbox.Invalidate: cache.Placeholder,
}

// changes are what the records make of their entries. One that is superseded by now invalidates what is older, and so is settled without its value: the
// next may be superseded just as soon, and what it is superseded by may be long in coming. So does one that says nothing that can be understood.
func changes(records []outbox.Record, tickets map[string]string, allocate bool) []cache.Change {
	all := make([]cache.Change, len(records))
	for i, r := range records {
		kind, known := kinds[r.Kind]
		understood := known && (kind != cache.Value || r.Payload != nil || r.Superseded)
		if !understood || r.Superseded && !mutant.On("relay-skip-superseded") {
			kind = cache.Placeholder
		}
		all[i] = cache.Change{Key: r.Key, Version: r.Version, Kind: kind, Payload: r.Payload, TTL: r.TTL, Ticket: tickets[r.Key], Allocate: allocate && r.Allocate}
	}
	return all
}

// close retires what is settled, sets aside what can never be stored, and gives the rest back.
func (r *Relay) close(ctx context.Context, records []outbox.Record, replies []cache.Reply) error {
	var done, rejected []outbox.Settled
	var later []int64
	attempts := 0
	for i, reply := range replies {
		record := records[i]
		settled := outbox.Settled{Key: record.Key, Version: record.Version, Server: reply.Server}
		switch {
		case reply.Outcome == cache.Rejected:
			settled.Reason = reply.Err.Error()
			rejected = append(rejected, settled)
			r.log.Warn("record_set_aside", zap.String("key", record.Key), zap.Int64("version", record.Version), zap.Error(reply.Err))
		case reply.Outcome.Done() || mutant.On("relay-retire-after-settled"):
			done = append(done, settled)
		case errors.Is(reply.Err, cache.ErrUnavailable) || ctx.Err() != nil: // it is not the record's fault
			later = append(later, record.Version)
			attempts = max(attempts, record.Attempts)
		default:
			r.log.Warn("record_failed", zap.String("key", record.Key), zap.Int64("version", record.Version), zap.Error(reply.Err))
			r.release(ctx, []int64{record.Version}, putOff(time.Second, record.Attempts))
		}
	}
	r.release(ctx, later, min(putOff(50*time.Millisecond, attempts), time.Second))
	if len(rejected) > 0 {
		r.aside.Add(int64(len(rejected)))
		if err := outbox.SetAside(ctx, r.cfg.DB, rejected); err != nil {
			return err
		}
	}
	return r.retire(ctx, done)
}

// keptMost is how much of what is settled is kept while Postgres does not answer.
const keptMost = 100_000

// retire deletes the records of what is settled. Those that were settled on another server than the one on record are given back, to be settled once
// that server is. What it could not retire it keeps, though the chunk comes again: Postgres may come back as a standby that has lost those commits, and
// their records with them.
func (r *Relay) retire(ctx context.Context, done []outbox.Settled) error {
	if len(done) == 0 {
		return nil
	}
	err := r.retireNow(ctx, done)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.kept = append(r.kept, done...)
		r.kept = r.kept[max(0, len(r.kept)-keptMost):]
	}
	return err
}

// retireKept retires what could not be retired before.
func (r *Relay) retireKept(ctx context.Context) error {
	r.mu.Lock()
	kept := r.kept
	r.kept = nil
	r.mu.Unlock()
	bounded, cancel := bounded(ctx, callTimeout)
	defer cancel()
	return r.retire(bounded, kept)
}

func (r *Relay) retireNow(ctx context.Context, done []outbox.Settled) error {
	retired, err := outbox.Retire(ctx, r.cfg.DB, done)
	if err != nil {
		return err
	}
	r.settled.Add(retired.Records)
	r.settles.Add(retired.Ages, retired.Seconds)
	if retired.Records == int64(len(done)) {
		return nil
	}
	if !mutant.On("relay-recall-lost") {
		if err := outbox.Recall(ctx, r.cfg.DB, done, r.cfg.Cache.Drop); err != nil {
			return err
		}
	}
	versions := make([]int64, len(done))
	for i, settled := range done {
		versions[i] = settled.Version
	}
	return outbox.Release(ctx, r.cfg.DB, versions, r.cfg.poll())
}

// putOff is how long a record waits that the cache did not take: longer each time, so that it is not in the others' way.
func putOff(first time.Duration, attempts int) time.Duration {
	return min(first<<min(attempts, 10), time.Minute)
}
