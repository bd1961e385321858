package serve_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/codes"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/serve"
)

// TestRequestsAreTraced: a request goes on with the trace of whoever sent it, and what is done for it is a part of it.
func TestRequestsAreTraced(t *testing.T) {
	t.Parallel()
	const trace, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	to := rig.Trace(t)
	w := newWorld(t, "", func(c *serve.Config) { c.Traces = to })
	w.do("PUT", "/v1/flights/1", `{"number": "LH 1"}`, "Traceparent: 00-"+trace+"-"+caller+"-01").want(http.StatusOK)
	request := to.One(t, "PUT /v1/flights/")
	if got := request.Parent(); got.TraceID().String() != trace || got.SpanID().String() != caller || !got.IsRemote() {
		t.Errorf("its parent is %+v, want the caller", got)
	}
	if got := rig.Attribute(request, "http.response.status_code"); got != "200" || request.Status().Code != codes.Unset {
		t.Errorf("it has the status %q, %+v", got, request.Status())
	}
	rig.Child(t, to.One(t, "tidelock.put"), request)
	w.do("GET", fmt.Sprint("/v1/flights/", 2+rand.N(int64(1)<<62)), "").want(http.StatusNotFound) // of which the cache has never heard
	rig.Child(t, to.One(t, "tidelock.load"), to.One(t, "GET /v1/flights/"))
	if got := to.One(t, "GET /v1/flights/").Status().Code; got != codes.Unset {
		t.Errorf("what the client did wrong is the server's error: %v", got)
	}
	w.do("GET", "/livez", "").want(http.StatusOK)
	if n := len(to.Named("GET /livez")); n != 0 {
		t.Error("a probe is traced")
	}
}

// TestFailedRequestsAreTraced: what is the server's fault is an error.
func TestFailedRequestsAreTraced(t *testing.T) {
	t.Parallel()
	to := rig.Trace(t)
	w := newWorld(t, "", func(c *serve.Config) { c.Traces = to })
	w.exec("DROP TABLE flights")
	if got := w.do("GET", "/v1/flights/1", ""); got.status < http.StatusInternalServerError {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	if got := to.One(t, "GET /v1/flights/").Status(); got.Code != codes.Error || got.Description == "" {
		t.Errorf("the span's status is %+v, want an error that says why", got)
	}
}
