package stack

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	chunkSize   = 32 << 10
	// chunksUnderWay bounds what one direction of a slow connection holds back.
	chunksUnderWay = 256
)

// link is one connection through a Proxy: a client's and the one to the server on its behalf.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	lost           bool          // guarded by proxy.mu: a blackhole swallowed something
	done           chan struct{} // closed by reset
	once           sync.Once
}

// chunk is data on its way.
type chunk struct {
	data    []byte
	arrived time.Time
}

// serve passes a client's data on until both sides have ended or a fault ends the connection.
func (p *Proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.upstream, dialTimeout)
	if err != nil {
		abort(client)
		return
	}
	l := &link{proxy: p, client: client, server: server, done: make(chan struct{})}
	if !p.admit(l) {
		l.reset()
		return
	}
	var directions sync.WaitGroup
	directions.Go(func() { l.pass(client, server) })
	directions.Go(func() { l.pass(server, client) })
	directions.Wait()
	p.forget(l)
	_ = client.Close()
	_ = server.Close()
}

// admit makes faults reach the link, unless the fault of the moment allows no connection.
func (p *Proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.fault == reset || p.fault == cut {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// reset ends both connections so that each peer sees a reset.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.done)
		abort(l.client)
		abort(l.server)
	})
}

func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// pass moves data in one direction until its source ends. Reading and writing are apart so that latency delays data
// without limiting its flow.
func (l *link) pass(from, to net.Conn) {
	chunks := make(chan chunk, chunksUnderWay)
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() {
		defer close(chunks)
		readErr = read(from, chunks)
	})
	for c := range chunks {
		if !l.hold(c.arrived) {
			continue
		}
		if _, err := to.Write(c.data); err != nil {
			l.reset()
		}
	}
	reading.Wait()
	l.end(to, readErr)
}

// read hands on what arrives until the source ends. The end of a stream that is in order is no error.
func read(from net.Conn, chunks chan<- chunk) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			chunks <- chunk{data: bytes.Clone(buf[:n]), arrived: time.Now()}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end passes the end of a stream on. It travels like data, and when it is lost like data the other side goes on
// believing in the connection until the link is reset.
func (l *link) end(to net.Conn, readErr error) {
	if !l.hold(time.Now()) {
		<-l.done
		return
	}
	half, ok := to.(*net.TCPConn)
	if readErr != nil || !ok {
		l.reset()
		return
	}
	_ = half.CloseWrite()
}

// hold waits as long as what arrived at the given time is to be held back, and reports whether it may pass then or is
// lost.
func (l *link) hold(arrived time.Time) bool {
	for {
		f, latency, changed := l.proxy.faultFor(l)
		if f != slow {
			return f != blackhole
		}
		select {
		case <-time.After(time.Until(arrived.Add(latency))):
			return true
		case <-changed:
		case <-l.done:
			return true // whoever writes will find out
		}
	}
}

// faultFor returns the fault of the moment and what is closed when it ends. In a blackhole it notes that the link has
// lost something, for only then is it asked.
func (p *Proxy) faultFor(l *link) (f fault, latency time.Duration, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.lost = l.lost || p.fault == blackhole
	return p.fault, p.latency, p.changed
}
