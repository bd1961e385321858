// Package telemetry sends a program's traces to a collector, by OTLP. It never slows or fails what is traced: spans wait in a queue of bounded length, those that
// find it full are dropped, and a collector that is down is spoken of in the log.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/valkey-io/valkey-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
)

// closeTimeout bounds the wait for a collector when the program ends.
const closeTimeout = 3 * time.Second

// Config says where traces go and whose they are. What OpenTelemetry has environment variables for (headers, certificates, the sampler, the batches) is read from those.
type Config struct {
	// Endpoint is http://host:4318 or https://…: the collector, without the path /v1/traces. Required.
	Endpoint string
	// Service and Version are what the program calls itself, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise.
	Service, Version string
	// Log receives what goes wrong. Required.
	Log *zap.Logger
}

// Traces makes spans and sends them. A nil *Traces makes none, and changes nothing of what it is given.
type Traces struct{ provider *sdk.TracerProvider }

// Start begins to send traces. It connects to nothing: the collector may be down. Its error says what of the settings is wrong.
func Start(ctx context.Context, cfg Config) (*Traces, error) {
	exporter, err := exporter(ctx, cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithProcessPID(),
		resource.WithAttributes(semconv.ServiceName(cfg.Service), semconv.ServiceVersion(cfg.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { cfg.Log.Warn("tracing_failed", zap.Error(err)) }))
	return &Traces{sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))}, nil
}

// exporter is one for the protocol that OpenTelemetry's environment variables name.
func exporter(ctx context.Context, endpoint string) (sdk.SpanExporter, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("it is not usable: want http://host:port or https://host:port")
	}
	variable, protocol := protocol()
	switch protocol {
	case "", "http/protobuf", "http/json":
		options := []otlptracehttp.Option{otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithURLPath(path.Join("/", u.Path, "v1/traces"))}
		if u.Scheme == "http" {
			options = append(options, otlptracehttp.WithInsecure())
		}
		return otlptracehttp.New(ctx, options...)
	case "grpc":
		return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
	default:
		return nil, fmt.Errorf("%s is %q: want http/protobuf, http/json or grpc", variable, protocol)
	}
}

// protocol returns the environment variable that names the protocol, and what it says.
func protocol() (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if value := os.Getenv(variable); value != "" {
			return variable, value
		}
	}
	return "", ""
}

// Provider is for the Traces of the packages' configurations.
func (t *Traces) Provider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// Postgres has a pool's statements traced that are a part of a trace. Their arguments are left out.
func (t *Traces) Postgres(cfg *pgxpool.Config) {
	if t != nil {
		cfg.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider))
	}
}

// Valkey has a cache's commands traced that are a part of a trace. Their arguments are left out.
func (t *Traces) Valkey(cfg *cache.Config) {
	if t != nil {
		tracer := t.provider.Tracer("github.com/tidelock-cache/tidelock/internal/telemetry")
		cfg.Wrap = func(c valkey.Client) valkey.Client { return &client{c, tracer} }
	}
}

// Close sends what is left, for 3 s at most. Spans that end after it are lost.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}
