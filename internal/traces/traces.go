// Package traces makes OpenTelemetry spans for whoever wants them, and for the others nothing: a nil Tracer costs a comparison. Records and messages bear the
// span that they come from as W3C's traceparent.
package traces

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracer makes the spans of one of our packages. A nil Tracer makes none.
type Tracer struct{ tracer trace.Tracer }

// New returns the tracer of a package, nil without a provider.
func New(provider trace.TracerProvider, name string) *Tracer {
	if provider == nil {
		return nil
	}
	return &Tracer{provider.Tracer("github.com/tidelock-cache/tidelock/" + name)}
}

// None is a span that nobody sees.
var None = trace.SpanFromContext(context.Background())

// Start begins a span, a child of the one that ctx bears. Options cost their caller something also when the tracer is nil.
func (t *Tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, None
	}
	return t.tracer.Start(ctx, name, options...)
}

// Shared begins the span of what is done once for several callers. It is a child of the first of their spans that is sampled, and has links to all that are;
// they have links to it.
func (t *Tracer) Shared(ctx context.Context, name string, callers []trace.Span) (context.Context, trace.Span) {
	if t == nil || len(callers) == 0 {
		return ctx, None
	}
	parent := callers[max(0, slices.IndexFunc(callers, sampled))]
	var links []trace.Link
	for _, c := range callers {
		if sampled(c) {
			links = append(links, trace.Link{SpanContext: c.SpanContext()})
		}
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpan(ctx, parent), name, trace.WithLinks(links...))
	if span.IsRecording() {
		for _, c := range callers {
			c.AddLink(trace.Link{SpanContext: span.SpanContext()})
		}
	}
	return ctx, span
}

func sampled(s trace.Span) bool { return s.SpanContext().IsSampled() }

// Fail notes on a span why it failed, if it did.
func Fail(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
	}
}

// End ends a span, which failed if there is an error.
func End(span trace.Span, err error) {
	Fail(span, err)
	span.End()
}

// Parent is the traceparent of the span that ctx bears; empty if it bears none.
func Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// Remote returns ctx with the span of a traceparent, for others to begin under it; ctx as it is if that is not one.
func Remote(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}
