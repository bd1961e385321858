package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidelock-cache/tidelock/chaos/drive"
	"github.com/tidelock-cache/tidelock/internal/stack"
	"github.com/tidelock-cache/tidelock/outbox"
)

// elected is the line of a relay's log that says that it has taken the office.
var elected = regexp.MustCompile(`"msg":"guardian_elected".*"term":(\d+)`)

// term is the last in which a relay was elected, by its log; 0 for none.
func (n *node) term() (last int64) {
	log, _ := os.ReadFile(n.log) // without one it was not
	for _, line := range elected.FindAllSubmatch(log, -1) {
		term, _ := strconv.ParseInt(string(line[1]), 10, 64) // digits
		last = max(last, term)
	}
	return last
}

// theGuardian is the relay that holds the office, or was the last to.
func theGuardian(s *Stage) []*node {
	return []*node{slices.MaxFunc(relays(s), func(a, b *node) int { return int(a.term() - b.term()) })}
}

// fixed does faults to those who are of a group when it begins.
func fixed(who group, faults func(who group) Fault) Fault {
	return func(ctx context.Context, s *Stage) error {
		nodes := who(s)
		return faults(func(*Stage) []*node { return nodes })(ctx, s)
	}
}

// cutWhile cuts a group off from servers until the steps are done.
func cutWhile(who group, from []link, faults ...Fault) Fault {
	return spoilWhile(who, from, "cut off from", (*stack.Proxy).Blackhole, faults...)
}

// spoilWhile does something to a group's connections, and heals them when the steps are done.
func spoilWhile(who group, to []link, what string, spoil func(*stack.Proxy) error, faults ...Fault) Fault {
	do := steps(faults...)
	return func(ctx context.Context, s *Stage) error {
		nodes := who(s)
		name := fmt.Sprintf("%s %s %v", names(nodes), what, to)
		var on []*stack.Proxy
		for _, l := range to {
			on = append(on, proxies(nodes, l)...)
		}
		s.begin(name)
		defer s.end(name)
		for _, p := range on {
			if err := spoil(p); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := do(ctx, s); err != nil {
			return err
		}
		for _, p := range on {
			if err := p.Heal(); err != nil {
				return fmt.Errorf("healing the network: %w", err)
			}
		}
		return nil
	}
}

// pauseFor stops a group where it stands for so long.
func pauseFor(who group, d time.Duration) Fault {
	return fixed(who, func(who group) Fault { return steps(stopAll(who), linger(d, d+100*ms), contAll(who)) })
}

// refuseWhile has a server refuse a group's connections until the steps are done, so that nobody waits for an answer.
func refuseWhile(who group, from link, faults ...Fault) Fault {
	return spoilWhile(who, []link{from}, "is refused by", (*stack.Proxy).Cut, faults...)
}

// holdWhile keeps everything on its way between a group and a server, until the steps are done.
func holdWhile(who group, of link, faults ...Fault) Fault {
	return spoilWhile(who, []link{of}, "hears late of", func(p *stack.Proxy) error { return p.Slow(time.Hour) }, faults...)
}

// holdAnswersWhile lets what a group asks of a server arrive there after a while, and then keeps everything on its way until the steps are done.
func holdAnswersWhile(who group, of link, arrive time.Duration, faults ...Fault) Fault {
	return steps(
		spoilWhile(who, []link{of}, "hears late of", func(p *stack.Proxy) error { return p.Slow(arrive) }, linger(arrive+arrive/2, arrive+arrive/2),
			holdWhile(who, of, faults...)))
}

// startAnew kills a group and waits until each of them works again.
func startAnew(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		before := map[*node]int{}
		for _, n := range who(s) {
			before[n] = n.logged(driverStarted)
			if err := n.kill(usualAway); err != nil {
				return err
			}
		}
		return await(ctx, func() bool {
			for n, times := range before {
				if n.logged(driverStarted) == times {
					return false
				}
			}
			return true
		})
	}
}

// strictTime bounds the waiting until a prefix is strict, or no more.
const strictTime = 8 * time.Second

// retractStrict takes the declaration of the strict rows back, and waits until everybody has forgotten it.
var retractStrict = onPostgres(func(ctx context.Context, conn *pgx.Conn) error {
	if _, err := outbox.RetractStrict(ctx, conn, drive.StrictPrefix); err != nil {
		return err
	}
	return awaitStrict(ctx, conn, func(p []outbox.StrictPrefix) bool { return len(p) == 0 })
})

// declareAgain declares it anew, and waits until it is in force.
var declareAgain = onPostgres(func(ctx context.Context, conn *pgx.Conn) error {
	if err := outbox.DeclareStrict(ctx, conn, drive.StrictPrefix); err != nil {
		return err
	}
	return awaitStrict(ctx, conn, func(p []outbox.StrictPrefix) bool { return len(p) == 1 && p[0].Since != nil })
})

func awaitStrict(ctx context.Context, conn *pgx.Conn, so func([]outbox.StrictPrefix) bool) error {
	for end := time.Now().Add(strictTime); time.Now().Before(end); {
		prefixes, err := outbox.StrictPrefixes(ctx, conn)
		if err != nil || so(prefixes) {
			return err
		}
		if err := sleep(ctx, 20*ms); err != nil {
			return err
		}
	}
	return errors.New("the strict prefixes stay as they are")
}
