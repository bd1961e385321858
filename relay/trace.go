package relay

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
)

// applySpan is the span of one record, in the trace of its write.
const applySpan = "tidelock.apply"

// parentHeader is that of a chunk whose dispatcher makes spans.
const parentHeader = "traceparent"

// traceSend begins the span of a chunk on its way to the stream, which the message bears.
func (r *Relay) traceSend(ctx context.Context, message *nats.Msg, records int) (context.Context, trace.Span) {
	if r.trace == nil {
		return ctx, traces.None
	}
	ctx, span := r.trace.Start(ctx, "send "+message.Subject, trace.WithSpanKind(trace.SpanKindProducer),
		ofChunk(message.Subject, records, "publish", semconv.MessagingOperationTypeSend))
	message.Header = nats.Header{parentHeader: {traces.Parent(ctx)}}
	return ctx, span
}

// traceProcess begins the span of a chunk that came from the stream.
func (r *Relay) traceProcess(ctx context.Context, message jetstream.Msg, records int) (context.Context, trace.Span) {
	if r.trace == nil {
		return ctx, traces.None
	}
	return r.trace.Start(traces.Remote(ctx, message.Headers().Get(parentHeader)), "process "+message.Subject(), trace.WithSpanKind(trace.SpanKindConsumer),
		ofChunk(message.Subject(), records, "process", semconv.MessagingOperationTypeProcess))
}

// ofChunk is what OpenTelemetry's conventions have a span say of a message.
func ofChunk(stream string, records int, operation string, kind attribute.KeyValue) trace.SpanStartEventOption {
	return trace.WithAttributes(semconv.MessagingSystemKey.String("nats"), semconv.MessagingDestinationName(stream),
		semconv.MessagingOperationName(operation), kind, attribute.Int("tidelock.records", records))
}

// traceRecords begins the spans of records that bear a trace, each in its own trace, with a link to the chunk's. Nobody sees those of the others.
func (r *Relay) traceRecords(ctx context.Context, records []outbox.Record) []trace.Span {
	if r.trace == nil {
		return nil
	}
	spans := make([]trace.Span, len(records))
	for i, record := range records {
		spans[i] = traces.None
		if record.Trace == "" {
			continue
		}
		_, spans[i] = r.trace.Start(traces.Remote(ctx, record.Trace), applySpan, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithLinks(trace.LinkFromContext(ctx)),
			trace.WithAttributes(attribute.String("tidelock.key", record.Key), attribute.Int64("tidelock.version", record.Version), attribute.Int("tidelock.attempts", record.Attempts)))
	}
	return spans
}

// tell ends the spans of records with what the cache has made of them.
func tell(spans []trace.Span, replies []cache.Reply) {
	for i, span := range spans {
		span.SetAttributes(attribute.String("tidelock.outcome", replies[i].Outcome.String()))
		traces.End(span, replies[i].Err)
	}
}
