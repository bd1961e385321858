package telemetry

import (
	"context"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelock-cache/tidelock/internal/traces"
)

// client makes a span of each command and each pipeline that is a part of a trace. It does what we need of valkey-go's valkeyotel, a module of its own, which fits
// cache.Config.Wrap as well.
type client struct {
	valkey.Client
	tracer trace.Tracer
}

// Do sends one command.
func (c *client) Do(ctx context.Context, command valkey.Completed) valkey.ValkeyResult {
	if !traced(ctx) {
		return c.Client.Do(ctx, command)
	}
	began, name := time.Now(), operation(command.Commands())
	reply := c.Client.Do(ctx, command)
	c.tell(ctx, began, name, 1, reply.Error())
	return reply
}

// DoMulti sends a pipeline.
func (c *client) DoMulti(ctx context.Context, commands ...valkey.Completed) []valkey.ValkeyResult {
	if !traced(ctx) || len(commands) == 0 {
		return c.Client.DoMulti(ctx, commands...)
	}
	began, name := time.Now(), operation(commands[0].Commands())
	replies := c.Client.DoMulti(ctx, commands...)
	c.tell(ctx, began, name, len(commands), first(replies))
	return replies
}

// traced reports whether somebody will see a span.
func traced(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// operation is the command's name. The library uses the command's words again once it is sent, but a word is a string and stays.
func operation(words []string) string { return strings.ToUpper(words[0]) }

// first is the first error in the replies.
func first(replies []valkey.ValkeyResult) error {
	for _, reply := range replies {
		if err := reply.Error(); err != nil && !valkey.IsValkeyNil(err) {
			return err
		}
	}
	return nil
}

// tell makes the span of a call that is over.
func (c *client) tell(ctx context.Context, began time.Time, name string, commands int, err error) {
	if valkey.IsValkeyNil(err) {
		err = nil
	}
	attributes := []attribute.KeyValue{semconv.DBSystemNameKey.String("valkey"), semconv.DBOperationName(name)}
	if commands > 1 {
		name = "PIPELINE " + name
		attributes = append(attributes, semconv.DBOperationBatchSize(commands))
	}
	_, span := c.tracer.Start(ctx, name, trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	traces.End(span, err)
}
