package serve

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/traces"
)

// traceRequest begins the span of a request whose route is known, in the trace that its traceparent names.
func (s *Server) traceRequest(q *request) {
	if s.trace == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(q.Context(), propagation.HeaderCarrier(q.Header))
	ctx, q.span = s.trace.Start(ctx, q.Method+" "+q.route, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(q.Method), semconv.HTTPRoute(q.route)))
	q.Request = q.WithContext(ctx)
}

// answered ends the span of a request. What is the client's fault is no error of the server's.
func answered(span trace.Span, status int, err error) {
	if span.IsRecording() {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	if status >= http.StatusInternalServerError {
		traces.Fail(span, err)
	}
	span.End()
}
