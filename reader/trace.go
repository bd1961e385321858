package reader

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The spans of a reader: a call's wait for what the cache could not answer, and the load that it waits for, which several calls may share. A hit has none.
const (
	loadSpan  = "tidelock.load"
	fetchSpan = "tidelock.fetch"
)

// boardLocked notes on the flights whose call waits for them. Raw.mu is held.
func (r *Raw) boardLocked(ctx context.Context, aboard map[string]*flight) {
	if r.trace == nil {
		return
	}
	caller := trace.SpanFromContext(ctx)
	at := make(map[*flight]bool, len(aboard))
	for _, f := range aboard {
		if !at[f] {
			at[f], f.callers = true, append(f.callers, caller)
		}
	}
}

// traceFlight begins the span of a flight that has departed.
func (r *Raw) traceFlight(ctx context.Context, f *flight) (context.Context, trace.Span) {
	ctx, span := r.trace.Shared(ctx, fetchSpan, f.callers)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("tidelock.keys", len(f.keys)))
		if len(f.keys) == 1 {
			span.SetAttributes(attribute.String("tidelock.key", f.keys[0]))
		}
	}
	return ctx, span
}
