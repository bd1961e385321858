package stack

import (
	"net"
	"sync"
	"time"
)

const dialTimeout = 5 * time.Second

// link is one connection through a Proxy: a client's and the one to the server on its behalf.
type link struct {
	proxy          *Proxy
	client, server net.Conn           // no server where nobody answers
	lost           map[Direction]bool // guarded by proxy.mu: where something was swallowed; never Both
	done           chan struct{}      // closed by reset
	once           sync.Once
}

// serve passes a client's data on until both sides have ended or a fault ends the connection.
func (p *Proxy) serve(client net.Conn) {
	l := &link{proxy: p, client: client, lost: map[Direction]bool{}, done: make(chan struct{})}
	upstream, answered := p.target()
	if answered {
		l.server = dialServer(upstream)
	}
	if !p.admit(l, upstream) {
		l.reset()
		return
	}
	var directions sync.WaitGroup
	for _, w := range l.ways() {
		directions.Go(w.pass)
	}
	directions.Wait()
	p.forget(l)
	l.close()
}

// dialServer returns nil when the server does not take the connection; what its client sees of that depends on the
// fault of the moment.
func dialServer(addr string) net.Conn {
	conn, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil
	}
	return conn
}

// target is the server for a new connection, unless the fault of the moment is that nobody answers.
func (p *Proxy) target() (upstream string, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upstream, p.fault.kind != halfOpen
}

// admit makes faults reach the link, unless there is no place for it: because of the fault of the moment, because it has
// no server and its client may hear of that, or because another server was chosen in the meantime.
func (p *Proxy) admit(l *link, upstream string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.fault
	switch {
	case p.closed, f.kind == reset, f.kind == cut:
		return false
	case l.server == nil && !f.swallows(ToClient):
		return false
	case l.server != nil && upstream != p.upstream:
		return false
	}
	if l.server == nil || f.kind == halfOpen {
		l.loseServerLocked()
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// ways are the two directions, or the first alone where there is no server.
func (l *link) ways() []*way {
	ways := []*way{{link: l, direction: ToServer, from: l.client, to: l.server}}
	if l.server != nil {
		ways = append(ways, &way{link: l, direction: ToClient, from: l.server, to: l.client})
	}
	return ways
}

// tornLocked tells whether the link has lost what another fault would let pass: its stream would have a hole.
func (l *link) tornLocked(f fault) bool {
	for d := range l.lost {
		if !f.swallows(d) {
			return true
		}
	}
	return false
}

// loseServerLocked resets the server's side alone. From then on the client can only be reset.
func (l *link) loseServerLocked() {
	l.lost[ToServer], l.lost[ToClient] = true, true
	if l.server != nil {
		abort(l.server)
	}
}

// reset ends both connections so that each peer sees a reset.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		abort(l.client)
		if l.server != nil {
			abort(l.server)
		}
	})
}

// close ends what has ended on both sides already.
func (l *link) close() {
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}

func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
