package reader_test

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/traces"
	"github.com/tidelock-cache/tidelock/reader"
)

// tracedBy has a reader make its spans there.
func tracedBy(to *rig.Traces) func(*reader.Config) {
	return func(c *reader.Config) { c.Traces = to }
}

// TestLoadsAreTraced: a load is a part of its caller's trace, and what the load function does is a part of the load. A hit is nothing to tell of.
func TestLoadsAreTraced(t *testing.T) {
	t.Parallel()
	f, to := newTable(t), rig.Trace(t)
	tracer := traces.New(to, "test")
	f.afterLoad = func(ctx context.Context, _ []string) {
		_, span := tracer.Start(ctx, "function")
		span.End()
	}
	r, key := f.raw(tracedBy(to)), f.key("a")
	f.insert(key, "one")
	ctx, call := tracer.Start(t.Context(), "call")
	for _, hit := range []bool{false, true} {
		p, err := r.Get(ctx, key)
		want(t, p, err, "one", hit)
	}
	call.End()
	load, fetch := to.One(t, "tidelock.load"), to.One(t, "tidelock.fetch")
	rig.Child(t, load, to.One(t, "call"))
	rig.Child(t, fetch, load)
	rig.Child(t, to.One(t, "function"), fetch)
	if got := rig.Attribute(fetch, "tidelock.key"); got != key {
		t.Errorf("the load is of the key %q, want %q", got, key)
	}
}

// TestSharedLoadsAreTraced has callers ask while a load is under way: the one that they share is a part of the first one's trace, and linked with all.
func TestSharedLoadsAreTraced(t *testing.T) {
	t.Parallel()
	f, to := newTable(t), rig.Trace(t)
	r, key := f.raw(tracedBy(to)), f.key("a")
	h := f.hold()
	f.insert(key, "one")
	answers := []<-chan answer{get(t.Context(), r, key)}
	h.reached()
	for range 3 {
		answers = append(answers, get(t.Context(), r, key))
	}
	missed(t, r, 4)
	h.release()
	for _, a := range answers {
		await(t, a)
	}
	loads := to.Await(t, "tidelock.load", 4)
	byParent := make(map[trace.SpanID]bool)
	linked := 0
	for _, fetch := range to.Named("tidelock.fetch") {
		byParent[fetch.Parent().SpanID()] = true
		for _, load := range loads {
			if rig.Linked(fetch, load) && rig.Linked(load, fetch) {
				linked++
			}
		}
	}
	if linked != len(loads) {
		t.Errorf("%d calls are linked with a load, want each of %d with one", linked, len(loads))
	}
	for _, load := range loads {
		delete(byParent, load.SpanContext().SpanID())
	}
	if len(byParent) != 0 {
		t.Errorf("loads are children of %v, which nobody has asked from", byParent)
	}
}

// TestFailedLoadsAreTraced: the span says why.
func TestFailedLoadsAreTraced(t *testing.T) {
	t.Parallel()
	f, to := newTable(t), rig.Trace(t)
	r := f.raw(tracedBy(to), func(c *reader.Config) {
		c.Load = func(context.Context, []string) (map[string][]byte, error) { return nil, errors.New("out of order") }
	})
	if _, err := r.Get(t.Context(), f.key("a")); err == nil {
		t.Fatal("the load did not fail")
	}
	if got := to.One(t, "tidelock.fetch").Status(); got.Code != codes.Error || got.Description != "out of order" {
		t.Errorf("its status is %+v", got)
	}
}
