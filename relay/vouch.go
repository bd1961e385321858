package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

const (
	// callsMost bounds the calls that are answered at once. Whoever gets no answer calls again.
	callsMost = 256
	// settleTry is how long the guardian tries to settle what somebody else could not, before it has everybody distrust the cache.
	settleTry = 100 * time.Millisecond
	// callTime bounds the work on a call: until every lease has run out, those of the guardian before too.
	callTime = 4 * lease.Length
)

// listen answers those who ask for leases of this database, and those who call for help with a version that they cannot settle.
func (t *trust) listen(database string) {
	if t.database == database {
		return
	}
	t.deafen()
	for subject, answer := range map[string]nats.MsgHandler{outbox.LeaseSubject: t.answer, outbox.SettleSubject: t.called} {
		subscription, err := t.cfg.NATS.Subscribe(subject+database, answer)
		if err != nil {
			t.log.Warn("listening_for_leases_failed", zap.Error(fmt.Errorf("subscribing to %s%s: %w", subject, database, err)))
			t.deafen()
			return // the next beat tries again
		}
		t.subscriptions = append(t.subscriptions, subscription)
	}
	t.database = database
}

func (t *trust) deafen() {
	for _, s := range t.subscriptions {
		_ = s.Unsubscribe() // fails when NATS is closed, which ends it too
	}
	t.subscriptions, t.database = nil, ""
}

// answer grants a lease, or says nothing.
func (t *trust) answer(question *nats.Msg) {
	reply, ok := t.grant()
	if !ok {
		return
	}
	text, err := json.Marshal(reply)
	if err == nil {
		err = question.Respond(text)
	}
	if err != nil {
		t.log.Debug("granting_failed", zap.Error(err))
	}
}

func (t *trust) grant() (lease.Reply, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil || !t.known {
		return lease.Reply{}, false
	}
	settled, _ := t.proof.Settled()
	reply, ok := t.machine.Ask(lease.Now(), settled)
	reply.Strict = t.named
	switch {
	case reply.Trusted:
		t.granted.trusted.Add(1)
	case reply.Suspended:
		t.granted.suspended.Add(1)
	}
	return reply, ok
}

// called works on a call beside others.
func (t *trust) called(call *nats.Msg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil { // after close nobody waits for calls any more
		return
	}
	select {
	case t.places <- struct{}{}:
	default:
		return
	}
	t.granted.calls.Add(1)
	t.calls.Go(func() {
		defer func() { <-t.places }()
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		defer cancel()
		if err := t.settle(ctx, call); err != nil {
			t.log.Debug("call_failed", zap.Error(err))
		}
	})
}

// settle answers a call once nobody can be served older values of the versions that it names. If the guardian cannot settle them either it has
// everybody distrust the cache, and waits until they do.
func (t *trust) settle(ctx context.Context, call *nats.Msg) error {
	var versions []lease.Version
	if err := json.Unmarshal(call.Data, &versions); err != nil {
		return fmt.Errorf("reading a call: %w", err) // anybody may publish there
	}
	servers, trouble := t.invalidate(ctx, versions)
	for {
		turned, vouched, phase := t.vouch(servers)
		switch {
		case vouched:
			return call.Respond(nil)
		case phase == "":
			return errors.New("out of office")
		case phase == lease.Trusted || phase == lease.Draining:
			t.distrust(fmt.Sprintf("the guardian could not settle a version: %v", trouble))
			continue
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errElsewhere says that a version was settled, but not on a server that is trusted.
var errElsewhere = errors.New("its connections lead to another server than the one on record")

// invalidate settles versions without their values, and returns the servers that have said so; none when one of them could not be settled.
func (t *trust) invalidate(ctx context.Context, versions []lease.Version) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTry)
	defer cancel()
	changes := make([]cache.Change, len(versions))
	for i, v := range versions {
		changes[i] = cache.Change{Key: v.Key, Version: v.Version, Kind: cache.Placeholder, TTL: time.Second}
	}
	done := make(chan []cache.Reply, 1)
	go func() { done <- t.cfg.Cache.Apply(ctx, changes...) }() // one that waits for another call's connection does so beyond its own deadline
	var replies []cache.Reply
	select {
	case replies = <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var servers []string
	for _, reply := range replies {
		if !reply.Outcome.Done() {
			return nil, reply.Err
		}
		servers = append(servers, reply.Server)
	}
	return servers, errElsewhere
}

// vouch asks the machine whether it can vouch for what is settled on these servers, and in which phase it says so; in none out of office. turned is closed when
// the answer may be another.
func (t *trust) vouch(servers []string) (turned <-chan struct{}, vouched bool, phase lease.Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil {
		return t.turned, false, ""
	}
	phase, _, _ = t.machine.State()
	return t.turned, t.machine.Vouch(lease.Now(), servers), phase
}
