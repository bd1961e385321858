package serve

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/serve/entity"
)

// Config says what a Server works with. The zero value of a field means its default.
type Config struct {
	// DB is the pool of the primary that holds the rows and the schema tidelock; its sessions must be set as entity.Tune does. Required.
	DB *pgxpool.Pool
	// Cache is where rows are cached. Required. The server does not close it.
	Cache *cache.Cache
	// File declares the entities and the clients. Required.
	File *entity.File
	// NATS, if set, is told of deferred writes. The server does not close it.
	NATS *nats.Conn
	// Leases is what reads with a bound, strict reads, and writes to strict keys need. The server does not close it. Default none: they are refused.
	Leases *lease.Client
	// BodyMax is the largest body in bytes, after decompression. Default 1 MiB.
	BodyMax int64
	// Timeout bounds each request. Default 10 s.
	Timeout time.Duration
	// Concurrent is how many requests may be worked on at once. Default 256.
	Concurrent int
	// Rate is how many requests a second each client may send for long, and Burst how many at once. Default 1000 and twice Rate.
	Rate  float64
	Burst int
	// BatchMax is how many rows one request may name. Default 256.
	BatchMax int
	// KeepRequests is how long the answer to a write with an Idempotency-Key is kept. Default 24 h.
	KeepRequests time.Duration
	// PublicDocs shows /docs and /openapi.json to whoever asks. Default: to clients.
	PublicDocs bool
	// Traces makes the spans of requests, and of what is done for them; they go on with the trace of a request's traceparent. nil means no spans.
	Traces trace.TracerProvider
	// Log receives what goes wrong, and a line for each request at the level of debugging. nil means no logs.
	Log *zap.Logger
}

func (c Config) bodyMax() int64         { return orDefault(c.BodyMax, 1<<20) }
func (c Config) timeout() time.Duration { return orDefault(c.Timeout, 10*time.Second) }
func (c Config) concurrent() int        { return orDefault(c.Concurrent, 256) }
func (c Config) rate() float64          { return orDefault(c.Rate, 1000) }
func (c Config) burst() int             { return orDefault(c.Burst, int(2*c.rate())) }
func (c Config) batchMax() int          { return orDefault(c.BatchMax, 256) }
func (c Config) keepRequests() time.Duration {
	return orDefault(c.KeepRequests, 24*time.Hour)
}

func orDefault[T int | int64 | float64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (c Config) validate() error {
	switch {
	case c.DB == nil:
		return errors.New("serve: DB is nil: give the pool of the primary")
	case c.Cache == nil:
		return errors.New("serve: Cache is nil: make one with cache.New, it may be down")
	case c.File == nil:
		return errors.New("serve: File is nil: read one with entity.Read")
	case c.BodyMax < 0 || c.Timeout < 0 || c.KeepRequests < 0:
		return fmt.Errorf("serve: BodyMax is %d, Timeout %v and KeepRequests %v: all must be positive", c.BodyMax, c.Timeout, c.KeepRequests)
	case c.Concurrent < 0 || c.Rate < 0 || c.Burst < 0 || c.BatchMax < 0:
		return fmt.Errorf("serve: Concurrent is %d, Rate %v, Burst %d and BatchMax %d: all must be positive", c.Concurrent, c.Rate, c.Burst, c.BatchMax)
	}
	return nil
}

// loadTimeout bounds a load from Postgres that several requests may wait for.
const loadTimeout = 5 * time.Second
