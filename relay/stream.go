package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
)

// consumerName is the one durable consumer that all relays share.
const consumerName = "relay"

// errNATSDown says that there is no connection to NATS at the moment.
var errNATSDown = errors.New("not connected to NATS")

// storeFailed is the code of the error with which a stream that is full refuses a message.
const storeFailed jetstream.ErrorCode = 10077

// ensure makes the stream and its consumer, or finds them as they should be. The stream holds work and nothing else:
// bounded, refusing what is too much (dropping the oldest would lose chunks until their lease ends), and each chunk gone once it is acknowledged.
func (r *Relay) ensure(ctx context.Context) (jetstream.Consumer, error) {
	if !r.cfg.NATS.IsConnected() {
		return nil, errNATSDown
	}
	ctx, cancel := bounded(ctx, natsTimeout)
	defer cancel()
	stream, err := r.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      r.cfg.stream(),
		Subjects:  []string{r.cfg.stream()},
		Retention: jetstream.WorkQueuePolicy,
		Discard:   jetstream.DiscardNew,
		MaxMsgs:   int64(r.cfg.streamChunks()),
		Storage:   jetstream.FileStorage,
	})
	if err != nil {
		return nil, fmt.Errorf("making the stream %s: %w", r.cfg.stream(), err)
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:    consumerName,
		AckPolicy:  jetstream.AckExplicitPolicy,
		AckWait:    r.cfg.lease(),
		MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("making the consumer %s: %w", consumerName, err)
	}
	return consumer, nil
}

// room returns how many chunks the stream has room for.
func (r *Relay) room(ctx context.Context) (int, error) {
	if !r.cfg.NATS.IsConnected() {
		return 0, errNATSDown
	}
	ctx, cancel := bounded(ctx, natsTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.cfg.stream())
	if err != nil {
		return 0, fmt.Errorf("asking for the stream %s: %w", r.cfg.stream(), err)
	}
	return max(r.cfg.streamChunks()-int(stream.CachedInfo().State.Msgs), 0), nil
}

// publish hands one chunk to the stream. No message id: a chunk that is published again is not a duplicate to be swallowed.
func (r *Relay) publish(ctx context.Context, claims []outbox.Claim) (err error) {
	message := &nats.Msg{Subject: r.cfg.stream(), Data: encodeChunk(claims)}
	ctx, span := r.traceSend(ctx, message, len(claims))
	defer func() { traces.End(span, err) }()
	if !r.cfg.NATS.IsConnected() {
		return errNATSDown
	}
	ctx, cancel := bounded(ctx, natsTimeout)
	defer cancel()
	_, err = r.js.PublishMsg(ctx, message)
	return err
}

// full reports whether the stream has no room.
func full(err error) bool {
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.ErrorCode == storeFailed
}
