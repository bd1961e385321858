package relay_test

import (
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
	"github.com/tidelock-cache/tidelock/writer"
)

// tracedBy has a relay make its spans there.
func tracedBy(to *rig.Traces) func(*relay.Config) {
	return func(c *relay.Config) { c.Traces = to }
}

// TestOneTraceFromWriteToApply writes while the cache cannot be reached. The relay brings the value there, in the trace of the write, and names the chunk by which the
// record came.
func TestOneTraceFromWriteToApply(t *testing.T) {
	t.Parallel()
	s, writing, relaying := newSite(t), rig.Trace(t), rig.Trace(t)
	proxy := rig.Proxy(t, stacktest.Valkey(t).Addr())
	if err := proxy.Cut(); err != nil {
		t.Fatal(err)
	}
	w := rig.Writer(t, writer.Config{DB: s.db, Cache: rig.Cache(t, "valkey://"+proxy.Addr()), NATS: s.nats, Traces: writing})
	key := s.key("a")
	if result := s.put(w, key, "one"); !result.Deferred() {
		t.Fatalf("the write is %+v, want it deferred", result)
	}
	s.run(tracedBy(relaying))
	s.drained()
	s.holds(key, "one")

	apply := relaying.One(t, "tidelock.apply")
	rig.Child(t, apply, writing.One(t, "tidelock.put"))
	if !apply.Parent().IsRemote() || apply.SpanKind() != trace.SpanKindConsumer {
		t.Errorf("the apply is %+v, want a consumer's with a remote parent", apply)
	}
	for name, want := range map[attribute.Key]string{"tidelock.key": key, "tidelock.outcome": "applied"} {
		if got := rig.Attribute(apply, name); got != want {
			t.Errorf("the apply's %s is %q, want %q", name, got, want)
		}
	}
	send, process := relaying.One(t, "send "+s.stream), relaying.One(t, "process "+s.stream)
	rig.Child(t, process, send)
	if !rig.Linked(apply, process) {
		t.Error("the apply has no link to its chunk")
	}
	if send.SpanKind() != trace.SpanKindProducer || process.SpanKind() != trace.SpanKindConsumer || rig.Attribute(process, "messaging.destination.name") != s.stream {
		t.Errorf("the chunk was sent by %+v and processed by %+v", send, process)
	}
}

// TestRecordsWithoutTrace: only those that bear a trace have spans, and a text that is no traceparent does no harm.
func TestRecordsWithoutTrace(t *testing.T) {
	t.Parallel()
	s, to := newSite(t), rig.Trace(t)
	odd := set(s.key("odd"), "odd")
	odd.Trace = "nonsense"
	s.record(set(s.key("none"), "none"), odd)
	s.run(tracedBy(to))
	s.drained()
	for _, name := range []string{"none", "odd"} {
		s.holds(s.key(name), name)
	}
	process := to.One(t, "process "+s.stream)
	for _, apply := range to.Named("tidelock.apply") {
		if got := rig.Attribute(apply, "tidelock.key"); got != odd.Key {
			t.Errorf("there is a span of %s, which bears no trace", got)
		}
		rig.Child(t, apply, process)
	}
}

// TestRelayWithoutTraces settles records of writers that trace.
func TestRelayWithoutTraces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	traced := set(s.key("a"), "one")
	traced.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s.record(traced)
	s.run()
	s.drained()
	s.holds(traced.Key, "one")
}
