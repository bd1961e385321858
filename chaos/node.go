package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tidelock-cache/tidelock/internal/stack"
)

// role is what a process does.
type role int

const (
	writing role = iota // and reading
	reading
	relaying
)

// node is a process that is attacked, through all its lives, with a proxy to each server that it talks to.
type node struct {
	name  string
	role  role
	links map[link]*stack.Proxy
	log   string
	// command is the command of one of its lives, from 0.
	command func(life int, armed bool) (*exec.Cmd, error)
	// points says that it has points to arm.
	points bool

	running sync.WaitGroup // the supervisor
	stopped chan struct{}  // closed when no further life may begin

	mu    sync.Mutex // guards what follows
	proc  *process
	life  int
	build string // the program of the next life, empty for our own
	armed bool
	away  time.Duration // before the next life
	err   error         // what kept a life from beginning
}

// usualAway is how long a process that has died stays away.
const usualAway = 100 * time.Millisecond

// start begins the first life, and sees to it that the next one follows when it ends.
func (n *node) start(s *scene) error {
	n.stopped = make(chan struct{})
	if err := n.begin(); err != nil {
		return err
	}
	n.running.Go(func() { n.supervise(s) })
	return nil
}

func (n *node) begin() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd, err := n.command(n.life, n.armed)
	if err != nil {
		return err
	}
	if n.build != "" {
		cmd.Path, cmd.Args[0] = n.build, n.build
	}
	n.life++
	n.away = usualAway
	n.proc, err = launch(cmd, n.log)
	return err
}

// supervise begins a life after the other until the node is stopped.
func (n *node) supervise(s *scene) {
	for {
		select {
		case <-n.current().Done():
		case <-n.stopped:
			return
		}
		s.begin(n.name + " died")
		n.mu.Lock()
		away := n.away
		n.mu.Unlock()
		select {
		case <-time.After(away):
		case <-n.stopped:
			return
		}
		if err := n.begin(); err != nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.err = err
			return
		}
		s.end(n.name + " died")
	}
}

// logged is how often its log has a text.
func (n *node) logged(text string) int {
	log, _ := os.ReadFile(n.log) // without one it has not
	return bytes.Count(log, []byte(text))
}

func (n *node) current() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// kill ends the present life. The next one begins after a while.
func (n *node) kill(away time.Duration) error {
	n.mu.Lock()
	n.away = away
	p := n.proc
	n.mu.Unlock()
	return p.Kill()
}

// arm lets the points count, in this life and the next ones, or no longer.
func (n *node) arm(armed bool) error {
	if !n.points {
		return nil
	}
	n.mu.Lock()
	n.armed = armed
	p := n.proc
	n.mu.Unlock()
	if armed {
		return p.Signal(syscall.SIGUSR1)
	}
	return p.Signal(syscall.SIGUSR2)
}

// stop lets the present life finish; there is no further one.
func (n *node) stop() error {
	if n.stopped == nil {
		return nil
	}
	close(n.stopped)
	n.running.Wait()
	n.stopped = nil
	err := n.err
	if p := n.current(); p != nil {
		select {
		case <-p.Done(): // it died of a fault
		default:
			err = errors.Join(err, p.stop())
		}
	}
	if err != nil {
		return fmt.Errorf("stopping %s: %w", n.name, err)
	}
	return nil
}

func (n *node) linkKinds() []link {
	kinds := []link{valkeyLink, postgresLink, natsLink}
	return slices.DeleteFunc(kinds, func(k link) bool { return n.links[k] == nil })
}

// group picks some of the processes.
type group func(*Stage) []*node

func ofRole(roles ...role) group {
	return func(s *Stage) []*node {
		var found []*node
		for _, n := range s.nodes {
			if slices.Contains(roles, n.role) {
				found = append(found, n)
			}
		}
		return found
	}
}

var (
	writers   = ofRole(writing)
	readers   = ofRole(reading)
	relays    = ofRole(relaying)
	drivers   = ofRole(writing, reading)
	everybody = ofRole(writing, reading, relaying)
)

func only(n *node) group { return func(*Stage) []*node { return []*node{n} } }

// theFirst of a group.
func theFirst(who group) group {
	return func(s *Stage) []*node { return who(s)[:1] }
}

// oneOfThe group, whichever the seed picks.
func oneOfThe(who group) group {
	return func(s *Stage) []*node { return []*node{pick(s.rand, who(s))} }
}

func everybodyBut(few group) group {
	return func(s *Stage) []*node {
		but := few(s)
		return slices.DeleteFunc(everybody(s), func(n *node) bool { return slices.Contains(but, n) })
	}
}

func names(nodes []*node) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.name
	}
	return strings.Join(all, ", ")
}

// anyOf picks one of a group; a subject without relays has none of them.
func anyOf(r *rand.Rand, who group, s *Stage) *node {
	nodes := who(s)
	if len(nodes) == 0 {
		return nil
	}
	return pick(r, nodes)
}

// restartEach stops the processes of a group in order, one after the other, and starts each again before the next.
func restartEach(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		for _, n := range who(s) {
			if err := n.current().stop(); err != nil {
				return fmt.Errorf("restarting %s: %w", n.name, err)
			}
			if err := s.sleep(ctx, 2*usualAway); err != nil {
				return err
			}
		}
		return nil
	}
}

// killOne kills one of a group, and lets it stay away for a while.
func killOne(who group) Fault {
	return func(_ context.Context, s *Stage) error {
		n := anyOf(s.rand, who, s)
		if n == nil {
			return nil
		}
		return n.kill(between(s.rand, 50*ms, 500*ms))
	}
}

// killAll kills all of a group at once.
func killAll(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		return killFor(who, between(s.rand, 50*ms, 800*ms))(ctx, s)
	}
}

// pauseOne stops one of a group where it stands, and lets it go on after a while.
func pauseOne(who group) Fault {
	return func(ctx context.Context, s *Stage) error {
		n := anyOf(s.rand, who, s)
		if n == nil {
			return nil
		}
		s.begin(n.name + " paused")
		defer s.end(n.name + " paused")
		p := n.current()
		err := p.Signal(syscall.SIGSTOP)
		return errors.Join(err, s.sleep(ctx, between(s.rand, 200*ms, 2500*ms)), p.Signal(syscall.SIGCONT))
	}
}
