package chaos

import (
	"context"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stream is what relays call their stream.
const stream = "TIDELOCK"

// deleteStream deletes the stream, with the messages in it, if there is one at the moment.
func deleteStream(ctx context.Context, s *Stage) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	conn, err := nats.Connect(s.nats.URL(), nats.NoReconnect(), nats.Timeout(handTimeout))
	if err != nil {
		return nil // it is down
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if js.DeleteStream(ctx, stream) == nil {
		s.count()
	}
	return nil
}
