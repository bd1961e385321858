package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/cache"
	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// trust grants leases while the guardian holds its office, and takes the steps that lease.Guardian asks for.
type trust struct {
	*Relay
	subscription *nats.Subscription
	subject      string
	told         lease.Phase // what was last written down and logged

	mu      sync.Mutex // guards what follows; leases are asked for at any time
	machine *lease.Guardian
	proof   lease.Proof
	term    int64
	history string
}

// kept takes note that the office was kept by a statement that was sent at a time. A new term, or another history of the database, begins with no
// trust.
func (t *trust) kept(sent time.Duration, o outbox.Office) {
	t.listen(o.Database)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil || t.term != o.Term || t.history != o.History {
		t.machine, t.proof, t.term, t.history = lease.NewGuardian(lease.Now(), t.cfg.guardLease()), lease.Proof{}, o.Term, o.History
		t.told = ""
	}
	t.machine.Kept(sent, t.cfg.guardLease())
	t.proof.Drew(sent, o.Drawn)
}

// lost takes note that the office is another's. Where that is not known what was kept ends by itself.
func (t *trust) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.machine = nil
}

// waits takes note of a snapshot of what waits.
func (t *trust) waits(mark outbox.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
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
	}
}

// step brings the trust forward, after a beat that found these servers, all of them on record with nothing in doubt; nil when that cannot be said.
func (t *trust) step(ctx context.Context, o outbox.Office, well []cache.Server) error {
	action, phase, reason := t.next(well)
	switch action {
	case lease.WriteSuspended:
		phase = lease.Suspended
	case lease.WriteResuming:
		phase = lease.Resuming
	case lease.Nothing, lease.Drain:
		if phase == t.told {
			return nil
		}
	}
	bounded, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	stands, err := outbox.WriteTrust(bounded, t.cfg.DB, o, string(phase), reason)
	if err != nil || !stands {
		return err
	}
	t.written(action)
	if phase != t.told {
		t.log.Info("cache_"+string(phase), zap.String("reason", reason))
	}
	t.told = phase
	return nil
}

// next asks the machine what is to be done.
func (t *trust) next(well []cache.Server) (action lease.Action, phase lease.Phase, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil {
		return lease.Nothing, t.told, ""
	}
	now := lease.Now()
	if well != nil {
		t.machine.Well(now)
	}
	action = t.machine.Next(now)
	if action == lease.Drain {
		t.drained(now, well)
	}
	phase, _, reason = t.machine.State()
	return action, phase, reason
}

// drained ends the draining once all that was committed before it began is settled.
func (t *trust) drained(now time.Duration, well []cache.Server) {
	_, began, _ := t.machine.State()
	settled, known := t.proof.Settled()
	if !known || settled < began || well == nil {
		return
	}
	runs := make([]string, len(well))
	for i, s := range well {
		runs[i] = s.RunID
	}
	t.machine.Drained(now, runs)
}

func (t *trust) written(action lease.Action) {
	if action != lease.WriteSuspended && action != lease.WriteResuming {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine != nil {
		t.machine.Written(lease.Now())
	}
}

// listen answers those who ask for leases of this database.
func (t *trust) listen(database string) {
	subject := outbox.LeaseSubject + database
	if t.subject == subject {
		return
	}
	t.close()
	subscription, err := t.cfg.NATS.Subscribe(subject, t.answer)
	if err != nil {
		t.log.Warn("listening_for_leases_failed", zap.Error(fmt.Errorf("subscribing to %s: %w", subject, err)))
		return // the next beat tries again
	}
	t.subscription, t.subject = subscription, subject
}

func (t *trust) close() {
	if t.subscription != nil {
		_ = t.subscription.Unsubscribe() // fails when NATS is closed, which ends it too
		t.subscription, t.subject = nil, ""
	}
}

// answer grants a lease, or says nothing.
func (t *trust) answer(question *nats.Msg) {
	reply, ok := t.ask()
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

func (t *trust) ask() (lease.Reply, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil {
		return lease.Reply{}, false
	}
	settled, _ := t.proof.Settled()
	return t.machine.Ask(lease.Now(), settled)
}
