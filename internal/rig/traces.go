package rig

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// Traces makes spans and keeps them for a test to look at.
type Traces struct {
	*sdk.TracerProvider
	recorder *tracetest.SpanRecorder
}

// Trace returns a provider that samples everything, unless an option says otherwise.
func Trace(t testing.TB, options ...sdk.TracerProviderOption) *Traces {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(append(options, sdk.WithSpanProcessor(recorder))...)
	t.Cleanup(func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) })
	return &Traces{provider, recorder}
}

// Named returns the spans of a name that have ended.
func (tr *Traces) Named(name string) (named []sdk.ReadOnlySpan) {
	for _, span := range tr.recorder.Ended() {
		if span.Name() == name {
			named = append(named, span)
		}
	}
	return named
}

// Await returns the spans of a name once there are so many.
func (tr *Traces) Await(t testing.TB, name string, n int) []sdk.ReadOnlySpan {
	t.Helper()
	stacktest.Eventually(t, 20*time.Second, func() bool { return len(tr.Named(name)) >= n }, "spans have ended:", name)
	named := tr.Named(name)
	if len(named) != n {
		t.Fatalf("%d spans %s have ended, want %d", len(named), name, n)
	}
	return named
}

// One returns the only span of a name, once it has ended.
func (tr *Traces) One(t testing.TB, name string) sdk.ReadOnlySpan {
	t.Helper()
	return tr.Await(t, name, 1)[0]
}

// Linked reports whether a span has a link to another one.
func Linked(from, to sdk.ReadOnlySpan) bool {
	for _, link := range from.Links() {
		if link.SpanContext.SpanID() == to.SpanContext().SpanID() {
			return true
		}
	}
	return false
}

// Child checks that a span is the child of another, in the same trace.
func Child(t testing.TB, child, parent sdk.ReadOnlySpan) {
	t.Helper()
	if child.Parent().SpanID() != parent.SpanContext().SpanID() || child.SpanContext().TraceID() != parent.SpanContext().TraceID() {
		t.Errorf("%s is no child of %s", child.Name(), parent.Name())
	}
}

// Attribute returns what a span says of itself under a key, as text; empty if it says nothing.
func Attribute(span sdk.ReadOnlySpan, key attribute.Key) string {
	for _, a := range span.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}
