package subject

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/oagudo/outbox"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/valkey-io/valkey-go"
)

// Relay brings what waits in Postgres to the cache.
type Relay interface {
	// Insert leaves n messages, each of a key of its own, that nobody works on yet.
	Insert(ctx context.Context, n int, payload []byte) error
	// Start begins to work on them.
	Start(ctx context.Context) error
	// Left is how many are not done.
	Left(ctx context.Context) (int, error)
	// Stop ends the work.
	Stop(ctx context.Context) error
}

// change is what a team would put into its outbox: which key, and the value.
type change struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Kind names the kind of River's jobs.
func (change) Kind() string { return "set" }

func changeOf(n int, payload []byte) change {
	return change{Key: "relayed:" + strconv.Itoa(n), Value: string(payload)}
}

func (c change) set(ctx context.Context, client valkey.Client) error {
	return client.Do(ctx, client.B().Set().Key(c.Key).Value(c.Value).Ex(ttl).Build()).Error()
}

func setText(ctx context.Context, client valkey.Client, text []byte) error {
	var c change
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	return c.set(ctx, client)
}

// Outbox is oagudo/outbox. It reads one batch an interval; its README's 200 every 5 s would be 40 messages a second, so it is set to the
// largest batches that are of use and to next to no pause.
type Outbox struct {
	DB     *pgxpool.Pool
	Valkey valkey.Client
	reader *outbox.Reader
}

const outboxTable = `DROP TABLE IF EXISTS outbox; CREATE TABLE outbox (id UUID PRIMARY KEY, created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	scheduled_at TIMESTAMP WITH TIME ZONE NOT NULL, metadata BYTEA, payload BYTEA NOT NULL, times_attempted INTEGER NOT NULL);
	CREATE INDEX idx_outbox_created_at ON outbox (created_at); CREATE INDEX idx_outbox_scheduled_at ON outbox (scheduled_at)`

// Insert leaves n messages.
func (o *Outbox) Insert(ctx context.Context, n int, payload []byte) error {
	if _, err := o.DB.Exec(ctx, outboxTable); err != nil {
		return err
	}
	_, err := o.DB.Exec(ctx, `INSERT INTO outbox SELECT gen_random_uuid(), now() + i * interval '1 us' - interval '1 h', now() - interval '1 h', NULL,
		convert_to(json_build_object('key', 'relayed:' || i, 'value', $2::text)::text, 'UTF8'), 0 FROM generate_series(1, $1::bigint) AS i`, n, string(payload))
	return err
}

// Publish sets the key.
func (o *Outbox) Publish(ctx context.Context, m *outbox.Message) error {
	return setText(ctx, o.Valkey, m.Payload)
}

// Start starts the reader.
func (o *Outbox) Start(context.Context) error {
	o.reader = outbox.NewReader(outbox.NewDBContext(stdlib.OpenDBFromPool(o.DB), outbox.SQLDialectPostgres), o,
		outbox.WithInterval(time.Millisecond), outbox.WithReadBatchSize(1000), outbox.WithDeleteBatchSize(1000))
	o.reader.Start()
	return nil
}

// Left counts the rows.
func (o *Outbox) Left(ctx context.Context) (int, error) {
	return count(ctx, o.DB, "SELECT count(*) FROM outbox")
}

// Stop stops the reader.
func (o *Outbox) Stop(ctx context.Context) error { return o.reader.Stop(ctx) }

// Forwarder is watermill's forwarder over its SQL subscriber, with the default adapters.
type Forwarder struct {
	DB        *pgxpool.Pool
	Valkey    valkey.Client
	forwarder *forwarder.Forwarder
	ended     chan error
}

const forwarderTopic = "forwarded"

