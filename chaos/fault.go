package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// Fault does something to the stage, and undoes it or leaves that to the end of the faults. Its error says that it could
// not be done: a fault of the suite, not of what it attacks.
type Fault func(ctx context.Context, s *Stage) error

// steps does one after the other. It does all of them, also when the time of the faults is over: rests are short then.
func steps(faults ...Fault) Fault {
	return func(ctx context.Context, s *Stage) error {
		for _, f := range faults {
			if err := f(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// repeat does the steps over and over until the time of the faults is over, at least once.
func repeat(faults ...Fault) Fault {
	once := steps(faults...)
	return func(ctx context.Context, s *Stage) error {
		for {
			if err := once(ctx, s); err != nil || s.over() {
				return err
			}
		}
	}
}

// together does all at once.
func together(faults ...Fault) Fault {
	return func(ctx context.Context, s *Stage) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, f := range faults {
			branch := s.branch()
			g.Go(func() error { return f(ctx, branch) })
		}
		return g.Wait()
	}
}

// lasting does the steps over and over for so long.
func lasting(d time.Duration, faults ...Fault) Fault {
	once := steps(faults...)
	return func(ctx context.Context, s *Stage) error {
		for end := time.Now().Add(d); time.Now().Before(end); {
			if err := once(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// unarmed does the steps while no process dies or pauses at its points.
func unarmed(faults ...Fault) Fault {
	once := steps(faults...)
	return func(ctx context.Context, s *Stage) error {
		if err := s.arm(false); err != nil {
			return err
		}
		return errors.Join(once(ctx, s), s.arm(true))
	}
}

// oneOf does one of the faults, whichever the seed picks.
func oneOf(faults ...Fault) Fault {
	return func(ctx context.Context, s *Stage) error {
		return pick(s.rand, faults)(ctx, s)
	}
}

// rest lets some time pass, at random between the two, but no more than the faults have left.
func rest(least, most time.Duration) Fault {
	return func(ctx context.Context, s *Stage) error {
		return s.sleep(ctx, between(s.rand, least, most))
	}
}

// linger lets some time pass, whether the time of the faults is over or not: for faults that are nothing without their order.
func linger(least, most time.Duration) Fault {
	return func(ctx context.Context, s *Stage) error {
		return sleep(ctx, between(s.rand, least, most))
	}
}

// untilOver lets the rest of the time pass.
func untilOver(ctx context.Context, s *Stage) error {
	return s.sleep(ctx, time.Until(s.until))
}

// span does the steps and marks in the history when they began and ended.
func span(name string, faults ...Fault) Fault {
	do := steps(faults...)
	return func(ctx context.Context, s *Stage) error {
		s.begin(name)
		err := do(ctx, s)
		s.end(name)
		return err
	}
}

// dataLost marks that from here on entries may have gone back in version. It lasts until the auditor has seen the repair.
func dataLost(name string) Fault {
	return func(_ context.Context, s *Stage) error {
		s.lose(setback{name: name, mends: true})
		return nil
	}
}

// dataAstray marks the same, where somebody still reads what is not repaired, or lacks it for a moment: it lasts until the faults are over.
func dataAstray(name string) Fault {
	return func(_ context.Context, s *Stage) error {
		s.lose(setback{name: name})
		return nil
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(r.Int64N(int64(most-least)))
}
