package writer

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/outbox"
)

// The spans of a writer. docs/operations.md tells what each is.
const (
	writeSpan  = "tidelock.write"
	putSpan    = "tidelock.put"
	groupSpan  = "tidelock.put_group"
	commitSpan = "tidelock.commit"
	applySpan  = "tidelock.apply"
)

// traceparent is what a record bears of the span that ctx bears: nothing, unless somebody keeps it.
func (w *Writer) traceparent(ctx context.Context) string {
	if w.trace == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	return traces.Parent(ctx)
}

// sign has the records bear the span that writes them.
func (w *Writer) sign(ctx context.Context, records []outbox.Record) {
	parent := w.traceparent(ctx)
	for i := range records {
		records[i].Trace = parent
	}
}

// traceGroup begins the span of Puts that share a transaction.
func (w *Writer) traceGroup(group []*queued) (context.Context, trace.Span) {
	if w.trace == nil {
		return context.Background(), traces.None
	}
	callers := make([]trace.Span, len(group))
	for i, q := range group {
		callers[i] = trace.SpanFromContext(q.ctx)
	}
	ctx, span := w.trace.Shared(context.Background(), groupSpan, callers)
	span.SetAttributes(attribute.Int("tidelock.puts", len(group)))
	return ctx, span
}

// ended ends the span of a write with what has become of it.
func ended(span trace.Span, r Result, err error) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("tidelock.keys", len(r.Keys)), attribute.Bool("tidelock.deferred", r.Deferred()))
	if len(r.Keys) == 1 {
		k := r.Keys[0]
		span.SetAttributes(attribute.String("tidelock.key", k.Key), attribute.Int64("tidelock.version", k.Version), attribute.String("tidelock.outcome", string(k.Outcome)))
		span.RecordError(k.Err) // a warning: the write is committed
	}
	traces.End(span, err)
}
