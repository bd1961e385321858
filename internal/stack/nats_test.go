package stack_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestNATSKilledAndStarted(t *testing.T) {
	t.Parallel()
	n := stacktest.OwnNATS(t)
	url := n.URL()
	js := jetStream(t, url)
	_, err := js.AddStream(&nats.StreamConfig{Name: "s", Subjects: []string{"s"}})
	must(t, err)
	for range 10 {
		_, err := js.Publish("s", []byte("m"))
		must(t, err)
	}
	must(t, n.Kill())
	must(t, n.Start(t.Context()))
	if n.URL() != url {
		t.Errorf("%s became %s", url, n.URL())
	}
	info, err := jetStream(t, url).StreamInfo("s")
	must(t, err)
	if info.State.Msgs != 10 {
		t.Errorf("%d of 10 messages survived SIGKILL", info.State.Msgs)
	}

	must(t, n.Stop(t.Context()))
	must(t, n.Wipe())
	must(t, n.Start(t.Context()))
	if _, err := jetStream(t, url).StreamInfo("s"); !errors.Is(err, nats.ErrStreamNotFound) {
		t.Errorf("the stream after Wipe: %v", err)
	}
}

func TestNATSPausedAndResumed(t *testing.T) {
	t.Parallel()
	n := stacktest.OwnNATS(t)
	nc, err := nats.Connect(n.URL())
	must(t, err)
	defer nc.Close()
	must(t, n.Pause())
	if err := nc.FlushTimeout(200 * time.Millisecond); err == nil {
		t.Error("a paused NATS answered")
	}
	must(t, n.Resume())
	must(t, nc.FlushTimeout(patience))
}

func TestNATSSyncAlways(t *testing.T) {
	t.Parallel()
	n, err := stack.StartNATS(t.Context(), stack.NATSConfig{SyncAlways: true})
	must(t, err)
	defer n.Close()
	_, err = jetStream(t, n.URL()).AddStream(&nats.StreamConfig{Name: "s", Subjects: []string{"s"}})
	must(t, err)
}
