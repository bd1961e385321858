package stack

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrProxyClosed is returned by the faults of a Proxy after Close.
var ErrProxyClosed = errors.New("the proxy is closed")

// fault is what a Proxy does to the network.
type fault int

const (
	healthy fault = iota
	blackhole
	reset
	slow
	cut
)

// Proxy stands between clients and one server and makes the network between them fail. It begins without a fault; a
// fault lasts until the next one or Heal takes its place, and takes hold at once, also of connections that are busy.
// Its methods may be called from several goroutines.
type Proxy struct {
	upstream string
	port     int
	running  sync.WaitGroup // the accept loop and everything about connections

	mu       sync.Mutex // guards what follows
	fault    fault
	latency  time.Duration
	changed  chan struct{} // closed when another fault begins
	listener net.Listener  // nil while cut
	links    map[*link]struct{}
	closed   bool
}

// NewProxy starts a proxy that passes everything on to upstream, a host and port. Close ends it.
func NewProxy(upstream string) (*Proxy, error) {
	p := &Proxy{upstream: upstream, changed: make(chan struct{}), links: map[*link]struct{}{}}
	for range startAttempts {
		port, err := takePort()
		if err != nil {
			return nil, fmt.Errorf("starting a proxy for %s: %w", upstream, err)
		}
		p.port = port
		if p.Heal() == nil {
			return p, nil
		}
		releasePort(port)
	}
	return nil, fmt.Errorf("starting a proxy for %s: %w", upstream, errNoPort)
}

// Addr is the host and port that clients connect to. It stays the same.
func (p *Proxy) Addr() string {
	return address(p.port)
}

// Blackhole drops all data in both directions, and the news of either side's end too. Connections stand and new ones
// come about. The next fault, or Heal, resets those that have lost something: their streams have holes.
func (p *Proxy) Blackhole() error {
	return p.begin(blackhole, 0)
}

// Reset resets all connections, and new ones as soon as they have come about.
func (p *Proxy) Reset() error {
	return p.begin(reset, 0)
}

// Slow delays data by latency in each direction, without limiting how much is on its way.
func (p *Proxy) Slow(latency time.Duration) error {
	return p.begin(slow, latency)
}

// Cut resets all connections and refuses new ones.
func (p *Proxy) Cut() error {
	return p.begin(cut, 0)
}

// Heal ends the fault.
func (p *Proxy) Heal() error {
	return p.begin(healthy, 0)
}

// Close resets all connections, gives the port back and returns when every goroutine has ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	err := p.beginLocked(cut, 0)
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	releasePort(p.port)
	return err
}

func (p *Proxy) begin(f fault, latency time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrProxyClosed
	}
	return p.beginLocked(f, latency)
}

func (p *Proxy) beginLocked(f fault, latency time.Duration) error {
	p.fault, p.latency = f, latency
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		if f == reset || f == cut || (f != blackhole && l.lost) {
			l.reset()
		}
	}
	if f == cut {
		return p.muteLocked()
	}
	return p.listenLocked()
}

// muteLocked makes the kernel refuse connections.
func (p *Proxy) muteLocked() error {
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// listenLocked takes connections, again after a cut.
func (p *Proxy) listenLocked() error {
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", address(p.port))
	if err != nil {
		return fmt.Errorf("listening for clients of %s: %w", p.upstream, err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

// accept serves a listener until it is closed.
func (p *Proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(pingInterval) // out of file descriptors, say: others may give some back
			continue
		}
		p.running.Go(func() { p.serve(conn) })
	}
}
