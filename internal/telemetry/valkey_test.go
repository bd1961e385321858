package telemetry

import (
	"crypto/rand"
	"testing"

	"github.com/valkey-io/valkey-go"
	"go.opentelemetry.io/otel/codes"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestCommandsAreTraced: commands have spans where they are a part of a trace, with their names and nothing of what they carry.
func TestCommandsAreTraced(t *testing.T) {
	t.Parallel()
	to := rig.Trace(t)
	tracer := to.Tracer("test")
	c := &client{rig.Valkey(t, stacktest.Valkey(t).URL()), tracer}
	key := "telemetry:" + rand.Text()
	get := func() valkey.Completed { return c.B().Get().Key(key).Build() }

	if err := c.Do(t.Context(), get()).Error(); !valkey.IsValkeyNil(err) {
		t.Fatal(err)
	}
	if n := len(to.Named("GET")); n != 0 {
		t.Fatal("a command is traced that is a part of nothing")
	}
	ctx, call := tracer.Start(t.Context(), "call")
	if err := c.Do(ctx, get()).Error(); !valkey.IsValkeyNil(err) {
		t.Fatal(err)
	}
	if replies := c.DoMulti(ctx, c.B().Set().Key(key).Value("secret").Build(), c.B().Lpush().Key(key).Element("x").Build()); replies[1].Error() == nil {
		t.Fatal("the second command was to fail")
	}
	call.End()
	got, pipeline := to.One(t, "GET"), to.One(t, "PIPELINE SET")
	rig.Child(t, got, to.One(t, "call"))
	rig.Child(t, pipeline, to.One(t, "call"))
	if got.Status().Code != codes.Unset || pipeline.Status().Code != codes.Error {
		t.Errorf("nothing found is %v, a refusal %v", got.Status(), pipeline.Status())
	}
	if rig.Attribute(pipeline, "db.operation.batch.size") != "2" || rig.Attribute(got, "db.system.name") != "valkey" || len(got.Attributes()) != 2 {
		t.Errorf("the spans say %v and %v", got.Attributes(), pipeline.Attributes())
	}
}
