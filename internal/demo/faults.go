package demo

import (
	"context"
	"fmt"
	"time"
)

// fault is one thing that is done to the stack while the traffic runs.
type fault struct {
	at   float64 // share of the timetable
	text string
	do   func(ctx context.Context) error
}

// faults is the story of the demo. Each component is away at a moment when there is work for it: the relay and NATS while
// records wait that only they can bring to the cache.
func (s *scene) faults() []fault {
	return []fault{
		{0.20, "valkey killed (SIGKILL)", func(context.Context) error { return s.stack.Valkey.Kill() }},
		{0.32, "valkey is back, empty", s.stack.Valkey.Start},
		{0.42, "relay killed (SIGKILL)", func(context.Context) error { return s.killRelay() }},
		{0.45, "valkey paused (SIGSTOP)", func(context.Context) error { return s.stack.Valkey.Pause() }},
		{0.52, "valkey resumed", func(context.Context) error { return s.stack.Valkey.Resume() }},
		{0.58, "relay restarted", func(context.Context) error { return s.startRelay() }},
		{0.66, "nats killed (SIGKILL)", func(context.Context) error { return s.stack.NATS.Kill() }},
		{0.70, "valkey paused (SIGSTOP)", func(context.Context) error { return s.stack.Valkey.Pause() }},
		{0.76, "valkey resumed", func(context.Context) error { return s.stack.Valkey.Resume() }},
		{0.84, "nats restarted", s.stack.NATS.Start},
	}
}

// wreck plays the faults as the traffic gets to them. It ends early with ctx, or with the first that could not be done.
func (s *scene) wreck(ctx context.Context, progress func() float64) error {
	for _, f := range s.faults() {
		for progress() < f.at {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		s.view.say(f.text)
		if err := f.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.text, err)
		}
	}
	return nil
}
