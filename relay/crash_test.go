package relay_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/tidelock-cache/tidelock/internal/rig"
	"github.com/tidelock-cache/tidelock/internal/stacktest"
	"github.com/tidelock-cache/tidelock/relay"
)

// victimVariable makes TestVictim what it is for: a relay in a process of its own, which stops at a statement and is killed there.
const victimVariable = "TIDELOCK_TEST_VICTIM"

// victim says what that relay works on and where it stops.
type victim struct{ Postgres, Valkey, NATS, Stream, StopsBefore string }

func TestVictim(t *testing.T) {
	order := os.Getenv(victimVariable)
	if order == "" {
		return
	}
	var v victim
	if err := json.Unmarshal([]byte(order), &v); err != nil {
		t.Fatal(err)
	}
	db, gate := rig.Gated(t, rig.Pool(t, v.Postgres), rig.Before, v.StopsBefore)
	rig.Relay(t, relay.Config{DB: db, Cache: rig.Cache(t, v.Valkey), NATS: rig.NATS(t, v.NATS), Stream: v.Stream, Lease: recordLease})
	<-gate.Reached()
	fmt.Println("reached")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone, if it does not kill us before
}

// kill runs a relay in a process of its own and kills it when it is about to send a statement that contains text.
func (s *site) kill(text string) {
	s.t.Helper()
	order, err := json.Marshal(victim{s.db.Config().ConnString(), s.url, s.nats.ConnectedUrl(), s.stream, text})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v")
	cmd.Env = append(os.Environ(), victimVariable+"="+string(order))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	reached := false
	for lines := bufio.NewScanner(stdout); !reached && lines.Scan(); {
		reached = lines.Text() == "reached"
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !reached {
		s.t.Fatal("the relay ended by itself")
	}
}

// TestRelayKilled kills a relay before it reads a chunk, and between the apply and the retiring. Another one settles
// what it held, and no entry is written over by it.
func TestRelayKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text    string
		applied bool
	}{"before the read": {readSQL, false}, "between apply and retire": {retireSQL, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.recordMany(20)
			s.kill(c.text)
			if n := len(s.pending()); n != 20 {
				t.Errorf("%d of 20 records are left", n)
			}
			newer := s.key(0)
			if c.applied {
				s.holdsMany(20)
				s.put(s.writer(s.cache), newer, "newer than what the relay held")
			}
			s.run(shortLease)
			s.drained()
			if c.applied {
				s.holds(newer, "newer than what the relay held")
				s.put(s.writer(s.cache), newer, "payload 0") // as the others are
			}
			s.holdsMany(20)
		})
	}
}

// TestTwoRelays has one relay hold chunks while the other works on; between them nothing is lost.
func TestTwoRelays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.recordMany(300)
	small := func(cfg *relay.Config) { cfg.ChunkRecords, cfg.Batch = 5, 50 }
	db, gate := rig.Gated(t, s.db, rig.Before, readSQL)
	slow, _ := s.run(small, func(cfg *relay.Config) { cfg.DB = db })
	await(t, gate.Reached(), "the first relay has a chunk")
	fast, _ := s.run(small)
	stacktest.Eventually(t, patience, func() bool { return fast.Stats().Settled > 0 }, "the second relay settles its share")
	gate.Open()
	s.drained()
	stacktest.Eventually(t, patience, func() bool { return slow.Stats().Settled > 0 }, "the first relay settles its share")
	s.holdsMany(300)
}
