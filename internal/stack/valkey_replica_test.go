package stack_test

import (
	"errors"
	"testing"

	"github.com/valkey-io/valkey-go"

	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
)

func TestValkeyReplica(t *testing.T) {
	t.Parallel()
	primary, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{Password: "p@ss w:rd"})
	must(t, err)
	defer primary.Close()
	replica := stacktest.OwnValkey(t)
	p, r := valkeyClient(t, primary.ClientOption()), valkeyClient(t, replica.ClientOption())
	must(t, set(t.Context(), p, "k", "v"))
	must(t, set(t.Context(), r, "own", "v"))
	must(t, replica.ReplicaOf(t.Context(), primary))
	holdValue(t, r, "k", "v")
	holdValue(t, r, "own", "")
	if err := set(t.Context(), r, "k", "w"); err == nil {
		t.Error("the replica takes writes")
	}
	holdRole(t, primary, "master")
	holdRole(t, replica, "slave")

	must(t, replica.Promote(t.Context()))
	must(t, set(t.Context(), p, "k", "old primary"))
	must(t, set(t.Context(), r, "k", "new primary"))
	holdRole(t, primary, "master")
	holdRole(t, replica, "master")
	must(t, primary.ReplicaOf(t.Context(), replica))
	holdValue(t, p, "k", "new primary")
}

// TestValkeyReplicaLags loses a primary with writes that its replica has not heard of.
func TestValkeyReplicaLags(t *testing.T) {
	t.Parallel()
	primary, replica := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	between, err := stack.NewProxy(primary.Addr())
	must(t, err)
	defer between.Close()
	must(t, replica.ReplicaThrough(t.Context(), primary, between))
	p, r := valkeyClient(t, primary.ClientOption()), valkeyClient(t, replica.ClientOption())
	must(t, set(t.Context(), p, "k", "before"))
	stacktest.Eventually(t, patience, func() bool {
		got, err := get(t.Context(), r, "k")
		return got == "before" && err == nil
	}, "the replica follows")
	must(t, between.Blackhole())
	must(t, set(t.Context(), p, "k", "after"))
	must(t, primary.Kill())
	must(t, replica.Promote(t.Context()))
	holdValue(t, r, "k", "before")
	must(t, set(t.Context(), r, "k", "anew"))
}

func holdValue(t *testing.T, c valkey.Client, key, want string) {
	t.Helper()
	if got, err := get(within(t, patience), c, key); got != want || err != nil {
		t.Errorf("%s is %q, %v; want %q", key, got, err, want)
	}
}

func holdRole(t *testing.T, v *stack.Valkey, want string) {
	t.Helper()
	info, err := v.Info(t.Context(), "replication")
	must(t, err)
	if info["role"] != want {
		t.Errorf("%s is a %s, not a %s", v.Addr(), info["role"], want)
	}
}

func TestValkeyReplicaOfNobody(t *testing.T) {
	t.Parallel()
	v, gone := stacktest.OwnValkey(t), stacktest.OwnValkey(t)
	must(t, gone.Kill())
	if err := v.ReplicaOf(within(t, moment), gone); err == nil {
		t.Error("a replica of a server that does not run is in sync")
	}
	secret, err := stack.StartValkey(t.Context(), stack.ValkeyConfig{TLS: true})
	must(t, err)
	defer secret.Close()
	if err := v.ReplicaOf(t.Context(), secret); !errors.Is(err, stack.ErrTLSReplication) {
		t.Errorf("of a server that speaks TLS: %v", err)
	}
	info, err := secret.Info(t.Context(), "")
	must(t, err)
	if info["run_id"] == "" {
		t.Errorf("no run_id in %v", info)
	}
}
