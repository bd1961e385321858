package writer_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/writer"
)

// tracedBy has a writer make its spans there.
func tracedBy(to *rig.Traces) func(*writer.Config) {
	return func(c *writer.Config) { c.Traces = to }
}

// cutOff has a writer's cache be one that nobody reaches, so that its records stay.
func cutOff(t testing.TB) func(*writer.Config) {
	t.Helper()
	down := rig.Cache(t, "valkey://127.0.0.1:1")
	return func(c *writer.Config) { c.Cache = down }
}

// calling begins the span of a call of ours.
func calling(t testing.TB, to *rig.Traces, name string) (context.Context, trace.Span) {
	t.Helper()
	return traces.New(to, "test").Start(t.Context(), name)
}

// signed returns the traceparent that the record of a key bears, empty for null.
func (v *world) signed(t testing.TB, key string) string {
	t.Helper()
	return value[string](t, v, "SELECT coalesce(trace, '') FROM tidelock.outbox WHERE key = $1", key)
}

func parentOf(span sdk.ReadOnlySpan) string {
	return traces.Parent(trace.ContextWithSpanContext(context.Background(), span.SpanContext()))
}

// TestWriteIsTraced: a call's write, its commit and its apply are one trace, and the record bears the commit.
func TestWriteIsTraced(t *testing.T) {
	t.Parallel()
	v, to := commonWorld(t), rig.Trace(t)
	w := v.writer(t, tracedBy(to), cutOff(t))
	key := v.rows(t, "a")[0]
	ctx, call := calling(t, to, "call")
	_, err := w.Write(ctx, updating(key, "new"))
	must(t, err)
	call.End()
	write, commit, apply := to.One(t, "tidelock.write"), to.One(t, "tidelock.commit"), to.One(t, "tidelock.apply")
	rig.Child(t, write, to.One(t, "call"))
	rig.Child(t, commit, write)
	rig.Child(t, apply, write)
	if got := v.signed(t, key); got != parentOf(commit) {
		t.Errorf("the record bears %q, want that of the commit, %q", got, parentOf(commit))
	}
	if got := rig.Attribute(write, "tidelock.deferred"); got != "true" {
		t.Errorf("the write says that it is deferred: %q", got)
	}
}

// TestRecordIsTraced: what is recorded in a caller's own transaction bears the caller's span.
func TestRecordIsTraced(t *testing.T) {
	t.Parallel()
	v, to := commonWorld(t), rig.Trace(t)
	w := v.writer(t, tracedBy(to), cutOff(t))
	key := v.rows(t, "a")[0]
	ctx, call := calling(t, to, "call")
	_, err := viaRecord(ctx, v, w, key, "new")
	must(t, err)
	call.End()
	rig.Child(t, to.One(t, "tidelock.apply"), to.One(t, "call"))
	if got, want := v.signed(t, key), parentOf(to.One(t, "call")); got != want {
		t.Errorf("the record bears %q, want %q", got, want)
	}
}

