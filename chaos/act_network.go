package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// link is what a process is connected to.
type link string

const (
	valkeyLink   link = "valkey"
	postgresLink link = "postgres"
	natsLink     link = "nats"
)

// away is how long a partition lasts, or another fault of the network.
func (s *Stage) away() time.Duration { return between(s.rand, 100*ms, 900*ms) }

// partition cuts a group off from one of its servers, in one direction or both, as the seed says.
func partition(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		nodes := who(s)
		if len(nodes) == 0 {
			return nil // a subject without relays
		}
		return cutOff(who, pick(s.rand, nodes[0].linkKinds()))(ctx, s)
	}
}

// directions are those of a partition, in words.
var directions = map[stack.Direction]string{stack.Both: "from", stack.ToServer: "on the way to", stack.ToClient: "on the way back from"}

// cutOff cuts a group off from a server for a while.
func cutOff(who group, from link) Fault {
	return func(ctx context.Context, s *Stage) error {
		nodes := who(s)
		way := stack.Direction(s.rand.IntN(len(directions)))
		return s.spoil(ctx, fmt.Sprintf("%s cut off %s %s", names(nodes), directions[way], from), proxies(nodes, from),
			func(p *stack.Proxy) error { return p.BlackholeOne(way) })
	}
}

// onOneLink does something to one connection of one process for a while.
func onOneLink(what string, do func(*Stage, *stack.Proxy) error) Fault {
	return func(ctx context.Context, s *Stage) error {
		n := pick(s.rand, everybody(s))
		to := pick(s.rand, n.linkKinds())
		return s.spoil(ctx, fmt.Sprintf("%s to %s %s", n.name, to, what), proxies([]*node{n}, to), func(p *stack.Proxy) error { return do(s, p) })
	}
}

func drip(s *Stage, p *stack.Proxy) error     { return p.Drip(2000 + s.rand.IntN(20000)) }
func slow(s *Stage, p *stack.Proxy) error     { return p.Slow(between(s.rand, 5*ms, 120*ms)) }
func halfOpen(_ *Stage, p *stack.Proxy) error { return p.HalfOpen() }

// resetOneLink resets one process's connections to one server.
func resetOneLink(ctx context.Context, s *Stage) error {
	n := pick(s.rand, everybody(s))
	return resetLinks(only(n), pick(s.rand, n.linkKinds()))(ctx, s)
}

// resetLinks resets a group's connections to a server, which it may open again at once.
func resetLinks(who group, to link) Fault {
	return func(_ context.Context, s *Stage) error {
		for _, p := range proxies(who(s), to) {
			if err := p.Reset(); err != nil {
				return err
			}
			if err := p.Heal(); err != nil {
				return err
			}
		}
		s.count()
		return nil
	}
}

// spoil does something to proxies, and heals them after a while.
func (s *Stage) spoil(ctx context.Context, name string, on []*stack.Proxy, do func(*stack.Proxy) error) error {
	return s.spoilFor(ctx, name, on, s.away(), do)
}

func (s *Stage) spoilFor(ctx context.Context, name string, on []*stack.Proxy, d time.Duration, do func(*stack.Proxy) error) error {
	s.begin(name)
	defer s.end(name)
	for _, p := range on {
		if err := do(p); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := s.sleep(ctx, d); err != nil {
		return err
	}
	for _, p := range on {
		if err := p.Heal(); err != nil {
			return fmt.Errorf("healing the network: %w", err)
		}
	}
	return nil
}

func proxies(nodes []*node, to link) []*stack.Proxy {
	var found []*stack.Proxy
	for _, n := range nodes {
		if p := n.links[to]; p != nil {
			found = append(found, p)
		}
	}
	return found
}
