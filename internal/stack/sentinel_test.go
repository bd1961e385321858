package stack_test

import (
	"testing"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

// TestSentinel loses a primary and holds that the sentinel promotes the replica, and still knows that after it was killed.
func TestSentinel(t *testing.T) {
	t.Parallel()
	primary, replica := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	must(t, set(t.Context(), valkeyClient(t, primary.ClientOption()), "k", "v"))
	must(t, replica.ReplicaOf(t.Context(), primary))
	s, err := stack.StartSentinel(t.Context(), stack.SentinelConfig{Primary: primary, Name: "tides"})
	must(t, err)
	defer s.Close()
	must(t, s.AwaitReplicas(t.Context(), 1))
	sendsTo := func(want string) {
		t.Helper()
		stacktest.Eventually(t, patience, func() bool {
			got, err := s.Primary(t.Context())
			return got == want && err == nil
		}, "the sentinel sends clients to", want)
	}
	sendsTo(primary.Addr())
	must(t, primary.Kill())
	sendsTo(replica.Addr())
	holdRole(t, replica, "master")
	holdValue(t, valkeyClient(t, replica.ClientOption()), "k", "v")
	must(t, s.Kill())
	must(t, s.Start(t.Context()))
	must(t, s.Pause())
	if _, err := s.Primary(within(t, moment)); err == nil {
		t.Error("a paused sentinel answered")
	}
	must(t, s.Resume())
	sendsTo(replica.Addr())
}

func TestSentinelConfig(t *testing.T) {
	t.Parallel()
	v := stacktest.Valkey(t)
	for _, cfg := range []stack.SentinelConfig{{Name: "tides"}, {Primary: v}} {
		if s, err := stack.StartSentinel(t.Context(), cfg); err == nil {
			must(t, s.Close())
			t.Errorf("%+v is enough", cfg)
		}
	}
}