// TestPutsInAGroupAreTraced: each Put is in its caller's trace and so is its record; what is done for all of them is done in one span, which has links to each and from
// each.
func TestPutsInAGroupAreTraced(t *testing.T) {
	t.Parallel()
	const n = 8
	v, to := newWorld(t), rig.Trace(t)
	w := v.writer(t, tracedBy(to), cutOff(t), oneCommitter)
	keys := v.numbered(t, n)
	for _, a := range v.together(t, w, puts(keys)) {
		must(t, a.err)
	}
	groups := to.Await(t, "tidelock.put_group", 2) // the other one is that of the Put that held up these
	group := groups[slices.IndexFunc(groups, func(s sdk.ReadOnlySpan) bool { return rig.Attribute(s, "tidelock.puts") == fmt.Sprint(n) })]
	if len(group.Links()) != n {
		t.Errorf("the group has %d links, want %d", len(group.Links()), n)
	}
	parents := make(map[string]bool)
	for _, put := range to.Await(t, "tidelock.put", n+1) {
		if !slices.Contains(keys, rig.Attribute(put, "tidelock.key")) {
			continue
		}
		if !rig.Linked(group, put) || !rig.Linked(put, group) {
			t.Errorf("the Put of %s and its group have no links to each other", rig.Attribute(put, "tidelock.key"))
		}
		if got := v.signed(t, rig.Attribute(put, "tidelock.key")); got != parentOf(put) {
			t.Errorf("the record of %s bears %q, want %q", rig.Attribute(put, "tidelock.key"), got, parentOf(put))
		}
		parents[put.SpanContext().TraceID().String()] = true
	}
	if len(parents) != n || !parents[group.SpanContext().TraceID().String()] {
		t.Errorf("%d Puts are in %d traces, and the group is in one of them: %v", n, len(parents), parents[group.SpanContext().TraceID().String()])
	}
	for _, name := range []string{"tidelock.commit", "tidelock.apply"} {
		if !slices.ContainsFunc(to.Await(t, name, 2), func(s sdk.ReadOnlySpan) bool { return s.Parent().SpanID() == group.SpanContext().SpanID() }) {
			t.Errorf("%s is no child of the group", name)
		}
	}
}

// TestLonePutIsTraced: all of it is one trace.
func TestLonePutIsTraced(t *testing.T) {
	t.Parallel()
	v, to := commonWorld(t), rig.Trace(t)
	w := v.writer(t, tracedBy(to))
	ctx, call := calling(t, to, "call")
	_, err := w.Put(ctx, putting(v.rows(t, "a")[0], "new"))
	must(t, err)
	call.End()
	rig.Child(t, to.One(t, "tidelock.put"), to.One(t, "call"))
	rig.Child(t, to.One(t, "tidelock.put_group"), to.One(t, "tidelock.put"))
	rig.Child(t, to.One(t, "tidelock.apply"), to.One(t, "tidelock.put_group"))
}

// TestFailuresAreTraced: a span says why its Put has failed.
func TestFailuresAreTraced(t *testing.T) {
	t.Parallel()
	v, to := commonWorld(t), rig.Trace(t)
	w := v.writer(t, tracedBy(to))
	if _, err := w.Put(t.Context(), writer.Put{Key: v.prefix + "a", SQL: "SELECT 1/0"}); err == nil {
		t.Fatal("it did not fail")
	}
	for _, name := range []string{"tidelock.put", "tidelock.put_group", "tidelock.commit"} {
		if got := to.One(t, name).Status(); got.Description == "" {
			t.Errorf("%s does not say why it failed", name)
		}
	}
	if n := len(to.Named("tidelock.apply")); n != 0 {
		t.Errorf("%d spans of an apply that there was not", n)
	}
}

// TestUnsampledLeavesNoTrace: a record bears nothing that nobody keeps, nor what a caller traces for itself.
func TestUnsampledLeavesNoTrace(t *testing.T) {
	t.Parallel()
	caller := rig.Trace(t)
	for name, tune := range map[string]func(*writer.Config){
		"unsampled": tracedBy(rig.Trace(t, sdk.WithSampler(sdk.NeverSample()))),
		"off":       func(*writer.Config) {},
	} {
		for way, write := range ways {
			t.Run(fmt.Sprint(name, "/", way), func(t *testing.T) {
				t.Parallel()
				v := commonWorld(t)
				w := v.writer(t, tune, cutOff(t))
				key := v.rows(t, "a")[0]
				ctx := t.Context()
				if way != "Record" || name == "off" { // which bears its caller's span, if the writer makes any
					ctx, _ = calling(t, caller, "call")
				}
				_, err := write(ctx, v, w, key, "new")
				must(t, err)
				if got := v.signed(t, key); got != "" {
					t.Errorf("the record bears %q", got)
				}
			})
		}
	}
}
