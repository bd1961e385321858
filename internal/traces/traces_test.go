package traces_test

import (
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/traces"
)

func TestOffCostsNothing(t *testing.T) {
	off := traces.New(nil, "test")
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		traced, span := off.Start(ctx, "a")
		traces.End(span, errors.ErrUnsupported)
		shared, none := off.Shared(ctx, "b", nil)
		if traced != ctx || shared != ctx || none.IsRecording() {
			t.Error("it made a span")
		}
	})
	if n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

func TestParentGoesThere(t *testing.T) {
	t.Parallel()
	to := rig.Trace(t)
	tracer := traces.New(to, "test")
	ctx, span := tracer.Start(t.Context(), "here")
	_, there := tracer.Start(traces.Remote(t.Context(), traces.Parent(ctx)), "there")
	traces.End(there, errors.ErrUnsupported)
	span.End()
	rig.Child(t, to.One(t, "there"), to.One(t, "here"))
	if got := to.One(t, "there"); !got.Parent().IsRemote() || got.Status().Code != codes.Error || len(got.Events()) != 1 {
		t.Errorf("the span is %+v", got)
	}
	if parent := traces.Parent(t.Context()); parent != "" {
		t.Errorf("the parent of nothing is %q", parent)
	}
	for _, parent := range []string{"", "00-", "nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		if got := traces.Remote(ctx, parent); got != ctx {
			t.Errorf("%q was taken for a parent", parent)
		}
	}
}

// TestShared has a span that stands for two calls, one of which nobody keeps.
func TestShared(t *testing.T) {
	t.Parallel()
	to, unkept := rig.Trace(t), rig.Trace(t, sdk.WithSampler(sdk.NeverSample()))
	tracer := traces.New(to, "test")
	_, first := traces.New(unkept, "test").Start(t.Context(), "first")
	_, second := tracer.Start(t.Context(), "second")
	_, third := tracer.Start(t.Context(), "third")
	_, shared := tracer.Shared(t.Context(), "shared", []trace.Span{first, second, third})
	for _, span := range []trace.Span{shared, first, second, third} {
		span.End()
	}
	got := to.One(t, "shared")
	rig.Child(t, got, to.One(t, "second"))
	for _, name := range []string{"second", "third"} {
		if caller := to.One(t, name); !rig.Linked(got, caller) || !rig.Linked(caller, got) {
			t.Errorf("%s and what was done for it have no links to each other", name)
		}
	}
	if len(got.Links()) != 2 {
		t.Errorf("there are %d links, want 2", len(got.Links()))
	}
	if _, none := tracer.Shared(t.Context(), "unseen", []trace.Span{first}); none.IsRecording() {
		t.Error("there is a span for callers that nobody keeps")
	}
}
