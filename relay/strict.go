package relay

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/tidelock-cache/tidelock/lease"
	"github.com/tidelock-cache/tidelock/outbox"
)

// follow takes the next steps now and then, until ctx ends. It does so beside the trust: somebody may have locked a prefix.
func (t *trust) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := t.strictly(ctx); err != nil && ctx.Err() == nil {
			t.log.Debug("strict_prefixes_failed", zap.Error(err))
		}
		sleep(ctx, strictEvery)
	}
}

// strictEvery is the pause between two looks at the strict prefixes.
const strictEvery = 250 * time.Millisecond

// strictness brings strict prefixes into force, and out of it. A prefix is named by leases only while every writer sees to it:
//
//	declared ── told to every writer ─▶ announced ── whoever overlooked it has ended ─▶ ended ── what those wrote is settled ─▶ in force
//
//	leaving ── no lease names it ─▶ forgotten by writers
//
// All of that stands in Postgres, and each step is true whichever guardian takes it, so the next one goes on.
type strictness struct {
	term    int64                   // the times are of this one
	ended   map[int64]time.Duration // when it was seen that all who may have overlooked the prefix had ended
	unnamed map[int64]time.Duration // when a prefix that is leaving was seen first; no lease has named it since then
}

// strictly takes the next steps.
func (t *trust) strictly(ctx context.Context) error {
	t.mu.Lock()
	term, held := t.office.Term, t.machine != nil
	t.mu.Unlock()
	if !held {
		return nil
	}
	if term != t.strict.term {
		t.strict = strictness{term: term, ended: make(map[int64]time.Duration), unnamed: make(map[int64]time.Duration)}
	}
	ctx, cancel := bounded(ctx, guardTimeout)
	defer cancel()
	prefixes, err := outbox.StrictPrefixes(ctx, t.cfg.DB)
	if err != nil {
		return err
	}
	steps := t.sort(prefixes)
	for _, step := range []struct {
		name string
		what []outbox.StrictPrefix
		take func(context.Context, outbox.DB, []int64) error
	}{
		{"strict_announced", steps.announce, outbox.AnnounceStrict},
		{"strict_in_force", steps.enforce, outbox.EnforceStrict},
		{"strict_forgotten", steps.forget, outbox.ForgetStrict},
	} {
		if len(step.what) == 0 {
			continue
		}
		var ids []int64
		var prefixes []string
		for _, p := range step.what {
			ids, prefixes = append(ids, p.ID), append(prefixes, p.Prefix)
		}
		if err := step.take(ctx, t.cfg.DB, ids); err != nil {
			return err
		}
		t.log.Info(step.name, zap.Strings("prefixes", prefixes))
	}
	return nil
}

// strictSteps are the declarations that each step is to be taken for.
type strictSteps struct{ announce, enforce, forget []outbox.StrictPrefix }

// sort says which steps are to be taken, and has leases name those in force.
func (t *trust) sort(prefixes []outbox.StrictPrefix) (steps strictSteps) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.machine == nil || t.office.Term != t.strict.term {
		return steps
	}
	now := lease.Now()
	phase, _, _ := t.machine.State()
	settled, known := t.proof.Settled()
	t.named, t.known = nil, true
	for _, p := range prefixes {
		switch {
		case p.Leaving:
			if now-since(t.strict.unnamed, p.ID, now) > 2*lease.Length && phase != lease.Suspending { // a guardian before may have named it
				steps.forget = append(steps.forget, p)
			}
		case p.Since != nil:
			t.named = append(t.named, p.Prefix)
		case !p.Announced:
			steps.announce = append(steps.announce, p)
		case p.Ended && known && settled >= since(t.strict.ended, p.ID, now):
			steps.enforce = append(steps.enforce, p)
		}
	}
	return steps
}

// since returns when something was seen of a declaration first, which is now if it has not been.
func since(seen map[int64]time.Duration, what int64, now time.Duration) time.Duration {
	if _, known := seen[what]; !known {
		seen[what] = now
	}
	return seen[what]
}
