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

// Proxy stands between clients and one server and makes the network between them fail. It begins without a fault; a
// fault lasts until the next one or Heal takes its place, and takes hold at once, also of connections that are busy.
// Its methods may be called from several goroutines.
type Proxy struct {
	port    int
	running sync.WaitGroup // the accept loop and everything about connections

	mu       sync.Mutex // guards what follows
	upstream string
	fault    fault
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

// Close resets all connections, gives the port back and returns when every goroutine has ended.
func (p *Proxy) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	err := p.beginLocked(fault{kind: cut})
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
	releasePort(p.port)
	return err
}

// Retarget sends new connections to another server, whose host and port upstream is. Those that there are keep the server
// they have when keep says so, and are reset otherwise. It is no fault: the one of the moment goes on, and Heal leaves the
// upstream as it is.
func (p *Proxy) Retarget(upstream string, keep bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrProxyClosed
	}
	p.upstream = upstream
	if keep {
		return nil
	}
	for l := range p.links {
		l.reset()
	}
	return nil
}

func (p *Proxy) begin(f fault) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrProxyClosed
	}
	return p.beginLocked(f)
}

func (p *Proxy) beginLocked(f fault) error {
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		switch {
		case f.kind == reset, f.kind == cut, l.tornLocked(f):
			l.reset()
		case f.kind == halfOpen:
			l.loseServerLocked()
		}
	}
	if f.kind == cut {
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
