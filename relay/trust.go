package relay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// trust is what the guardian lets others believe, while it holds its office: it takes the steps that lease.Guardian asks for. It does so beside the
// guardian's beats, for those wait for servers that do not answer, and whoever needs to know that the cache is suspended should not.
type trust struct {
	*Relay
	subscriptions []*nats.Subscription
	database      string // whose subjects they are of
	wake          chan struct{}
	calls         sync.WaitGroup
	places        chan struct{} // bounds the calls
	strict        strictness    // of follow alone

	mu      sync.Mutex // guards what follows; leases are asked for at any time
	machine *lease.Guardian
	proof   lease.Proof
	office  outbox.Office
	well    []string      // the run ids that the last beat found, all of them on record with nothing in doubt; nil when that cannot be said
	told    lease.Phase   // what was last written down and logged
	number  int64         // of the last statement about the trust
	named   []string      // the strict prefixes that leases name
	known   bool          // what those are, in this term: before that nothing is granted
	turned  chan struct{} // closed when the phase may be another
}

func newTrust(r *Relay) *trust {
	return &trust{Relay: r, wake: make(chan struct{}, 1), places: make(chan struct{}, callsMost), turned: make(chan struct{})}
}

// run steps until ctx ends: now and then, when the machine has something to do, and when somebody says so.
func (t *trust) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-timer.C:
		}
		if err := t.step(ctx); err != nil && ctx.Err() == nil {
			t.log.Debug("writing_trust_failed", zap.Error(err))
		}
		timer.Reset(t.due())
	}
}

// kept takes note that the office was kept by a statement that was sent at a time. A new term, or another history of the database, begins with no
// trust.
func (t *trust) kept(sent time.Duration, o outbox.Office) {
	t.listen(o.Database)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil || t.office.Term != o.Term || t.office.History != o.History {
		t.machine, t.proof, t.told, t.named, t.well = lease.NewGuardian(lease.Now(), max(o.Former, t.cfg.guardLease())), lease.Proof{}, "", nil, nil
		t.known = false
		t.office.Calls = o.Calls
	}
	t.machine.Kept(sent, t.cfg.guardLease())
	t.proof.Drew(sent, o.Drawn)
	if t.office.Calls != o.Calls {
		t.machine.Distrust(lease.Now(), "somebody who cannot reach the guardian could not settle a version")
	}
	t.office, t.number = o, max(t.number, o.TrustNo)
	t.turnLocked()
}

// lost takes note that the office is another's. Where that is not known what was kept ends by itself.
func (t *trust) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.machine = nil
	t.turnLocked()
}

// turnLocked wakes all who wait for another phase.
func (t *trust) turnLocked() {
	close(t.turned)
	t.turned = make(chan struct{})
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// waits takes note of a snapshot of what waits, and of the servers on record in it. What has ceased to wait is settled on those: if they are others than the
// last beat has found, nothing can be said of the latter.
func (t *trust) waits(mark outbox.Mark, onRecord []outbox.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range onRecord {
		if s.Doubt() || !slices.Contains(t.well, s.RunID) {
			t.well = nil
		}
	}
	if mark.Lowest == nil {
		t.proof.Waits(0, false)
		return
	}
	t.proof.Waits(*mark.Lowest, true)
}

// distrust ends the trust.
func (t *trust) distrust(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine != nil {
		t.machine.Distrust(lease.Now(), reason)
		t.turnLocked()
	}
}

// found takes note of the servers that a beat has found: all of them on record with nothing in doubt, or nil.
func (t *trust) found(servers []cache.Server) {
	var well []string
	for _, s := range servers {
		well = append(well, s.RunID)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	changed := !slices.Equal(well, t.well)
	if t.well = well; changed {
		t.turnLocked()
	}
}

// step brings the trust forward.
func (t *trust) step(ctx context.Context) error {
	machine, action, phase, reason, office := t.next()
	switch action {
	case lease.WriteSuspended:
		phase = lease.Suspended
	case lease.WriteResuming:
		phase = lease.Resuming
	case lease.Nothing, lease.Drain:
		if machine == nil || !t.news(phase) {
			return nil
		}
	}
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	stands, err := outbox.WriteTrust(bounded, t.cfg.DB, office, t.numbered(), string(phase), reason)
	if err != nil || !stands {
		return err
	}
	t.written(machine, action, phase, reason)
	return nil
}

// numbered returns the number of the next statement.
func (t *trust) numbered() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	return t.number
}

func (t *trust) news(phase lease.Phase) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return phase != t.told
}

// next asks the machine what is to be done.
func (t *trust) next() (machine *lease.Guardian, action lease.Action, phase lease.Phase, reason string, office outbox.Office) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil {
		return nil, lease.Nothing, "", "", outbox.Office{}
	}
	now := lease.Now()
	switch {
	case !t.cfg.NATS.IsConnected():
		t.machine.Distrust(now, "the guardian has no connection to NATS")
	case t.well != nil:
		t.machine.Well(now, t.well)
	}
	before, _, _ := t.machine.State()
	action = t.machine.Next(now)
	if action == lease.Drain {
		t.drainedLocked(now)
	}
	phase, _, reason = t.machine.State()
	if phase != before {
		t.turnLocked()
	}
	return t.machine, action, phase, reason, t.office
}

// drainedLocked ends the draining once all that was committed before it began is settled.
func (t *trust) drainedLocked(now time.Duration) {
	_, began, _ := t.machine.State()
	if settled, known := t.proof.Settled(); known && settled >= began && t.well != nil {
		t.machine.Drained(now, t.well)
	}
}

// written takes note that what a machine asked for stands in Postgres.
func (t *trust) written(machine *lease.Guardian, action lease.Action, phase lease.Phase, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine != machine {
		return
	}
	t.machine.Written(lease.Now(), action)
	t.turnLocked()
	if phase != t.told {
		t.log.Info("cache_"+string(phase), zap.String("reason", reason))
	}
	t.told = phase
}

// due is how long it takes at most until there may be something to do.
func (t *trust) due() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil {
		return t.cfg.watch()
	}
	return min(t.cfg.watch(), t.machine.Due(lease.Now())+time.Millisecond)
}

// close ends the granting.
func (t *trust) close() {
	t.lost()
	t.deafen()
	t.calls.Wait()
}