// Insert publishes n messages through the forwarder's own publisher, so that they are enveloped as it wants them.
func (f *Forwarder) Insert(ctx context.Context, n int, payload []byte) error {
	if _, err := f.DB.Exec(ctx, `DROP TABLE IF EXISTS watermill_forwarded, watermill_offsets_forwarded`); err != nil {
		return err
	}
	inner, err := sql.NewPublisher(sql.BeginnerFromPgx(f.DB), sql.PublisherConfig{SchemaAdapter: sql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true}, nil)
	if err != nil {
		return err
	}
	publisher := forwarder.NewPublisher(inner, forwarder.PublisherConfig{ForwarderTopic: forwarderTopic})
	const step = 1000
	for from := 0; from < n; from += step {
		var messages []*message.Message
		for i := from; i < min(from+step, n); i++ {
			text, err := json.Marshal(changeOf(i, payload))
			if err != nil {
				return err
			}
			messages = append(messages, message.NewMessage(watermill.NewUUID(), text))
		}
		if err := publisher.Publish("valkey", messages...); err != nil {
			return err
		}
	}
	return nil
}

// Publish sets the keys.
func (f *Forwarder) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		if err := setText(m.Context(), f.Valkey, m.Payload); err != nil {
			return err
		}
	}
	return nil
}

// Close does nothing: the client is not the forwarder's.
func (f *Forwarder) Close() error { return nil }

// Start runs the forwarder.
func (f *Forwarder) Start(ctx context.Context) error {
	subscriber, err := sql.NewSubscriber(sql.BeginnerFromPgx(f.DB), sql.SubscriberConfig{SchemaAdapter: sql.DefaultPostgreSQLSchema{},
		OffsetsAdapter: sql.DefaultPostgreSQLOffsetsAdapter{}, InitializeSchema: true}, nil)
	if err != nil {
		return err
	}
	f.forwarder, err = forwarder.NewForwarder(subscriber, f, watermill.NopLogger{}, forwarder.Config{ForwarderTopic: forwarderTopic})
	if err != nil {
		return err
	}
	f.ended = make(chan error, 1)
	go func() { f.ended <- f.forwarder.Run(context.WithoutCancel(ctx)) }()
	<-f.forwarder.Running()
	return nil
}

// Left counts the messages behind the offset.
func (f *Forwarder) Left(ctx context.Context) (int, error) {
	return count(ctx, f.DB, `SELECT count(*) FROM watermill_forwarded m LEFT JOIN watermill_offsets_forwarded o ON true WHERE m."offset" > coalesce(o.offset_acked, 0)`)
}

// Stop ends the forwarder.
func (f *Forwarder) Stop(context.Context) error {
	if err := f.forwarder.Close(); err != nil {
		return err
	}
	return <-f.ended
}

// River is River as a queue of cache jobs, with the number of workers of its own benchmark and short pauses between fetches.
type River struct {
	river.WorkerDefaults[change]
	DB     *pgxpool.Pool
	Valkey valkey.Client
	client *river.Client[pgx.Tx]
}

// Insert leaves n jobs.
func (r *River) Insert(ctx context.Context, n int, payload []byte) error {
	driver := riverpgxv5.New(r.DB)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	if _, err := r.DB.Exec(ctx, "TRUNCATE river_job"); err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, r)
	r.client, err = river.NewClient(driver, &river.Config{Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2000}},
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond, Workers: workers, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	const step = 5000
	for from := 0; from < n; from += step {
		var jobs []river.InsertManyParams
		for i := from; i < min(from+step, n); i++ {
			jobs = append(jobs, river.InsertManyParams{Args: changeOf(i, payload)})
		}
		if _, err := r.client.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}

// Work sets the key.
func (r *River) Work(ctx context.Context, job *river.Job[change]) error {
	return job.Args.set(ctx, r.Valkey)
}

// Start starts the client.
func (r *River) Start(ctx context.Context) error { return r.client.Start(context.WithoutCancel(ctx)) }

// Left counts the jobs that are not completed.
func (r *River) Left(ctx context.Context) (int, error) {
	return count(ctx, r.DB, "SELECT count(*) FROM river_job WHERE state <> 'completed'")
}

// Stop stops the client.
func (r *River) Stop(ctx context.Context) error { return r.client.Stop(ctx) }

func count(ctx context.Context, db *pgxpool.Pool, sql string) (n int, err error) {
	if err := db.QueryRow(ctx, sql).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting what is left: %w", err)
	}
	return n, nil
}
