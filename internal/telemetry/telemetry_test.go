package telemetry

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"

	"github.com/tidelock-cache/tidelock/cache"
)

// receiver is a collector that is spoken to by gRPC.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	got chan *collector.ExportTraceServiceRequest
}

// Export takes spans.
func (r *receiver) Export(_ context.Context, q *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.got <- q
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestGRPC sends a span to a collector by gRPC, at the latest when the program ends. It sets the environment, so it does not run in parallel.
func TestGRPC(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,deployment.environment.name=test")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{got: make(chan *collector.ExportTraceServiceRequest, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	traces, err := Start(t.Context(), Config{Endpoint: "http://" + listener.Addr().String(), Service: "test", Version: "v1", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	_, span := traces.Provider().Tracer("test").Start(t.Context(), "hello")
	span.End()
	traces.Close()
	resource := (<-r.got).GetResourceSpans()[0]
	if got := resource.GetScopeSpans()[0].GetSpans()[0].GetName(); got != "hello" {
		t.Errorf("the span is %q", got)
	}
	says := make(map[string]string)
	for _, a := range resource.GetResource().GetAttributes() {
		says[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if says["service.name"] != "mine" || says["service.version"] != "v1" || says["deployment.environment.name"] != "test" {
		t.Errorf("the program says of itself: %v", says)
	}
}

// TestCollectorThatIsDown: the log speaks of it, and the program ends all the same. Who hears of errors is one for the process, so it does not run in parallel.
func TestCollectorThatIsDown(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	traces, err := Start(t.Context(), Config{Endpoint: "http://127.0.0.1:1", Service: "test", Log: zap.New(core)})
	if err != nil {
		t.Fatal(err)
	}
	_, span := traces.Provider().Tracer("test").Start(t.Context(), "hello")
	span.End()
	began := time.Now()
	traces.Close()
	if took := time.Since(began); took > 2*closeTimeout {
		t.Errorf("it took %v to end", took)
	}
	if logs.FilterMessage("tracing_failed").Len() == 0 {
		t.Errorf("the log says %v", logs.All())
	}
}

// TestOff changes nothing.
func TestOff(t *testing.T) {
	t.Parallel()
	var off *Traces
	pool, err := pgxpool.ParseConfig("postgres://localhost/x")
	if err != nil {
		t.Fatal(err)
	}
	var c cache.Config
	off.Postgres(pool)
	off.Valkey(&c)
	off.Close()
	if pool.ConnConfig.Tracer != nil || c.Wrap != nil || off.Provider() != nil {
		t.Errorf("there is a tracer: %v, %v", pool.ConnConfig.Tracer, off.Provider())
	}
}
