package site

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Counter stands between clients and a server and counts round trips: each time that the server answers what it was asked since its last answer.
// With one caller at a time that is exact, whatever the protocol and however much is sent at once.
type Counter struct {
	Trips atomic.Int64

	listener net.Listener
	upstream string
	running  sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool // nil once closed
}

// NewCounter stands before the server at upstream.
func NewCounter(upstream string) (*Counter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Counter{listener: l, upstream: upstream, open: make(map[net.Conn]bool)}
	c.running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.serve(client) })
		}
	})
	return c, nil
}

// Addr is where it listens.
func (c *Counter) Addr() string { return c.listener.Addr().String() }

// Close ends all connections.
func (c *Counter) Close() error {
	err := c.listener.Close()
	c.mu.Lock()
	for conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
	c.mu.Unlock()
	c.running.Wait()
	return err
}

func (c *Counter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	if !c.admit(client, server) {
		return
	}
	defer c.forget(client, server)
	var asked atomic.Bool
	var there sync.WaitGroup
	there.Go(func() {
		_ = pass(server, client, func() { asked.Store(true) })
		_ = server.Close()
	})
	_ = pass(client, server, func() {
		if asked.Swap(false) {
			c.Trips.Add(1)
		}
	})
	_ = client.Close()
	there.Wait()
}

func (c *Counter) admit(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if c.open != nil {
			c.open[conn] = true
		}
	}
	return c.open != nil
}

func (c *Counter) forget(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		delete(c.open, conn)
	}
}

// pass hands on what comes, after it was noted.
func pass(to io.Writer, from io.Reader, note func()) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			note()
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
